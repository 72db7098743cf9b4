"""Real faults of real file systems, in a mount namespace of the test's own: full, read-only, mounted over, immutable.

Where namespaces are refused these tests fail under CI and are skipped elsewhere: each runs this file as a program.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")


def _refusal() -> str | None:
    try:
        done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip()


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def full_disk(folder: Path) -> None:
    """A tmpfs without a free block or inode: pruning works all the same, at once, and frees what it promised."""
    from support.pruning import allocated, carry_out, plan_kernels
    from support.triton_cache import backdate, synthetic

    _mount("-t", "tmpfs", "-o", "size=2m,nr_inodes=120", "none", str(folder))
    os.environ["CACHETOP_STATE_DIR"] = str(folder / "state")
    root = synthetic(folder / "cache", 6)
    backdate(root, 60)
    number = 0
    try:
        while True:
            (folder / f"filler{number}").write_bytes(b"x" * 4096)
            number += 1
    except OSError as error:
        assert error.errno == 28
    before = allocated(root)
    draft = plan_kernels(root, sm="80")
    result = carry_out(draft, now=False)
    assert not result.failed, result.failed
    assert len(result.deleted) == 1 and result.undo_until is None
    assert result.freed == draft.plan.frees == before - allocated(root)
    assert len(list(root.iterdir())) == 5


def read_only(folder: Path) -> None:
    """A cache on a file system that is mounted read-only is blocked in the plan; one that becomes so fails in words."""
    from support.pruning import carry_out, picture, plan_kernels
    from support.triton_cache import backdate, synthetic

    _mount("-t", "tmpfs", "none", str(folder))
    root = synthetic(folder / "cache", 3)
    backdate(root, 60)
    draft = plan_kernels(root, all=True)
    before = picture(root)
    _mount("-o", "remount,ro", str(folder))
    result = carry_out(draft)
    assert not result.deleted and len(result.failed) == 3
    assert "read-only" in result.failed[0].error and "EROFS" in result.failed[0].error
    plan = plan_kernels(root, all=True).plan
    assert not plan.items and "read-only" in plan.blocked[0].reason
    assert picture(root) == before


def mounted_inside(folder: Path) -> None:
    """Another file system, or a bind mount of the same, inside an entry: the entry stays, and what is mounted too."""
    from support.pruning import carry_out, plan_kernels
    from support.triton_cache import backdate, synthetic

    _mount("-t", "tmpfs", "none", str(folder))
    root = synthetic(folder / "cache", 3)
    precious = folder / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("irreplaceable")
    first, second, third = sorted(root.iterdir())
    for entry in (first, second):
        (entry / "inside").mkdir()
    backdate(root, 60)
    late = plan_kernels(root, all=True)
    _mount("--bind", str(precious), str(first / "inside"))
    _mount("-t", "tmpfs", "none", str(second / "inside"))
    draft = plan_kernels(root, all=True)
    assert [item.path for item in draft.plan.items] == [str(third)]
    assert all("file system" in one.reason for one in draft.plan.blocked) and len(draft.plan.blocked) == 2
    result = carry_out(late)  # mounted only after that plan was made
    assert (precious / "thesis.tex").read_text() == "irreplaceable"
    assert str(third) in result.deleted


def busy(folder: Path) -> None:
    """An entry that is itself a mount point cannot be renamed: it is blocked, and the others go."""
    from support.pruning import carry_out, plan_kernels
    from support.triton_cache import backdate, synthetic

    _mount("-t", "tmpfs", "none", str(folder))
    root = synthetic(folder / "cache", 2)
    backdate(root, 60)
    late = plan_kernels(root, all=True)
    first = sorted(root.iterdir())[0]
    _mount("--bind", str(first), str(first))
    assert len(plan_kernels(root, all=True).plan.blocked) == 1
    result = carry_out(late)
    assert str(first) not in result.deleted and len(result.deleted) == 1
    assert len(list(first.iterdir())) == 8


def mounted_at_each_moment(folder: Path) -> None:
    """Somebody mounts a folder of theirs (a bind mount of the same disk) over one of a cache's, before each call."""
    import ctypes

    from cachetop.prune import emptier, inuse, unlink
    from support.boundaries import happening
    from support.pruning import carry_out, picture, plan_kernels, state
    from support.triton_cache import backdate, synthetic

    libc = ctypes.CDLL(None, use_errno=True)
    inuse.look = lambda *_: inuse.InUse()
    emptier.start = lambda *_: None
    unlink.HANDS = 1
    _mount("-t", "tmpfs", "none", str(folder))
    os.environ["CACHETOP_STATE_DIR"] = str(folder / "state")
    root, precious = folder / "cache", folder / "precious"
    for name in (".", "inside", "0", "0/inside"):
        (precious / name).mkdir(parents=True)
        for file in ("thesis.tex", "file"):
            (precious / name / file).write_text("irreplaceable")
    safe = picture(precious)
    for pattern in (
        "",
        "[A-Z]*",
        "[A-Z]*/inside",
        ".cachetop-trash-*",
        ".cachetop-trash-*/0",
        ".cachetop-trash-*/0/inside",
    ):
        number, mounted = 0, 0
        while True:
            number += 1
            shutil.rmtree(state(), ignore_errors=True)
            shutil.rmtree(root, ignore_errors=True)
            for entry in synthetic(root, 2).iterdir():
                (entry / "inside").mkdir()
                (entry / "inside" / "file").write_text("of the cache")
            backdate(root, 60)
            draft = plan_kernels(root, all=True)
            points: list[bytes] = []

            def mount(pattern: str = pattern, points: list[bytes] = points) -> None:
                for path in sorted(root.glob(pattern) if pattern else [root])[:1]:
                    if libc.mount(os.fsencode(precious), os.fsencode(path), None, 4096, None) == 0:  # MS_BIND
                        points.append(os.fsencode(path))

            with happening(number, mount) as came:
                carry_out(draft)
            assert picture(precious) == safe, f"{pattern} before call {number}, {came}"
            mounted += len(points)
            for line in Path("/proc/self/mountinfo").read_text().splitlines():
                point = line.split()[4]
                if point.startswith(f"{folder}/"):
                    assert libc.umount2(os.fsencode(point), 2) == 0  # MNT_DETACH
            if not came:
                assert mounted > 3, pattern
                break


