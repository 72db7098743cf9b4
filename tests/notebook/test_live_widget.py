"""The live view: in Python, and in a real JupyterLab in a headless Chromium."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from cachetop.notebook.widget import LiveWidget
from support import hubcache, notebooks
from support.notebook_browser import CHROMIUM, browser, jupyterlab, under_ci


@pytest.fixture
def hub(world: Path) -> Path:
    cache = world / ".cache" / "huggingface" / "hub"
    hubcache.healthy(cache, "org/model")
    return cache


@pytest.fixture
def widget(hub: Path) -> Iterator[LiveWidget]:
    made = LiveWidget()
    yield made
    made.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert true()


def tell(widget: LiveWidget, view: str, seen: bool) -> None:
    """A message as a view sends it."""
    widget._handle_custom_msg({"view": view, "seen": seen}, [])


def test_it_looks_only_while_it_is_seen(widget: LiveWidget) -> None:
    time.sleep(0.3)
    assert widget.looks == 0
    tell(widget, "a", True)
    tell(widget, "b", True)
    until(lambda: "org/model" in widget.html)
    tell(widget, "a", False)
    looks = widget.looks
    until(lambda: widget.looks > looks)  # b still sees it
    tell(widget, "b", False)
    time.sleep(1.2)  # the look that was on its way
    looks = widget.looks
    time.sleep(1.2)
    assert widget.looks == looks


def test_at_most_one_look_a_second(widget: LiveWidget) -> None:
    tell(widget, "a", True)
    until(lambda: widget.looks >= 1)
    looks, began = widget.looks, time.monotonic()
    until(lambda: widget.looks >= looks + 2)
    assert time.monotonic() - began > 1.8


def test_closing_ends_its_thread(hub: Path) -> None:
    widget = LiveWidget()
    tell(widget, "a", True)
    until(lambda: widget.looks > 0)
    widget.stop()
    assert widget.stopped and not widget.running
    widget.close()


def test_nonsense_from_a_page_is_passed_over(widget: LiveWidget) -> None:
    messages: tuple[Any, ...] = (None, [], {"view": 3, "seen": True}, {"seen": True}, "x")
    for message in messages:
        widget._handle_custom_msg(message, [])
    assert widget.running and widget.looks == 0


CHOOSE = "document.querySelector('.jp-Dialog .jp-mod-accept')?.click() ?? undefined"
"""Lab may ask which kernel to take: the one it proposes."""
READY = (
    "window.jupyterapp.serviceManager.kernels.refreshRunning().then(() => "
    "[...window.jupyterapp.serviceManager.kernels.running()].some((one) => one.execution_state == 'idle'))"
)
RUN = "void window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')"
LOOKS = "document.querySelector('.cachetop-live').innerText.match(/at (\\d\\d:\\d\\d:\\d\\d)/)?.[1]"


@pytest.mark.skipif(CHROMIUM is None and not under_ci(), reason="no Chromium here")
def test_it_renders_updates_and_stops_in_jupyterlab(hub: Path, tmp_path: Path) -> None:
    assert CHROMIUM, "CI must have Chromium (apt-get install chromium)"
    hostile = "evil<img src=x onerror=window.cachetop_was_here=1>"
    (hub / f"models--org--{hostile}" / "blobs").mkdir(parents=True)
    notebook = notebooks.of_cells("%load_ext cachetop\nview = %cachetop live\nview", "%cachetop live stop")
    write: Any = nbformat.write
    write(notebook, tmp_path / "live.ipynb")
    with jupyterlab(tmp_path) as address, browser(tmp_path / "profile") as page:
        page.call("Page.navigate", url=f"{address}/lab/tree/live.ipynb")
        page.until("window.jupyterapp && document.querySelectorAll('.jp-Notebook .jp-Cell').length > 1")
        page.until(f"{{ {CHOOSE}; {READY} }}")
        page.evaluate(RUN)
        page.until("document.querySelector('.cachetop-live')?.innerText.includes('org/model')")
        first = page.evaluate(LOOKS)
        page.until(f"({LOOKS} ?? {first!r}) != {first!r}")  # it updates
        assert page.evaluate("document.querySelector('.cachetop-live').innerText.includes('evil<img')")
        assert page.evaluate("document.querySelectorAll('.cachetop-live img').length") == 0
        assert page.evaluate("window.cachetop_was_here") is None
        page.picture(tmp_path / "live.png")
        assert (tmp_path / "live.png").stat().st_size > 10_000
        page.evaluate(RUN)
        page.until("document.querySelector('.cachetop-live').innerText.includes('stopped')")
        last = page.evaluate(LOOKS)
        time.sleep(2.5)
        assert page.evaluate(LOOKS) == last
