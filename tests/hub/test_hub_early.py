"""The first rows of a large cache come before its scan ends."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from cachetop.base.collecting import collecting_later
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


def test_the_collector_rests_until_the_last_of_two_scans_has_ended() -> None:
    first, second = collecting_later(), collecting_later()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled(), "the second scan is still going on"
    second.__exit__(None, None, None)
    assert gc.isenabled()


SETTLED = """
import gc
import subprocess
import sys
from cachetop.base.collecting import collecting_later, settle
settle()
with collecting_later():
    many = [[n] for n in range(50_000)]
young = len(gc.get_objects(0))
with collecting_later():
    few = [[n] for n in range(500)]
print(young < 5000, len(gc.get_objects(0)) >= 500)
"""


def test_in_the_app_the_collector_does_not_go_over_what_a_large_scan_has_built() -> None:
    done = subprocess.run([sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
