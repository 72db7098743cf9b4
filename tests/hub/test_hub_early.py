"""The first rows of a large cache come before its scan ends."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from cachetop.hub import scan
from cachetop.hub.records import Models
from cachetop.hub.scan import Scanner
from support import hubcache


def test_rows_come_while_the_scan_goes_on(cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        hubcache.healthy(cache, f"org/m{number:02}", weights=100)
    monkeypatch.setattr(scan, "_FIRST_ROWS", 0.0)
    monkeypatch.setattr(scan, "_MORE_ROWS", 0.0)
    told: list[Models] = []
    whole = scanner.scan(told.append)
    assert [len(models.repos) for models in told] == list(range(1, 21))
    assert all(models.scanning for models in told) and not whole.scanning
    assert [models.size for models in told] == sorted(models.size for models in told)
    assert told[-1].repos == whole.repos
    assert scanner.scan(told.append) is whole and len(told) == 20


def test_rows_do_not_wait_for_a_large_data_set(cache: Path, scanner: Scanner) -> None:
    hubcache.healthy(cache, "org/a-large-one", "dataset")
    hubcache.healthy(cache, "org/model")
    told: list[Models] = []
    scanner.scan(told.append)
    assert [repo.id for repo in told[0].repos] == ["org/model"]


def test_the_collector_is_left_as_it_was(cache: Path, scanner: Scanner) -> None:
    hubcache.healthy(cache)

    def stumble(_: Models) -> None:
        raise RuntimeError

    scanner.scan()
    assert gc.isenabled()
    gc.disable()
    try:
        scanner.scan(stumble)
        assert not gc.isenabled()
    finally:
        gc.enable()
