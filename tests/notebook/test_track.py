"""`cachetop.track()`: what a block read, fetched, compiled and left, checked against what it really did."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import itertools
import mmap
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import cachetop
from cachetop.notebook import listeners, opens, reads, vram
from cachetop.notebook.records import Report
from support import fake_nvml, hubcache, triton_cache

OLD, NEW = (triton_cache.key_of(sha256(name).digest()) for name in (b"old", b"new"))


@pytest.fixture
def hub(world: Path) -> Path:
    cache = world / ".cache" / "huggingface" / "hub"
    cache.mkdir(parents=True)
    return cache


@pytest.fixture
def repo(hub: Path) -> hubcache.RepoFolder:
    return hubcache.healthy(hub)


def snapshot(repo: hubcache.RepoFolder, name: str) -> Path:
    return repo.path / "snapshots" / hubcache.COMMIT / name


def test_an_empty_block_reads_nothing(repo: hubcache.RepoFolder) -> None:
    with cachetop.track() as report:
        pass
    assert report.models == report.downloads == report.kernels == report.problems == ()
    assert report.to_dict()["schema"] == "cachetop.report/1"
    assert report.seconds < 0.5


def test_a_file_read_by_python_is_told_with_its_revision(repo: hubcache.RepoFolder) -> None:
    with cachetop.track() as report:
        content = snapshot(repo, "config.json").read_bytes()
    (row,) = report.models
    assert (row.repo, row.revision, row.files, row.bytes) == ("org/model", hubcache.COMMIT, 1, len(content))
    assert row.names == ("config.json",)
    assert row.evidence == "opened"
    assert row.resident_before == len(content)  # written a moment ago


def test_reads_and_downloads_in_every_root_are_told(
    hub: Path, repo: hubcache.RepoFolder, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = world / "data" / "hub"
    made = hubcache.healthy(other, "org/other")
    monkeypatch.setenv("CACHETOP_HUB_ROOTS", str(other))
    with cachetop.track() as report:
        snapshot(made, "config.json").read_bytes()
        hubcache.healthy(other, "org/fetched")
    assert "org/other" in [row.repo for row in report.models]
    assert {row.repo for row in report.downloads} == {"org/fetched"}


def test_a_file_read_by_another_process_is_not_called_ours(repo: hubcache.RepoFolder) -> None:
    with cachetop.track() as report:
        subprocess.run(["cat", snapshot(repo, "config.json")], check=True, capture_output=True)
    assert [row.evidence for row in report.models] == ["opened-elsewhere"]


def test_a_mapped_file_is_told_as_long_as_it_is_mapped(repo: hubcache.RepoFolder) -> None:
    with cachetop.track() as report, snapshot(repo, "onnx/model.onnx").open("rb") as file:
        held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert [(row.evidence, row.names) for row in report.models] == [("mapped", ("onnx/model.onnx",))]
    with cachetop.track() as later:
        held.read(10)
    assert later.models == ()  # it was mapped before, and nothing was opened
    held.close()


def test_native_code_that_opens_and_closes_is_seen(repo: hubcache.RepoFolder) -> None:
    path = snapshot(repo, "config.json")
    with cachetop.track("models") as report:
        os.close(os.open(path, os.O_RDONLY))
    assert [row.names for row in report.models] == [("config.json",)]


def test_cold_files_are_told_from_warm_ones(repo: hubcache.RepoFolder) -> None:
    blob = repo.file("big.bin", os.urandom(1 << 20))
    with blob.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with cachetop.track() as report:
        blob.read_bytes()
    (row,) = report.models
    assert row.resident_before is not None and row.resident_before < row.bytes
    assert row.resident_after == row.bytes


def test_one_blob_with_two_names_is_not_given_one_of_them(hub: Path) -> None:
    repo = hubcache.repo(hub)
    repo.file("a.bin", b"same")
    repo.file("b.bin", b"same")
    repo.ref()
    with cachetop.track() as report:
        snapshot(repo, "b.bin").read_bytes()
    assert report.models[0].names == ("a.bin or b.bin",)


def test_a_block_that_cannot_be_watched_leaves_nothing_behind(
    repo: hubcache.RepoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(flags: int) -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pipe2", full)
        with pytest.raises(OSError, match="Too many open files"), cachetop.track():
            raise AssertionError("the block does not begin")
    assert not reads._active and vram._users == 0 and not listeners._triton._members
    with cachetop.track() as report:
        snapshot(repo, "config.json").read_bytes()
    assert report.models


def test_a_folder_that_cannot_be_watched_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Refusing:
        @staticmethod
        def inotify_add_watch(fd: int, path: bytes, mask: int) -> int:
            ctypes.set_errno(errno.EACCES if os.path.isdir(path) else errno.ENOENT)
            return -1

    monkeypatch.setattr(opens.Opens, "_fanotify", lambda self: -1)
    seen = opens.Opens()
    monkeypatch.setattr(seen, "_libc", Refusing)
    seen.watch([str(tmp_path / "gone")])
    assert seen.reason is None, "what is not there has nothing to read"
    seen.watch([str(tmp_path)])
    assert seen.reason == f"{tmp_path} cannot be watched"
    seen.close()


def test_without_fanotify_reads_are_seen_and_not_called_ours(
    repo: hubcache.RepoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opens.Opens, "_fanotify", lambda self: -1)
    with cachetop.track() as report:
        snapshot(repo, "config.json").read_bytes()
        with snapshot(repo, "onnx/model.onnx").open("rb") as file:
            held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert {name: row.evidence for row in report.models for name in row.names} == {
        "config.json": "mapped",
        "onnx/model.onnx": "mapped",
    } or {row.evidence for row in report.models} == {"mapped"}
    assert "inotify" in report.evidence["models"]
    held.close()
    with cachetop.track() as report:
        snapshot(repo, "config.json").read_bytes()
    assert [row.evidence for row in report.models] in (["opened-by-someone"], ["mapped"])


def test_what_comes_into_the_cache_is_a_download(hub: Path, repo: hubcache.RepoFolder) -> None:
    partial = repo.partial("f" * 64, b"x" * 100)
    with cachetop.track() as report:
        hubcache.healthy(hub, "new/model")
        with partial.open("ab") as file:
            file.write(b"y" * 50)
    came = {(row.repo, row.file): row for row in report.downloads}
    assert came["new/model", "onnx/model.onnx"].complete
    assert came["org/model", None].bytes == 150
    assert not came["org/model", None].complete
    assert len(came) == 3  # and the new repo's config.json


def test_a_repo_that_appears_is_watched_too(hub: Path) -> None:
    watching: Any = cachetop.track()
    with watching as report:
        made = hubcache.healthy(hub, "new/model")
        path = snapshot(made, "config.json")
        deadline = time.monotonic() + 5
        while not watching._reads._seen and time.monotonic() < deadline:
            path.read_bytes()
            time.sleep(0.05)
    assert [(row.repo, row.names) for row in report.models] == [("new/model", ("config.json",))]


def test_a_kernel_compiled_elsewhere_appears_once(world: Path) -> None:
    root = world / ".triton" / "cache"
    triton_cache.write_entry(root, OLD, "old_kernel")
    with cachetop.track() as report:
        triton_cache.write_entry(root, NEW, "new_kernel", 90)
    (row,) = report.kernels
    assert (row.cache, row.key, row.name, row.sm, row.hit) == ("triton", NEW, "new_kernel", ("sm_90",), False)
    assert row.evidence == "appeared"
    with cachetop.track() as report:
        pass
    assert report.kernels == ()


def test_a_cache_that_the_block_itself_chooses_is_watched(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cachetop.track() as report:
        monkeypatch.setenv("TRITON_CACHE_DIR", str(world / "other"))
        triton_cache.write_entry(world / "other", NEW, "new_kernel")
    assert [row.key for row in report.kernels] == [NEW]


def test_an_exception_passes_and_is_in_the_report(repo: hubcache.RepoFolder) -> None:
    with pytest.raises(KeyError), cachetop.track() as report:
        snapshot(repo, "config.json").read_bytes()
        raise KeyError("HF_TOKEN=hf_abcdefgh12345678")
    assert len(report.models) == 1
    (problem,) = report.problems
    assert problem.rule == "exception"
    assert "KeyError" in problem.message
    assert "abcdefgh" not in problem.message


def test_the_report_is_not_there_before_the_end() -> None:
    with cachetop.track("models") as report, pytest.raises(RuntimeError, match="ended"):
        report.to_json()
    assert report.to_dict()["only"] == ["models"]
    assert set(report.evidence) == {"models"}


def test_a_part_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="models, kernels, vram"):
        cachetop.track("vrma")


def test_functions_are_decorated(repo: hubcache.RepoFolder) -> None:
    got: list[Report] = []

    @cachetop.track("models", done=got.append)
    def read(name: str) -> int:
        return len(snapshot(repo, name).read_bytes())

    @cachetop.track("models")
    async def later() -> int:
        await asyncio.sleep(0)
        return read("config.json")

    class Reader:
        @cachetop.track
        def read(self, name: str) -> int:
            return len(snapshot(repo, name).read_bytes())

    assert read.report is None
    assert read("config.json") > 0
    assert asyncio.run(later()) > 0
    assert later.report is not None and [row.names for row in later.report.models] == [("config.json",)]
    assert len(got) == 2
    assert read.report == got[-1]
    assert Reader().read("config.json") > 0
    assert Reader.__dict__["read"].report.models
    assert Reader.read.__name__ == "read"


def test_a_function_that_fails_has_its_report(repo: hubcache.RepoFolder) -> None:
    @cachetop.track
    def fails() -> None:
        snapshot(repo, "config.json").read_bytes()
        raise LookupError("gone")

    with pytest.raises(LookupError):
        fails()
    assert fails.report is not None and fails.report.models
    assert [problem.message for problem in fails.report.problems] == ["The block ended with LookupError: gone"]


def test_generators_are_not_decorated() -> None:
    def count() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="count is a generator"):
        cachetop.track(count)


def test_blocks_may_be_nested_and_in_several_threads(repo: hubcache.RepoFolder) -> None:
    reports: list[Any] = []

    def block() -> None:
        with cachetop.track() as report:
            snapshot(repo, "config.json").read_bytes()
        reports.append(report)

    with cachetop.track() as outer:
        threads = [threading.Thread(target=block) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(len(one.models) == 1 for one in [*reports, outer])
    assert len(reports) == 4


def test_nothing_is_left_behind(repo: hubcache.RepoFolder) -> None:
    def open_now() -> int:
        return len(os.listdir("/proc/self/fd"))

    with cachetop.track():
        pass
    before = open_now()
    for _ in range(5):
        with cachetop.track():
            pass
    deadline = time.monotonic() + 5
    while open_now() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert open_now() <= before
    assert not [thread for thread in threading.enumerate() if thread.name == "cachetop-track"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A driver whose memory moves when the test says so."""
    monkeypatch.setattr(vram, "_sampler", None)
    moment, asked = [0.0], itertools.count()

    class Clock:
        calls = 0

        def __call__(self) -> float:
            self.calls = next(asked)
            return moment[0]

        def go(self, seconds: float) -> None:
            """Move on, and wait until the driver was asked again a few times."""
            moment[0], before = seconds, self.calls
            deadline = time.monotonic() + 10
            while self.calls < before + 60 and time.monotonic() < deadline:
                time.sleep(0.01)

    chosen = Clock()
    gib = 1 << 30
    device = {
        "name": "GPU", "uuid": "GPU-1", "cc": [9, 0], "memory": {"total": 80 * gib, "reserved": 0, "used": gib},
        "processes": [{"pid": "$self", "kind": "C", "used": gib}],
    }  # fmt: skip
    timeline = [
        {"t": 1, "set": {"devices.0.memory.used": 9 * gib}},
        {"t": 2, "set": {"devices.0.memory.used": 3 * gib, "devices.0.processes.0.used": 2 * gib}},
    ]
    with fake_nvml.driver({"driver_version": "580", "devices": [device], "timeline": timeline}, chosen):
        yield chosen


