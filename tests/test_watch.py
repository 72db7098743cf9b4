"""The watcher: what it notices, what it says when it cannot."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachetop import watch
from cachetop.base import mounts
from cachetop.watch import Target, Watcher


@pytest.fixture
def seen() -> queue.Queue[str | None]:
    return queue.Queue()


@pytest.fixture
def watcher(seen: queue.Queue[str | None]) -> Iterator[Watcher]:
    one = Watcher(seen.put)
    one.start()
    yield one
    one.stop()


def drained(seen: queue.Queue[str | None]) -> None:
    try:
        while True:
            seen.get(timeout=0.2)
    except queue.Empty:
        pass


def test_a_new_folder_is_announced_within_a_tenth_of_a_second(
    tmp_path: Path, watcher: Watcher, seen: queue.Queue[str | None]
) -> None:
    assert watcher.watch([Target("triton", str(tmp_path), files=False)]) == {"triton"}
    assert watcher.mode == watch.Mode("inotify")
    drained(seen)
    delays = []
    for n in range(5):
        began = time.perf_counter()
        (tmp_path / f"KEY{n}").mkdir()
        assert seen.get(timeout=5) == "triton"
        delays.append(time.perf_counter() - began)
        drained(seen)
    assert sorted(delays)[2] < 0.1


def test_a_watcher_that_is_asked_for_names_gives_them(tmp_path: Path) -> None:
    wakes: queue.Queue[str | None] = queue.Queue()
    named: queue.Queue[tuple[str, str]] = queue.Queue()
    one = Watcher(wakes.put, lambda target, path: named.put((target, path)))
    one.start()
    try:
        one.watch([Target("triton", str(tmp_path), files=False)])
        drained(wakes)
        (tmp_path / "KEY").mkdir()
        assert named.get(timeout=5) == ("triton", str(tmp_path / "KEY"))
        (tmp_path / "KEY").rename(tmp_path / "OTHER")
        assert {named.get(timeout=5)[1] for _ in range(2)} == {str(tmp_path / "KEY"), str(tmp_path / "OTHER")}
        assert wakes.empty()
        shutil.rmtree(tmp_path / "OTHER")
        assert named.get(timeout=5) == ("triton", str(tmp_path / "OTHER"))
    finally:
        one.stop()


def test_reading_a_cache_is_no_event(tmp_path: Path, watcher: Watcher, seen: queue.Queue[str | None]) -> None:
    (tmp_path / "kernel").write_bytes(b"x")
    watcher.watch([Target("nvrtc", str(tmp_path))])
    drained(seen)
    (tmp_path / "kernel").read_bytes()
    list(tmp_path.iterdir())
    assert seen.empty()


def test_a_root_that_appears_later_is_picked_up_and_one_that_was_replaced_too(
    tmp_path: Path, watcher: Watcher, seen: queue.Queue[str | None]
) -> None:
    root = tmp_path / "later"
    assert watcher.watch([Target("t", str(root))]) == frozenset()
    assert watcher.mode.name == "inotify", "a missing folder is no reason to poll"
    root.mkdir()
    assert watcher.watch([Target("t", str(root))]) == {"t"}
    drained(seen)
    shutil.rmtree(root)
    root.mkdir()
    drained(seen)  # that it went was announced, so the next call watches what took its place
    watcher.watch([Target("t", str(root))])
    drained(seen)
    (root / "x").mkdir()
    assert seen.get(timeout=5) == "t"


def test_a_deep_tree_is_watched_recursively(tmp_path: Path, watcher: Watcher, seen: queue.Queue[str | None]) -> None:
    (tmp_path / "fxgraph" / "ab").mkdir(parents=True)
    watcher.watch([Target("inductor", str(tmp_path), recursive=True)])
    drained(seen)
    (tmp_path / "fxgraph" / "ab" / "f123").write_text("x")
    assert seen.get(timeout=5) == "inductor"


def test_a_tree_with_too_many_folders_is_polled_and_said_so(
    tmp_path: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_FOLDERS", 10)
    for n in range(12):
        (tmp_path / str(n)).mkdir()
    assert watcher.watch([Target("inductor", str(tmp_path), recursive=True)]) == frozenset()
    assert watcher.mode.name == "polling"
    assert "more than 10 folders" in (watcher.mode.reason or "")


def test_a_network_file_system_is_polled_and_said_so(
    tmp_path: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "filesystem", lambda path: "nfs4")
    assert watcher.watch([Target("triton", str(tmp_path))]) == frozenset()
    assert watcher.mode.name == "polling"
    assert "nfs4" in (watcher.mode.reason or "")


def test_exhausted_watches_are_said(tmp_path: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watcher._observer, "schedule", full)
    assert watcher.watch([Target("triton", str(tmp_path))]) == frozenset()
    assert "cannot be watched" in (watcher.mode.reason or "")


RUN_OUT = """
import sys, time
from cachetop.watch import Target, Watcher
one = Watcher(lambda name: None)
one.start()
print(sorted(one.watch([Target("inductor", sys.argv[1], recursive=True), Target("triton", sys.argv[2])])), one.mode)
"""


def test_watches_that_run_out_within_a_tree_are_noticed_and_said(tmp_path: Path) -> None:
    script = f'echo 20 > /proc/sys/user/max_inotify_watches && exec {sys.executable} -c "$1" "$2" "$3"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", RUN_OUT]
    for n in range(40):
        (tmp_path / "inductor" / str(n)).mkdir(parents=True)
    (tmp_path / "triton").mkdir()
    done = subprocess.run(
        [*command, str(tmp_path / "inductor"), str(tmp_path / "triton")], capture_output=True, text=True, check=False
    )
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"no user namespace here: {done.stderr[-200:]}")
    assert done.stdout.startswith("['triton'] Mode(name='mixed'"), done.stdout + done.stderr
    assert "41 folders and only" in done.stdout and "max_user_watches" in done.stdout


def test_lost_events_ask_for_a_whole_look(watcher: Watcher, seen: queue.Queue[str | None]) -> None:
    import logging

    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; filesystem events were lost")
    assert seen.get(timeout=1) is None


def test_mountinfo_is_read_with_its_escapes(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
        "30 22 0:26 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1g\n"
        "31 22 0:27 / /data\\040disk rw,noatime - xfs /dev/sdb rw\n"
        "garbage\n"
    )
    found = mounts.mounts(str(table))
    assert [mount.kind for mount in found] == ["ext4", "tmpfs", "xfs"]
    assert mounts.mount_of("/data disk/hub", found) == found[2]
    assert mounts.mount_of("/tmpfile", found) == found[0]
    assert "noatime" in found[2].options
