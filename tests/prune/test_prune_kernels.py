"""Deleting kernels through the library: what goes, what stays, what comes back."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cachetop.prune import trash
from cachetop.prune.recover import empty_all, recover
from cachetop.prune.undo import NothingToUndo, undo
from support.pruning import allocated, carry_out, picture, plan_kernels, state, trash_of
from support.triton_cache import backdate, compile_kernels, key_of, synthetic, write_entry


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = synthetic(tmp_path / "cache", 14)
    backdate(made, 60)
    return made


def test_what_the_plan_promises_is_what_the_disk_gets_back(root: Path) -> None:
    draft = plan_kernels(root, sm="75")
    assert len(draft.plan.items) == 2
    before = allocated(root)
    result = carry_out(draft)
    assert len(result.deleted) == 2 and not result.failed and not result.skipped
    assert result.freed == draft.plan.frees == before - allocated(root)
    assert result.held == 0 and result.undo_until is None
    assert not trash_of(root)
    assert sum(path.is_dir() for path in root.iterdir()) == 12


def test_undo_brings_back_the_very_tree(root: Path) -> None:
    before = picture(root)
    draft = plan_kernels(root, all=True)
    result = carry_out(draft, now=False)
    assert result.held == draft.plan.frees and result.freed == 0
    assert result.undo_until is not None and result.undo_until > time.time() + 800
    assert {path.name for path in root.iterdir()} == {trash.name_of(draft.plan.id)}
    done = undo(state())
    assert done.id == draft.plan.id and sorted(done.restored) == sorted(result.deleted)
    assert picture(root) == before
    with pytest.raises(NothingToUndo, match="is empty"):
        undo(state())


def test_an_entry_that_exists_again_is_left_alone(root: Path) -> None:
    key = sorted(path.name for path in root.iterdir())[0]
    carry_out(plan_kernels(root, key), now=False)
    write_entry(root, key, "made_again")
    done = undo(state())
    assert [one.path for one in done.skipped] == [str(root / key)] and not done.restored
    assert (root / key / "made_again.cubin").exists()
    assert len(trash_of(root)) == 1  # the old one still lies there until the deadline


def test_undo_of_an_unknown_plan_says_so() -> None:
    with pytest.raises(NothingToUndo, match="no plan 0123"):
        undo(state(), "0123")


def test_a_compile_at_work_is_blocked_and_a_dead_one_goes(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    entry = root / key_of(hashlib.sha256(b"x").digest())
    entry.mkdir(parents=True)
    (entry / "add.ttir").write_text("half")
    draft = plan_kernels(root, entry.name)
    assert not draft.plan.items and draft.named_blocked == 1
    assert "compiling" in draft.plan.blocked[0].reason
    backdate(root, 3600)
    draft = plan_kernels(root, incomplete=True)
    assert [item.key for item in draft.plan.items] == [entry.name]
    assert carry_out(draft).freed == draft.plan.frees


def test_an_old_compile_whose_process_lives_is_blocked(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    entry = root / key_of(hashlib.sha256(b"x").digest())
    (entry / f"tmp.pid_{os.getpid()}_0123").mkdir(parents=True)
    backdate(entry, 1200, but="tmp.pid_")
    draft = plan_kernels(root, all=True)
    assert not draft.plan.items and "compiling" in draft.plan.blocked[0].reason


def test_a_file_in_use_blocks_with_its_pid_and_force_lifts_it(root: Path) -> None:
    key = sorted(path.name for path in root.iterdir())[0]
    used = next((root / key).glob("*.cubin"))
    program = f"f = open({str(used)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None and user.stdout.readline() == "open\n"
        draft = plan_kernels(root, key)
        assert not draft.plan.items
        (blocked,) = draft.plan.blocked
        assert blocked.pids == (user.pid,) and "in use" in blocked.reason and blocked.lifted_by_force
        name = Path(f"/proc/{user.pid}/comm").read_text().strip()
        assert f"pid {user.pid} ({name}, " in blocked.reason
        forced = plan_kernels(root, key, force=True)
        assert len(forced.plan.items) == 1
        assert carry_out(forced).deleted == (str(root / key),)
        user.communicate("")


def test_a_use_that_begins_after_the_plan_is_seen_when_it_is_executed(root: Path) -> None:
    key = sorted(path.name for path in root.iterdir())[0]
    draft = plan_kernels(root, key)
    used = next((root / key).glob("*.cubin"))
    program = (
        f"import mmap; f = open({str(used)!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); f.close()"
    )
    program += "; print('mapped', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None and user.stdout.readline() == "mapped\n"
        result = carry_out(draft)
        assert not result.deleted and f"pid {user.pid}" in result.skipped[0].reason
        assert (root / key).exists()
        user.communicate("")


def test_an_entry_that_changed_since_the_plan_is_skipped(root: Path) -> None:
    draft = plan_kernels(root, sm="75")
    changed = Path(draft.plan.items[0].path)
    (changed / "more.cubin").write_bytes(b"x")
    result = carry_out(draft)
    assert [one.path for one in result.skipped] == [str(changed)] and "changed" in result.skipped[0].reason
    assert len(result.deleted) == 1 and changed.exists()


def test_two_plans_for_one_entry_delete_it_once(root: Path) -> None:
    first, second = plan_kernels(root, sm="75"), plan_kernels(root, sm="75")
    assert len(carry_out(first).deleted) == 2
    result = carry_out(second)
    assert not result.deleted and {one.reason for one in result.skipped} == {"it is gone already"}
    assert result.freed == 0


def test_the_keep_list_protects_by_name_and_by_key(root: Path) -> None:
    draft = plan_kernels(root, all=True, keep=["triton_poi_fused_1*"])
    assert {one.pattern for one in draft.plan.kept} == {"triton_poi_fused_1*"}
    assert len(draft.plan.kept) == 5 and len(draft.plan.items) == 9


def test_older_than_never_matches_an_unknown_use(root: Path) -> None:
    assert not plan_kernels(root, older_than="30d").plan.items
    backdate(root, 90 * 86400)
    entries = len(list(root.iterdir()))
    draft = plan_kernels(root, older_than="30d")
    assert len(draft.plan.items) in (0, entries)  # 0 where the file system keeps no access times


def test_max_size_takes_the_least_recently_used_first(root: Path) -> None:
    for age, path in enumerate(sorted(root.iterdir())):
        backdate(path, 86400 * (age + 1))
    oldest = sorted(root.iterdir())[-1]
    total = sum(item.size_on_disk for item in plan_kernels(root, all=True).plan.items)
    draft = plan_kernels(root, max_size=total - 1)
    assert [item.path for item in draft.plan.items] == [str(oldest)]
    assert not plan_kernels(root, max_size=total).plan.items


def test_a_budget_counts_a_hard_linked_file_once(tmp_path: Path) -> None:
    """Three entries of about 300 KB, 200 KB of them one inode: two of them hold 400 KB, not 600 KB."""
    root = tmp_path / "cache"
    keys = sorted(key_of(hashlib.sha256(str(number).encode()).digest()) for number in range(3))
    for number, key in enumerate(keys):
        entry = write_entry(root, key, f"kernel_{number}")
        (entry / "own.bin").write_bytes(bytes([number]) * 100_000)
        if number:
            os.link(root / keys[0] / "shared.bin", entry / "shared.bin")
        else:
            (entry / "shared.bin").write_bytes(b"s" * 200_000)
    backdate(root, 86400)
    total = allocated(root)
    one = plan_kernels(root, keys[0]).plan.frees
    assert 100_000 < one < 200_000
    assert not plan_kernels(root, max_size=total).plan.items
    assert [item.key for item in plan_kernels(root, max_size=total - 1).plan.items] == keys[:1]
    assert [item.key for item in plan_kernels(root, max_size=total - one).plan.items] == keys[:1]
    draft = plan_kernels(root, max_size=total - 2 * one - 1)  # only the last name of the shared inode frees it
    assert [item.key for item in draft.plan.items] == keys and draft.plan.frees == total


def test_a_budget_passes_over_what_is_in_use_and_names_it(root: Path) -> None:
    for age, path in enumerate(sorted(root.iterdir(), reverse=True)):
        backdate(path, 86400 * (100 - age))
    oldest, next_one = sorted(root.iterdir(), reverse=True)[:2]
    total = sum(item.size_on_disk for item in plan_kernels(root, all=True).plan.items)
    with open(next(oldest.glob("*.cubin")), "rb"):
        plan = plan_kernels(root, max_size=total - 1).plan
        assert [item.path for item in plan.items] == [str(next_one)]
        assert [(one.path, one.pids) for one in plan.blocked] == [(str(oldest), (os.getpid(),))]
        forced = plan_kernels(root, max_size=total - 1, force=True).plan
        assert [item.path for item in forced.items] == [str(oldest)] and not forced.blocked
    assert [item.path for item in plan_kernels(root, max_size=total - 1).plan.items] == [str(oldest)]


def test_the_headers_that_inductor_compiled_stay_while_torch_is_loaded(tmp_path: Path) -> None:
    """Inductor makes them once a process and counts on them: a compile failed when they went."""
    (headers := tmp_path / "inductor" / "precompiled_headers").mkdir(parents=True)
    (headers / "abc.h").write_text("#include <vector>")
    backdate(tmp_path / "inductor", 86400)
    program = "import torch, sys; print(flush=True); sys.stdin.read()"
    late = plan_kernels(tmp_path / "inductor", kind="inductor", all=True)
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        plan = plan_kernels(tmp_path / "inductor", kind="inductor", all=True).plan
        assert not plan.items and process.pid in plan.blocked[0].pids and plan.blocked[0].lifted_by_force
        assert not carry_out(late).deleted and (headers / "abc.h").exists()
        process.communicate()


def test_names_that_are_no_entry_are_said(root: Path) -> None:
    assert plan_kernels(root, "NO_SUCH_KEY").plan.missing == ("NO_SUCH_KEY",)


def test_the_deadline_passes_and_a_detached_process_empties(root: Path) -> None:
    before = allocated(root)
    result = carry_out(plan_kernels(root, sm="75"), now=False, undo=0.5)
    assert result.held > 0
    deadline = time.time() + 30
    while trash_of(root) and time.time() < deadline:
        time.sleep(0.05)
    assert not trash_of(root)
    assert before - allocated(root) == result.held


def test_a_trash_without_a_journal_is_found_and_emptied(root: Path) -> None:
    draft = plan_kernels(root, sm="75")
    carry_out(draft, now=False)
    (state() / "prune" / f"{draft.plan.id}.jsonl").unlink()
    gone, plans = empty_all(state(), [str(root)])
    assert plans == 1 and gone.freed == draft.plan.frees and not trash_of(root)


def test_recover_has_nothing_to_say_after_a_clean_end(root: Path) -> None:
    carry_out(plan_kernels(root, sm="75"))
    assert recover(state()) == []


def test_triton_still_loads_what_ir_only_leaves(tmp_path: Path) -> None:
    root, work = tmp_path / "cache", tmp_path / "work"
    compile_kernels(root, work, "add_kernel", "80,90")
    before = allocated(root)
    draft = plan_kernels(root, ir_only=True)
    assert len(draft.plan.items) == 2
    result = carry_out(draft, now=False)
    assert not result.failed and len(result.deleted) == 2
    left = {path.suffix for path in root.glob("[A-Z]*/*")}
    assert left == {".json", ".cubin"}
    # the key holds the source's line numbers, so the program keeps its lines and listens from a second file
    listening = work / "listen.py"
    listening.write_text(
        "import runpy, sys, triton\nhits = []\n"
        "triton.knobs.compilation.listener = lambda *, cache_hit, **_: hits.append(cache_hit)\n"
        f"sys.argv = ['program.py', 'add_kernel', '80,90']\nrunpy.run_path({str(work / 'program.py')!r})\nprint(hits)\n"
    )
    env = {**os.environ, "TRITON_CACHE_DIR": str(root), "HOME": str(work), "TMPDIR": str(work), "STOP": ""}
    done = subprocess.run([sys.executable, str(listening)], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "[True, True]\n", done.stderr
    assert undo(state()).restored == result.deleted
    assert allocated(root) == before and all(json.loads(group.read_text()) for group in root.glob("*/__grp__*"))
    carry_out(plan_kernels(root, ir_only=True))
    assert before - allocated(root) == draft.plan.frees


def test_folders_without_end_block_an_entry_and_the_others_go(root: Path) -> None:
    first = sorted(root.iterdir())[0]
    at = os.open(first, os.O_RDONLY)
    for _ in range(1200):  # deeper than Python recurses and than a process may have files open
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    draft = plan_kernels(root, all=True)
    assert [one.path for one in draft.plan.blocked] == [str(first)] and "deeper" in draft.plan.blocked[0].reason
    assert len(carry_out(draft).deleted) == 13
    subprocess.run(["rm", "-rf", str(first)], check=True)  # what pytest would fail to clean up


@pytest.mark.parametrize("where", [".cache/huggingface", ".cache", "", ".cache/huggingface/hub", "state"])
def test_a_driver_cache_that_is_somebody_elses_folder_stays(
    world: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """What the driver keeps is one row, its whole folder: a variable that leads to the home folder must not take it."""
    home = world / ".cache" / "huggingface"
    (home / "hub" / "models--a--b").mkdir(parents=True)
    (home / "token").write_text("hf_abcdefghijklmnop")
    (world / where / "index").write_bytes(b"x" * 100)
    monkeypatch.setenv("CUDA_CACHE_PATH", str(world / where))
    before = picture(world)
    command = [sys.executable, "-m", "cachetop", "prune", "kernels", "--all", "--json"]
    plan = json.loads(subprocess.run([*command, "--dry-run"], capture_output=True, check=True).stdout)
    assert not plan["items"]
    (blocked,) = plan["blocked"]
    assert blocked["reason"].endswith("all of it would go, not only the cuda-driver cache")
    subprocess.run([*command, "--yes", "--now"], capture_output=True, check=False)
    assert {name for name in before if not name.startswith("state")} <= set(picture(world))