def without_openat2(folder: Path) -> None:
    """A kernel without openat2 tells a bind mount of the same disk by the number of its mount."""
    from cachetop.prune import calls
    from support.boundaries import told

    module: Any = calls
    module.knows_mounts = lambda: False
    for name, case in (("plan", mounted_inside), ("busy", busy)):
        (folder / name).mkdir()
        came: list[str] = []
        with told(("open",), came.append):
            case(folder / name)
        assert came  # by that way: openat2 is no call of os
    (folder / "moments").mkdir()
    mounted_at_each_moment(folder / "moments")


CASES: dict[str, Callable[[Path], None]] = {
    "full_disk": full_disk, "read_only": read_only, "mounted_inside": mounted_inside, "busy": busy,
    "mounted_at_each_moment": mounted_at_each_moment, "without_openat2": without_openat2,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_fault(name: str, tmp_path: Path) -> None:
    refused = _refusal()
    if refused is not None:
        assert not os.environ.get("CI"), f"mount namespaces are refused here: {refused}"
        pytest.skip(f"mount namespaces are refused here: {refused}")
    paths = os.pathsep.join([str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*_UNSHARE, sys.executable, __file__, name, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("now", [False, True], ids=["held", "now"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
def test_an_error_of_any_call_is_told_and_leaves_whole_entries(
    place: Path, number: int, now: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.pruning import plan_kernels
    from support.triton_cache import backdate, synthetic

    root = place / "cache"
    _each_refused(root, lambda: backdate(synthetic(root, 2), 60), lambda: plan_kernels(root, all=True), number, now,
                  monkeypatch)  # fmt: skip


@pytest.mark.parametrize("now", [False, True], ids=["held", "now"])
def test_an_error_of_any_call_leaves_whole_revisions(place: Path, now: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.hubcache import OTHER, repo, settle
    from support.pruning import plan_models

    hub = place / "hub"

    def make() -> None:
        one = repo(hub, "org/one")
        one.file("a.bin", b"a" * 5000)
        one.ref()
        one.file("b.bin", b"b" * 5000, commit=OTHER)
        one.stored("c.bin", b"c" * 5000, commit=OTHER)
        settle(hub)

    _each_refused(hub, make, lambda: plan_models(hub, f"org/one@{OTHER}"), errno.EIO, now, monkeypatch)


def _each_refused(
    root: Path, make: Callable[[], object], draft: Callable[[], Any], number: int, now: bool, patch: pytest.MonkeyPatch
) -> None:
    """The disk refuses one call, each in turn: what is said to be deleted is gone, the rest is whole, and is said."""
    from cachetop.prune import emptier, inuse
    from cachetop.prune.recover import empty_all, recover
    from support.boundaries import CHANGING, RESOLVING, happening
    from support.pruning import carry_out, picture, state

    patch.setattr(emptier, "start", lambda *_: None)
    patch.setattr(inuse, "look", lambda *_: inuse.InUse())

    def refuse() -> None:
        raise OSError(number, os.strerror(number))

    call, came = 0, ["first"]
    while came:
        call += 1
        for folder in (root, state()):
            shutil.rmtree(folder, ignore_errors=True)
        make()
        before, plan = picture(root), draft()
        with happening(call, refuse, tuple(dict.fromkeys(CHANGING + RESOLVING))) as came:
            try:
                result = carry_out(plan, now=now)
            except OSError:
                assert picture(root) == before, came  # the journal could not be begun, so nothing was touched
                continue
        told = [one.path for one in result.failed] + [one.path for one in result.skipped]
        for item in plan.plan.items:
            assert (item.path in result.deleted) != Path(item.path).exists(), f"{came} at {call}: {result}"
            assert item.path in result.deleted or item.path in told
        recover(state())
        empty_all(state(), [str(root)])
        after = picture(root)
        assert all(before[name] == what for name, what in after.items()), f"{came} at {call}: {result}"
        assert all(path.exists() for path in root.rglob("*"))  # no link that leads nowhere
        stays = [item.path for item in plan.plan.items if item.path not in result.deleted]
        assert all(name in after for name in before if str(root / name).startswith(tuple(stays)))
    assert call > 30


def test_a_folder_that_may_not_be_written_fails_in_words(tmp_path: Path) -> None:
    from support.pruning import carry_out, picture, plan_kernels
    from support.rights import ordinary
    from support.triton_cache import backdate, synthetic

    root = synthetic(tmp_path / "cache", 2)
    backdate(root, 60)
    draft = plan_kernels(root, all=True)
    before = picture(root)
    root.chmod(0o500)
    with ordinary():
        result = carry_out(draft)
    root.chmod(0o700)
    assert not result.deleted and [("permission denied" in one.error, "EACCES" in one.error) for one in result.failed]
    assert picture(root) == before


def test_an_immutable_entry_fails_in_words_and_the_others_go(tmp_path: Path) -> None:
    from support.pruning import carry_out, plan_kernels
    from support.triton_cache import backdate, synthetic

    root = synthetic(tmp_path / "cache", 2)
    backdate(root, 60)
    draft = plan_kernels(root, all=True)
    first = sorted(root.iterdir())[0]
    done = subprocess.run(["chattr", "+i", str(first)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        assert not os.environ.get("CI"), f"immutable files cannot be made here: {done.stderr.strip()}"
        pytest.skip(f"immutable files cannot be made here: {done.stderr.strip()}")
    try:
        result = carry_out(draft)
    finally:
        subprocess.run(["chattr", "-i", str(first)], check=True)
    assert [one.path for one in result.failed] == [str(first)] and "immutable" in result.failed[0].error
    assert len(result.deleted) == 1 and len(list(first.iterdir())) == 8


if __name__ == "__main__":
    CASES[sys.argv[1]](Path(sys.argv[2]))


def test_a_line_that_a_full_disk_tore_takes_no_other_line_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cachetop.prune import journal

    plan = "0123456789ab"
    with journal.create(tmp_path, plan) as record:
        record.begin([])
        true = os.write

        def full(descriptor: int, data: bytes) -> int:
            if len(data) < 40:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return true(descriptor, data[:40])

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(OSError):
                record.write("moving", moves=[])
        record.write("finished", until=None)
    assert journal.read(journal.path(tmp_path, plan)).finished


def test_a_group_file_is_written_whole_however_little_each_write_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.pruning import carry_out, plan_kernels
    from support.triton_cache import backdate, synthetic

    root = synthetic(tmp_path / "cache", 2)
    backdate(root, 60)
    draft = plan_kernels(root, ir_only=True)
    assert draft.work
    wanted = {one.moves[0].path: one.group for one in draft.work}
    true = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: true(descriptor, bytes(data[:7])))
    carry_out(draft)
    assert {path: Path(path).read_bytes() for path in wanted} == wanted


def test_a_journal_of_very_many_items_is_read_as_it_was_written(tmp_path: Path) -> None:
    from cachetop.prune import journal

    items = [{"kind": "triton", "key": f"{number}", "path": f"/c/{number}"} for number in range(1234)]
    with journal.create(tmp_path, "0123456789ab") as record:
        record.begin(items)
        record.write("finished", until=None)
    path = journal.path(tmp_path, "0123456789ab")
    assert journal.read(path).items == items
    assert max(map(len, path.read_bytes().splitlines())) < 40_000, "no line takes long to read"
