"""Pictures of the main screens, compared with those that were looked at and found good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from cachetop.conversion.records import Run
from cachetop.hub.records import Models, Root
from cachetop.kernelcache.records import Cache, Kernels
from cachetop_tui.app import CachetopApp
from support import pictures, runs


async def settled(pilot: Pilot[None]) -> None:
    """Wait until the last thing the inventory tells has been painted."""
    app = pilot.app
    assert isinstance(app, CachetopApp)
    for _ in range(500):
        if app.overview._facts.watch and app.overview.models.models and app.overview.picture.outlook:
            break
        await pilot.pause(0.01)
    await pilot.pause()


def renamed(run: Run, name: str) -> Run:
    """The same run by another id."""
    return replace(run, job=replace(run.job, id=name))


CASES: dict[str, tuple[tuple[int, int], dict[str, str], tuple[str, ...]]] = {
    "full": ((160, 45), {}, ()),
    "wide": ((120, 30), {}, ()),
    "stack": ((80, 24), {}, ()),
    "stack-kernels": ((80, 24), {}, ("2",)),
    "stack-gpu": ((80, 24), {}, ("3",)),
    "narrow": ((60, 20), {}, ()),
    "light": ((160, 45), {"TEXTUAL_THEME": "cachetop-light"}, ("right", "right", "right")),
    "ansi": ((80, 24), {"TERM": "screen"}, ()),
    "ascii": ((80, 24), {"CACHETOP_ASCII": "1"}, ()),
    "menu": ((80, 24), {}, ("down", "m")),
    "find": ((80, 24), {}, ("b", "l", "l", "a", "m")),
    "no-colour": ((120, 30), {"NO_COLOR": "1"}, ()),
}


@pytest.mark.parametrize("name", CASES)
def test_screen(name: str, snap_compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    size, env, keys = CASES[name]
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ana"))
    for key in ("COLORTERM", "LC_ALL", "LC_CTYPE", "TEXTUAL_THEME"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    for key, value in env.items():
        monkeypatch.setenv(key, value)
    run, before = runs.running(), renamed(runs.done(), "20261123-135520-9c1d")
    now = runs.now_of(run)
    source = pictures.everything(jobs=runs.jobs(run, before), runs=(run, before))
    app = CachetopApp(source, clock=lambda: now, host="gpubox")
    assert snap_compare(app, press=keys, terminal_size=size, run_before=settled)


def test_nothing_here(snap_compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    models = Models(roots=(Root(path="/data/hub", reason="HF_HUB_CACHE", exists=False),))
    cache = Cache(
        id="triton", kind="triton", path="/data/triton", reason="TRITON_CACHE_DIR", exists=False, size_on_disk=0,
        filesystem=None,
    )  # fmt: skip
    source = pictures.FakeInventory(models, Kernels(caches=(cache,)), pictures.NO_DRIVER)
    app = CachetopApp(source, clock=lambda: pictures.NOW, host="gpubox")
    assert snap_compare(app, terminal_size=(100, 26), run_before=settled)
