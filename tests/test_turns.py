"""Long loops of background threads let the others go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop import locations
from cachetop.base import turns
from cachetop.hub import detail as hub_detail
from cachetop.hub import scan as hub_scan
from cachetop.hub.verify import Verifier
from cachetop.kernelcache import detail as kernel_detail
from cachetop.kernelcache import scan as kernel_scan
from support import hubcache
from support.triton_cache import synthetic

T = TypeVar("T")
FILES, ENTRIES = 300, 40


def in_a_thread(work: Callable[[], T]) -> T:
    """What `work` returns, done in a thread of its own."""
    done: list[T] = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    thread.join()
    return done[0]


@given(st.lists(st.integers()), st.integers(1, 5))
def test_the_items_come_as_they_are(items: list[int], every: int) -> None:
    assert list(turns.in_turns(items, every)) == items
    assert in_a_thread(lambda: list(turns.in_turns(iter(items), every))) == items


def test_a_thread_sleeps_after_its_turn_and_the_main_one_never(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(now[0])
        now[0] += seconds

    def worked(items: Iterator[int]) -> None:
        for _ in items:
            now[0] += 0.0015

    monkeypatch.setattr(turns, "perf_counter", lambda: now[0])
    monkeypatch.setattr(turns, "sleep", sleep)
    worked(turns.in_turns(range(10)))
    assert not slept
    in_a_thread(lambda: worked(turns.in_turns(range(10))))
    assert len(slept) == 5
    in_a_thread(lambda: worked(turns.in_turns(range(10), 4)))
    assert len(slept) == 7


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every pause for others: one whenever the clock is read."""
    found = list[float]()
    monkeypatch.setattr(turns, "_TURN", -1.0)
    monkeypatch.setattr(turns, "sleep", found.append)
    return found


@pytest.fixture
def repo(world: Path) -> hubcache.RepoFolder:
    """A repo of many files at the default place."""
    cache = world / ".cache" / "huggingface" / "hub"
    cache.mkdir(parents=True)
    made = hubcache.repo(cache, "big/shards", "dataset")
    for number in range(FILES):
        made.file(f"{number:05d}.tar", f"{number}".encode())
    made.ref()
    return made


def test_what_goes_over_very_many_files_lets_others_go_on(
    repo: hubcache.RepoFolder, pauses: list[float], tmp_path: Path
) -> None:
    scanner = hub_scan.Scanner([locations.hub()])
    found = scanner.scan()
    in_a_thread(lambda: hub_detail.with_detail(found, scanner))
    assert len(pauses) >= FILES // 16
    pauses.clear()
    in_a_thread(lambda: Verifier(scanner, tmp_path).run(found.repos))
    assert len(pauses) >= FILES // 16


def test_what_goes_over_very_many_kernels_lets_others_go_on(world: Path, pauses: list[float]) -> None:
    synthetic(world / ".triton" / "cache", ENTRIES)
    scanner = kernel_scan.Scanner(locations.kernel_roots())
    found = scanner.scan()
    in_a_thread(lambda: kernel_detail.with_detail(found, scanner, ("sm_90",)))
    assert len(pauses) >= 2 * (ENTRIES // 8), "it reads them all, then judges them all"
