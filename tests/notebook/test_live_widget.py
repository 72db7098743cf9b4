"""The live view as Python sees it; `test_live_pages` has it in real pages."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cachetop
from cachetop.notebook import live
from cachetop.notebook import widget as module
from cachetop.notebook.widget import LiveWidget
from support import hubcache
from support.notebook_shell import make_shell, run


@pytest.fixture
def hub(world: Path) -> Path:
    cache = world / ".cache" / "huggingface" / "hub"
    hubcache.healthy(cache, "org/model")
    return cache


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.1)


@pytest.fixture
def widget(hub: Path) -> Iterator[LiveWidget]:
    made = cachetop.live()
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


def stands_still(widget: LiveWidget) -> None:
    """It looks no more: not for six times as long as it takes from one look to the next."""
    last, since = widget.looks, time.monotonic()
    deadline = since + 20
    while time.monotonic() - since < 6 * live.INTERVAL:
        assert time.monotonic() < deadline, "it goes on looking"
        time.sleep(0.02)
        if widget.looks != last:
            last, since = widget.looks, time.monotonic()


def test_it_looks_only_while_it_is_seen(often: None, widget: LiveWidget) -> None:
    stands_still(widget)
    assert widget.looks == 0
    tell(widget, "a", True)
    tell(widget, "b", True)
    until(lambda: "org/model" in widget.html)
    tell(widget, "a", False)
    looks = widget.looks
    until(lambda: widget.looks > looks)  # b still sees it
    tell(widget, "b", False)
    stands_still(widget)


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


def test_a_view_that_says_nothing_any_more_counts_as_closed(
    often: None, widget: LiveWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALIVE", 1.0)
    tell(widget, "a", True)
    until(lambda: widget.looks > 0)
    stands_still(widget)  # the page went away without a word
    looks = widget.looks
    tell(widget, "a", True)  # it was only slow
    until(lambda: widget.looks > looks)


def test_the_first_picture_has_the_gpus(widget: LiveWidget) -> None:
    tell(widget, "a", True)
    until(lambda: widget.looks > 0 and "org/model" in widget.html)
    assert "have not been read" not in widget.html


def test_without_anywidget_it_is_an_output_that_is_replaced(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "cachetop.notebook.widget")
    with pytest.raises(ImportError, match=r"needs anywidget: pip install 'cachetop\[jupyter\]'"):
        cachetop.live()
    shell = make_shell()
    shell.run_line_magic("load_ext", "cachetop")
    assert run(shell, "%cachetop live") is None
    until(lambda: len(shell.display_pub.outputs) >= 2)
    assert "org/model" in shell.display_pub.outputs[-1]["data"]["text/html"] and shell.display_pub.outputs[-1]["update"]
    shell.run_line_magic("unload_ext", "cachetop")
