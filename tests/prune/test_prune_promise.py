"""On any cache: promised = freed + held, the disk agrees, undo restores, and huggingface_hub can read what is left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachetop.prune.undo import undo
from support.hubcache import healthy, repo, settle
from support.pruning import allocated, carry_out, picture, plan_kernels, plan_models, state
from support.triton_cache import backdate, synthetic

_COMMITS = ["a" * 40, "b" * 40, "c" * 40]
_file = st.tuples(
    st.integers(0, 2),  # repo
    st.integers(0, 2),  # revision
    st.integers(0, 5),  # content
    st.sampled_from(["blob", "blob", "stored", "real", "hard", "sparse"]),
)
_cache = st.lists(_file, min_size=1, max_size=14)
_aim = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), min_size=1, max_size=4)


def _build(hub: Path, files: list[tuple[int, int, int, str]]) -> None:
    for number, (which, revision, content, how) in enumerate(files):
        one, commit = repo(hub, f"org/m{which}"), _COMMITS[revision]
        data = bytes([content]) * (3000 * (content + 1))
        name = f"f{number}.bin"
        if how == "stored" and not (one.path / "blobs" / f"{content:064x}").is_symlink():
            one.stored(name, data, commit, etag=f"{content:064x}")
        elif how == "real":
            one.real(name, data, commit)
        elif how == "sparse":
            blob = one.file(name, b"", commit, etag=f"{number + 100:040x}")
            with open(blob, "r+b") as file:
                file.truncate(1 << 20)
                file.seek(1 << 19)
                file.write(b"middle")
        elif how == "hard":
            blob = one.file(name, data, commit, etag=f"{number + 200:040x}")
            os.link(blob, blob.with_name(f"{number + 300:040x}"))
            one.link(f"h{number}.bin", f"../../blobs/{number + 300:040x}", _COMMITS[(revision + content) % 3])
        else:
            one.file(name, data, commit, etag=f"{content:040x}")
    for which in {file[0] for file in files}:
        one = repo(hub, f"org/m{which}")
        newest = sorted(path.name for path in (one.path / "snapshots").iterdir())[-1]
        one.ref("main", newest)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(files=_cache, aims=_aim)
def test_promised_is_freed_plus_held_and_what_the_disk_says(
    tmp_path: Path, files: list[tuple[int, int, int, str]], aims: list[tuple[int, int]]
) -> None:
    from huggingface_hub import scan_cache_dir

    hub = tmp_path / "hub"
    shutil.rmtree(hub, ignore_errors=True)
    hub.mkdir()
    healthy(hub, "org/bystander")
    _build(hub, files)
    settle(hub)
    names = [f"org/m{which}" + (f"@{_COMMITS[revision]}" if revision >= 0 else "") for which, revision in aims]
    before, tree = allocated(hub), picture(hub)
    draft = plan_models(hub, *names)
    assert picture(hub) == tree  # a plan touches nothing
    result = carry_out(draft, now=False)
    assert not result.failed and not result.skipped
    assert result.freed + result.held == draft.plan.frees
    if result.deleted:
        assert sorted(undo(state()).restored) == sorted(result.deleted)
    assert picture(hub) == tree
    settle(hub)
    result = carry_out(plan_models(hub, *names))
    assert result.freed == draft.plan.frees == before - allocated(hub)
    left = scan_cache_dir(hub)
    assert not left.warnings
    for one in left.repos:
        for revision in one.revisions:
            assert all(file.file_path.read_bytes() is not None for file in revision.files)


_entry = st.tuples(st.integers(0, 3), st.sampled_from(["own", "hard", "hard-outside", "sparse", "link"]))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(extras=st.lists(_entry, max_size=8), aims=st.sets(st.integers(0, 3), min_size=1), now=st.booleans())
def test_kernels_free_what_is_promised_too(
    tmp_path: Path, extras: list[tuple[int, str]], aims: set[int], now: bool
) -> None:
    root, outside = tmp_path / "cache", tmp_path / "outside"
    for folder in (root, outside):
        shutil.rmtree(folder, ignore_errors=True)
    outside.mkdir()
    entries = sorted(synthetic(root, 4).iterdir())
    for number, (which, how) in enumerate(extras):
        path = entries[which] / f"extra{number}"
        if how == "own":
            path.write_bytes(b"x" * 9000)
        elif how == "hard":
            os.link(next(entries[(which + 1) % 4].glob("*.cubin")), path)
        elif how == "hard-outside":
            path.write_bytes(b"y" * 9000)
            os.link(path, outside / path.name)
        elif how == "sparse":
            with open(path, "wb") as file:
                file.truncate(1 << 20)
                file.seek(1 << 19)
                file.write(b"middle")
        else:
            path.symlink_to(outside)
    backdate(root, 60)
    before, tree = allocated(root, outside), picture(root)
    draft = plan_kernels(root, *(entries[which].name for which in aims))
    result = carry_out(draft, now=now)
    assert not result.failed and not result.skipped and len(result.deleted) == len(aims)
    assert result.freed + result.held == draft.plan.frees
    if now:
        assert result.freed == before - allocated(root, outside)
    else:
        undo(state())
        assert picture(root) == tree and allocated(root, outside) == before
