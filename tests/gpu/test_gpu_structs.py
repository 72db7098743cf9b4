"""The layout of the driver's process list is recognised, whichever it is."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from cachetop.gpu.structs import PID_LIMIT, RawProcess, parse

TOTAL = 80 * 2**30
NONE32, NONE64 = 2**32 - 1, 2**64 - 1
STRIDES = (24, 32, 16)
processes = st.lists(
    st.tuples(st.integers(256, PID_LIMIT - 1), st.none() | st.integers(0, TOTAL)), min_size=2, max_size=12
)


def pack(listed: list[tuple[int, int | None]], stride: int, padding: int = 0) -> bytes:
    raw = b""
    for pid, memory in listed:
        fields = struct.pack("<IIQIIQ", pid, padding, NONE64 if memory is None else memory, NONE32, NONE32, 0)
        raw += fields[:stride]
    return raw + bytes(8 * 32)


@given(processes, st.sampled_from(STRIDES))
def test_every_layout_is_told_from_the_others(listed: list[tuple[int, int | None]], stride: int) -> None:
    found = parse(pack(listed, stride), len(listed), TOTAL, STRIDES)
    assert found is not None
    assert [(one.pid, one.memory) for one in found] == listed


@given(processes, st.integers(1, NONE32))
def test_a_driver_that_leaves_rubbish_in_the_padding_is_read_all_the_same(
    listed: list[tuple[int, int | None]], padding: int
) -> None:
    found = parse(pack(listed, 24, padding), len(listed), TOTAL, STRIDES)
    assert found is not None
    assert [(one.pid, one.memory) for one in found] == listed


@given(st.binary(max_size=400), st.integers(0, 20), st.none() | st.integers(0, TOTAL))
def test_whatever_the_driver_writes_only_sense_comes_out(raw: bytes, count: int, total: int | None) -> None:
    found = parse(raw, count, total, STRIDES)
    assert found is None or len(found) == count
    for one in found or ():
        assert 0 < one.pid < PID_LIMIT
        assert one.memory is None or total is None or one.memory <= total


def test_a_mig_instance_is_kept() -> None:
    raw = struct.pack("<IIQII", 4711, 0, 2**30, 3, 0)
    assert parse(raw, 1, TOTAL, STRIDES) == [RawProcess(4711, 2**30, (3, 0))]