def test_vram_before_peak_and_after(clock: Any) -> None:
    with cachetop.track() as report:
        clock.go(1)
        clock.go(2)
    (row,) = report.vram
    assert [value >> 30 for value in (row.before, row.peak, row.after)] == [1, 9, 3]
    if row.own_before is not None:  # None: a pid namespace of its own, where the driver's pids mean nothing
        assert (row.own_before >> 30, row.own_after >> 30) == (1, 2)
    assert report.vram_reason is None


def test_without_a_driver_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vram, "_sampler", None)
    with fake_nvml.driver("no_driver"), cachetop.track("vram") as report:
        pass
    assert report.vram == ()
    assert "driver" in report.vram_reason


def test_a_driver_that_hangs_holds_a_block_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vram, "_sampler", None)
    with fake_nvml.driver("hanging_init"):
        began = time.monotonic()
        with cachetop.track("vram") as report:
            pass
        assert time.monotonic() - began < 3
    assert "did not answer" in report.vram_reason


def test_torchs_allocator_is_asked_and_never_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = {f"{kind}_bytes.all.{which}": 0 for kind in ("allocated", "reserved") for which in ("current", "peak")}

    def use(allocated: int, reserved: int) -> None:
        for kind, value in (("allocated", allocated), ("reserved", reserved)):
            stats[f"{kind}_bytes.all.current"] = value
            stats[f"{kind}_bytes.all.peak"] = max(value, stats[f"{kind}_bytes.all.peak"])

    cuda = SimpleNamespace(is_initialized=lambda: True, device_count=lambda: 1, memory_stats=lambda _: stats)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(vram, "_sampler", None)
    use(100, 200)
    with cachetop.track("vram") as first:
        use(900, 1000)
        use(300, 1000)
    with cachetop.track("vram") as second:
        use(700, 1100)
        use(10, 1100)
    (row,) = first.report.allocator
    assert (row.gpu, row.allocated, row.allocated_peak, row.reserved, row.reserved_peak) == (0, 300, 900, 1000, 1000)
    (row,) = second.report.allocator
    assert (row.allocated, row.allocated_peak) == (10, None)  # 900 was higher, before this block
    assert row.reserved_peak == 1100
    cuda.is_initialized = lambda: False
    with cachetop.track("vram") as third:
        pass
    assert third.report.allocator == ()


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import cachetop, sys\nwith cachetop.track() as report: pass\nreport.report._repr_html_()\n"
        "print([m for m in ('torch', 'triton', 'IPython', 'docling', 'textual') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_cache_that_is_taken_away_meanwhile_breaks_nothing(hub: Path, repo: hubcache.RepoFolder) -> None:
    with cachetop.track() as report:
        snapshot(repo, "config.json").read_bytes()
        shutil.rmtree(hub)
        hub.write_text("a file where the cache was")
    (row,) = report.models
    assert row.names == ("config.json",)
    assert row.resident_after is None
    with cachetop.track() as report:
        pass
    assert report.models == ()
