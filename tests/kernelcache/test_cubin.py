"""Cubin headers: the SM of real cubins of every CUDA ABI, and bytes that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.kernelcache import cubin


def _header(abi: int, flags: int, version: int = 1) -> bytes:
    """A bare ELF64 header of a cubin without sections."""
    ident = b"\x7fELF\x02\x01\x01" + bytes([0x33 if abi < 8 else 0x41, abi]) + bytes(7)
    return ident + struct.pack("<HHIQQQIHHHHHH", 2, 190, version, 0, 0, 0, flags, 64, 56, 0, 64, 0, 0)


@pytest.mark.parametrize(
    ("abi", "flags", "version", "sm"),
    [
        (7, 0x004B054B, 0x81, "sm_75"),
        (7, 0x00500550, 0x81, "sm_80"),
        (7, 0x00560556, 0x81, "sm_86"),
        (7, 0x00590559, 0x81, "sm_89"),
        (7, 0x005A055A, 0x81, "sm_90"),
        (7, 0x005A0D5A, 0x81, "sm_90a"),
        (8, 0x06004B04, 1, "sm_75"),
        (8, 0x06005A04, 1, "sm_90"),
        (8, 0x06006402, 1, "sm_100"),
        (8, 0x0600640A, 1, "sm_100a"),
        (8, 0x06007802, 1, "sm_120"),
        (8, 0x0600780A, 1, "sm_120a"),
    ],
)
def test_flags_as_ptxas_writes_them(tmp_path: Path, abi: int, flags: int, version: int, sm: str) -> None:
    file = tmp_path / "k.cubin"
    file.write_bytes(_header(abi, flags, version))
    assert cubin.read(str(file)).sm == sm


def test_the_release_is_read_where_it_is_written(compiled: Path) -> None:
    releases = {cubin.read(str(path)).cuda for path in compiled.glob("*/*.cubin")}
    assert None not in releases
    assert len(releases) == 2  # one wheel brings two assemblers


def test_every_shorter_file_is_refused(compiled: Path, tmp_path: Path) -> None:
    raw = next(compiled.glob("*/*.cubin")).read_bytes()
    file = tmp_path / "short.cubin"
    for length in [*range(0, 66), *range(66, len(raw), 251), len(raw) - 1]:
        file.write_bytes(raw[:length])
        with pytest.raises(cubin.CubinError):
            cubin.read(str(file))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes_never_do_worse_than_a_refusal(compiled: Path, data: st.DataObject) -> None:
    raw = bytearray(next(iter(sorted(compiled.glob("*/*.cubin")))).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, min(len(raw), 4096) - 1))] = data.draw(st.integers(0, 255))
    file = compiled.parent / "changed.cubin"
    file.write_bytes(raw)
    try:
        assert cubin.read(str(file)).sm.startswith("sm_")
    except cubin.CubinError as error:
        assert str(error)


def test_huge_counts_are_bounded(tmp_path: Path) -> None:
    file = tmp_path / "lies.cubin"
    raw = bytearray(_header(8, 0x06005A04))
    raw[40:48] = struct.pack("<Q", 64)
    raw[58:64] = struct.pack("<HHH", 64, 65535, 65534)
    with file.open("wb") as out:
        out.write(raw)
        out.truncate(64 + 64 * 65535)
    assert cubin.read(str(file)).sm == "sm_90"
