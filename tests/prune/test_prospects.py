"""What could go at a glance, held against what real plans for the same selections free."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from cachetop.hub.detail import with_detail
from cachetop.hub.records import Models
from cachetop.hub.scan import Scanner
from cachetop.kernelcache.records import Kernels
from cachetop.locations import Location
from cachetop.prune.plan import plan
from cachetop.prune.prospects import Prospect, of_kernels, of_models
from support.hubcache import OTHER, repo, settle
from support.pruning import allocated
from support.triton_cache import backdate, key_of, write_entry

LISTS = 16384
"""What the lists and refs of a revision may take: they are not in the picture."""


def _look(hub: Path) -> Models:
    scanner = Scanner([Location("hub", str(hub), "test")])
    return with_detail(scanner.scan(), scanner)


def _by_name(found: tuple[Prospect, ...]) -> dict[str, Prospect]:
    return {one.name: one for one in found}


def _frees(one: Prospect) -> int:
    return plan([one.selection], sms=("sm_90",)).plan.frees


@pytest.fixture
def full(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache with a detached revision that shares a blob, and a download that was cut off."""
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    alpha = repo(hub, "org/alpha")
    alpha.file("extra.bin", b"x" * 40_000, commit=OTHER)
    shared = next(path for path in (alpha.path / "blobs").iterdir() if path.stat().st_size > 45_000)
    alpha.link("again.onnx", f"../../blobs/{shared.name}", commit=OTHER)
    (alpha.path / "blobs" / f"{'ab' * 32}.incomplete").write_bytes(b"p" * 20_480)
    settle(hub)
    return hub


def test_each_is_what_a_plan_for_it_frees(full: Path) -> None:
    found = _by_name(of_models(_look(full)))
    assert (found["detached"].count, found["partials"].count) == (1, 1)
    for name in ("detached", "partials"):
        one = found[name]
        assert one.size is not None and one.size >= 20_480
        assert 0 <= _frees(one) - one.size <= LISTS


def test_a_blob_that_a_revision_needs_which_stays_is_not_counted(full: Path) -> None:
    one = _by_name(of_models(_look(full)))["detached"]
    assert one.size is not None and one.size < 45_000


def test_what_nobody_read_for_a_month_goes_whole(full: Path) -> None:
    now = time.time()
    looked = _look(full)
    read = [replace(one, last_used=now - 40 * 86400) for one in looked.repos]
    one = _by_name(of_models(replace(looked, repos=tuple(read)), now=now))["unused"]
    assert one.count == 2
    assert one.size is not None and 0 <= allocated(full) - one.size <= LISTS


def test_where_no_access_time_tells_nothing_is_said_to_be_in_use(full: Path) -> None:
    looked = _look(full)
    unknown = replace(looked, repos=tuple(replace(one, last_used=None) for one in looked.repos))
    one = _by_name(of_models(unknown))["unused"]
    assert (one.count, one.size) == (None, None)


def test_what_is_kept_does_not_count(full: Path) -> None:
    found = _by_name(of_models(_look(full), keep=("org/alpha",)))
    assert (found["detached"].count, found["partials"].count) == (0, 0)


def test_stale_kernels_are_those_a_plan_takes(world: Path) -> None:
    from cachetop import locations
    from cachetop.kernelcache.detail import with_detail as judged
    from cachetop.kernelcache.scan import Scanner as Kernelscanner

    root = world / ".triton" / "cache"
    for sm in (80, 90):
        backdate(write_entry(root, key_of(bytes([sm]) * 32), sm=sm), 86400)
    scanner = Kernelscanner(locations.kernel_roots())
    found = judged(scanner.scan(), scanner, ("sm_90",))
    one = of_kernels(found)
    made = plan([one.selection], sms=("sm_90",)).plan
    assert one.count == len(made.items) > 0 and one.size == made.frees > 0
    key = made.items[0].key
    assert of_kernels(found, (key,)).count == one.count - 1


def test_before_the_first_look_nothing_is_known() -> None:
    for models in (None, Models(scanning=True)):
        assert {(one.count, one.size) for one in of_models(models)} == {(None, None)}
    for kernels in (None, replace(Kernels(), scanning=True)):
        assert (of_kernels(kernels).count, of_kernels(kernels).size) == (None, None)


def test_every_selection_can_be_planned_from_the_start(full: Path) -> None:
    for one in (*of_models(None), of_kernels(None)):
        assert not one.selection.is_empty
        assert plan([one.selection]).plan.frees >= 0
    assert os.listdir(full)
