"""Caches that cannot be read: they still have sizes, files and ages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop.kernelcache.describe import describe
from cachetop.kernelcache.records import Kernels
from cachetop.kernelcache.scan import Scanner
from cachetop.locations import Location

Look = Callable[..., Kernels]


def test_the_drivers_cache_is_one_row(tmp_path: Path, look: Look) -> None:
    assert look(tmp_path, "cuda-driver").entries == ()
    for name in ("index", "0/1/aa", "f/2/bb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 5000)
    (entry,) = look(tmp_path, "cuda-driver").entries
    assert (entry.state, entry.files, entry.sm, entry.stale) == ("opaque", 3, (), ())
    assert entry.size_on_disk == sum(p.stat().st_blocks * 512 for p in tmp_path.rglob("*") if p.is_file())


def test_one_row_per_torch_extension(tmp_path: Path) -> None:
    for name in ("py311_cu130/flash", "py311_cu130/rope", "py312_cpu/rope", "mine/other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "build.ninja").write_text("rule x")
        (tmp_path / name / "lock").touch()
    scanner = Scanner([Location("torch-extensions", str(tmp_path), "")])
    found = scanner.scan()
    assert {(entry.path, entry.name, entry.producer.cuda, entry.files, entry.state) for entry in found.entries} == {
        ("py311_cu130/flash", "flash", "13.0", 2, "compiling"),
        ("py311_cu130/rope", "rope", "13.0", 2, "compiling"),
        ("py312_cpu/rope", "rope", None, 2, "compiling"),
    }
    (tmp_path / "py311_cu130/flash/flash.so").write_bytes(b"\x7fELF")
    again = {entry.path: entry for entry in scanner.scan().entries}
    assert again["py311_cu130/flash"].files == 3
    assert again["py312_cpu/rope"] in found.entries
    assert scanner.owner("torch-extensions", "py311_cu130/rope/rope.o") == "py311_cu130/rope"


def test_the_drivers_limit_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index").write_bytes(b"x")
    scanner = Scanner([Location("cuda-driver", str(tmp_path), "")])
    (entry,) = scanner.scan().entries
    monkeypatch.delenv("CUDA_CACHE_MAXSIZE", raising=False)
    assert describe(entry, scanner).options["limit_bytes"] == 1 << 30
    monkeypatch.setenv("CUDA_CACHE_MAXSIZE", "268435456")
    assert describe(entry, scanner).options["limit_bytes"] == 256 << 20
