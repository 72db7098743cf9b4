"""Real faults of real file systems, in a mount namespace of the test's own: full, read-only, mounted over, immutable.

Where namespaces are refused these tests fail under CI and are skipped elsewhere: each runs this file as a program.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


CASES: dict[str, Callable[[Path], None]] = {
    "full_disk": full_disk, "read_only": read_only, "mounted_inside": mounted_inside, "busy": busy,
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
        pytest.skip(f"immutable files cannot be made here: {done.stderr.strip()}")
    try:
        result = carry_out(draft)
    finally:
        subprocess.run(["chattr", "-i", str(first)], check=True)
    assert [one.path for one in result.failed] == [str(first)] and "immutable" in result.failed[0].error
    assert len(result.deleted) == 1 and len(list(first.iterdir())) == 8


if __name__ == "__main__":
    CASES[sys.argv[1]](Path(sys.argv[2]))
