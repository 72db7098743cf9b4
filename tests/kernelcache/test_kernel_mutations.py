"""Real caches with anything changed in them: always rows, never a crash, a hang, or an unpickling."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachetop.kernelcache import resources
from cachetop.kernelcache.cubin import CubinError
from cachetop.kernelcache.describe import describe
from cachetop.kernelcache.detail import with_detail
from cachetop.kernelcache.records import STATES, Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.stages import TEXTS, stage_text
from cachetop.locations import Location

Look = Callable[..., Kernels]


def _whole_look(root: Path, kind: str) -> Kernels:
    """Everything that is ever read of a cache."""
    scanner = Scanner([Location(kind, str(root), "")])
    found = with_detail(scanner.scan(), scanner, ["sm_90"])
    for entry in found.entries:
        assert entry.state in STATES
        described = describe(entry, scanner)
        for stage in {stage.name for stage in described.stages} & set(TEXTS):
            assert all(line.isprintable() for line in stage_text(entry, scanner, stage).lines)
        described.to_json()
    found.to_json()
    return found


def _mutate(file: Path, data: st.DataObject) -> None:
    raw = bytearray(file.read_bytes())
    match data.draw(st.sampled_from(["cut", "flip", "replace", "insert", "empty"])):
        case "cut":
            raw = raw[: data.draw(st.integers(0, len(raw)))]
        case "flip":
            for _ in range(data.draw(st.integers(1, 6))):
                raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        case "replace":
            raw = bytearray(data.draw(st.binary(max_size=300)))
        case "insert":
            place = data.draw(st.integers(0, len(raw)))
            raw[place:place] = data.draw(st.sampled_from([b"\x1b]0;x\x07", b"[" * 5000, b"\xff\xfe", b'{"a":', b"\0"]))
        case _:
            raw = bytearray()
    file.write_bytes(raw)


@pytest.mark.parametrize("kind", ["triton", "inductor"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_to_real_files(
    compiled: Path, inductor_tree: Path, tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    root = tmp_path / "mutated"
    shutil.rmtree(root, ignore_errors=True)
    if kind == "triton":
        keys = sorted(path.name for path in compiled.iterdir())
        for key in (keys[0], keys[-1]):
            shutil.copytree(compiled / key, root / key)
    else:
        shutil.copytree(inductor_tree, root)
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
    before = len(_whole_look(root, kind).entries)
    for file in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True)):
        _mutate(file, data)
    assert len(_whole_look(root, kind).entries) == before


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_resources_of_a_changed_cubin(compiled: Path, data: st.DataObject) -> None:
    original = sorted(compiled.glob("*/softmax_kernel.cubin"))[0].read_bytes()
    file = compiled.parent / "changed-resources.cubin"
    raw = bytearray(original)
    for _ in range(data.draw(st.integers(1, 10))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(raw[: data.draw(st.integers(len(raw) // 2, len(raw)))])
    try:
        found = resources.read(str(file))
    except CubinError as error:
        assert str(error)
    else:
        assert all(value is None or value >= 0 for value in found.to_dict().values())


@pytest.mark.parametrize("ending", ["json", "ptx", "cubin", "ttir", "group"])
def test_a_file_of_two_gigabytes_costs_no_more_than_its_bound(cache: Path, ending: str) -> None:
    folder = next(path for path in cache.iterdir() if (path / "add_kernel.json").exists())
    file = folder / ("__grp__add_kernel.json" if ending == "group" else f"add_kernel.{ending}")
    os.truncate(file, 2 << 30)
    began = time.perf_counter()
    found = _whole_look(cache, "triton")
    assert time.perf_counter() - began < 5
    assert any(entry.key == folder.name for entry in found.entries)


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch /tmp/cachetop-was-unpickled",)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "fxgraph" / "ab" / f"f{'a' * 51}"
    folder.mkdir(parents=True)
    (folder / ("a" * 51)).write_bytes(pickle.dumps(_Bomb()))
    (entry,) = _whole_look(tmp_path, "inductor").entries
    assert entry.part == "fxgraph"
    assert not os.path.exists("/tmp/cachetop-was-unpickled")


class _Graph:
    def __init__(self, nanoseconds: int) -> None:
        self._fx_graph_cache_key = "f" + "a" * 51
        self._time_taken_ns = nanoseconds
        self.triton = '{"triton_version": "3.8.0"}'


@pytest.mark.parametrize("nanoseconds", [70_000_000, 2_147_000_000, 14_000_000_000, 90_000_000_000_000])
def test_the_build_time_of_a_graph_is_read_from_its_bytes(tmp_path: Path, look: Look, nanoseconds: int) -> None:
    folder = tmp_path / "fxgraph" / "ab" / f"f{'a' * 51}"
    folder.mkdir(parents=True)
    (folder / ("a" * 51)).write_bytes(pickle.dumps(_Graph(nanoseconds)))
    (entry,) = look(tmp_path, "inductor").entries
    assert entry.build_milliseconds == nanoseconds / 1e6
    assert entry.producer.triton == "3.8.0"
