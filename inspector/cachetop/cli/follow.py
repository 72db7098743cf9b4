"""Following a job in a terminal: its events as narration on stderr, its outputs' paths on stdout."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cachetop.base import units
from cachetop.base.hostile import clean, show
from cachetop.base.record import why
from cachetop.cli.exits import DONE, FAILED, INTERRUPTED, NO_GPU
from cachetop.cli.table import say

if TYPE_CHECKING:
    from cachetop.conversion.events import Event
    from cachetop.conversion.launch import JobHandle

_FULL = 1 << 16
"""Bytes below which a disk counts as full."""
_EVERY = 0.1
"""Seconds between two rewritings of a line: the terminal may be far away."""


def follow(handle: JobHandle, as_json: bool, cancels: bool) -> int:
    """Show a job to its end; returns the exit code.

    Ctrl-C cancels the job with `cancels`, else only stops following. With `as_json` every event is one line
    on stdout, up to and with `job-finished` even then.
    """
    from cachetop.conversion.cancel import CannotCancel
    from cachetop.conversion.events import public

    narrator = None if as_json else _Narrator()
    seen = 0
    end: Event = {}

    def take(events: Iterator[Event]) -> None:
        nonlocal seen, end
        for number, event in enumerate(events, 1):
            if number <= seen:
                continue
            if narrator is None:
                print(public(event), flush=True)
            else:
                narrator.tell(event)
            seen, end = number, event

    with _interruptible() as interrupted:
        take(handle.events(stop=interrupted.is_set, idle=None if narrator is None else narrator.idle(handle)))
    if not interrupted.is_set() or end.get("event") == "job-finished":
        if end.get("event") != "job-finished":
            say(f"cachetop: {_cut_off(handle)}")
        return _code(end)
    if narrator is not None:
        narrator.clear()
    if not cancels:
        say(f"cachetop: job {handle.id} goes on; `cachetop jobs attach {handle.id}` follows it again")
        return INTERRUPTED
    say(f"cachetop: cancelling job {handle.id}")
    try:
        handle.cancel()
        take(handle.events(timeout=5))
    except (CannotCancel, TimeoutError) as error:
        say(f"cachetop: {error}")
    return INTERRUPTED


def _cut_off(handle: JobHandle) -> str:
    """Why a job's record may lack its end, though nobody writes to it any more."""
    try:
        free = shutil.disk_usage(handle.folder).free
    except OSError as error:
        return f"the folder of job {handle.id} cannot be read any more ({why(error)}), so its end is not known"
    full = f": only {units.size(free)} are free there; free some, or set CACHETOP_STATE_DIR" if free < _FULL else ""
    return f"the record of job {handle.id} in {clean(str(handle.folder))} ends before the job's end{full}"


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of breaking into the middle of a line. Restored on leaving."""
    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _code(end: Event) -> int:
    if end.get("event") == "job-finished" and end.get("status") == "success":
        return DONE
    return NO_GPU if end.get("reason") == "no-gpu" else FAILED


class _Narrator:
    """One plain line per event of note; a line that is rewritten in place only on a terminal."""

    def __init__(self) -> None:
        self._lively = sys.stderr.isatty()
        self._shown = False
        self._passed = 0.0
        self._heard = time.time()
        self._began: dict[str, tuple[float, float]] = {}

    def clear(self) -> None:
        """Take away the line that is being rewritten."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False

    def idle(self, handle: JobHandle) -> Callable[[], None]:
        """To be called while no event comes: says what the run is stuck at, ever more rarely."""
        from cachetop.conversion import stalled

        heard, patience = 0.0, stalled.PATIENCE

        def look() -> None:
            nonlocal heard, patience
            now = time.time()
            if self._heard != heard:
                heard, patience = self._heard, stalled.PATIENCE
            if now - heard < patience:
                return
            patience *= 2
            try:
                found = stalled.look(handle.run(), now).stalled
            except ValueError:
                return
            if found is not None:
                self.clear()
                say(f"        {stalled.sentence(found, now)}")

        return look

    def tell(self, event: Event) -> None:
        """Say what is worth saying of one event."""
        if event["event"] != "vram":
            self._heard = _number(event.get("time")) or self._heard
        passing = self._passing(event)
        if passing is not None:
            now = time.monotonic()
            if self._lively and now - self._passed >= _EVERY:
                self._passed = now
                print(f"\r\x1b[K{passing[:79]}", end="", file=sys.stderr, flush=True)
                self._shown = True
            return
        lines = list(_lines(event))
        outputs = event.get("outputs") if event["event"] == "document-finished" else None
        if lines or outputs:
            self.clear()
        for line in lines:
            say(line)
        if isinstance(outputs, list):
            for path in outputs:
                # programs get the path as it is, a terminal gets no control characters from a file's name
                print(clean(str(path)) if sys.stdout.isatty() else path, flush=True)

    def _passing(self, event: Event) -> str | None:
        """What is true only for now."""
        match event["event"]:
            case "phase-started":
                return f"{clean(str(event.get('phase')))} ..."
            case "progress":
                total = event.get("total")
                of = f" of {clean(str(total))}" if total is not None else ""
                done, unit = clean(str(event.get("done"))), clean(str(event.get("unit", "")))
                return f"{clean(str(event.get('phase')))}: {done}{of} {unit}"
            case "tokens" if event.get("done") is not True:
                return f"convert: {clean(str(event.get('tokens')))} tokens of page {_listed(event.get('pages'))}"
            case "download":
                return self._downloading(event)
        return None

    def _downloading(self, event: Event) -> str:
        name = f"{clean(str(event.get('repo')))} {clean(str(event.get('file')))}".removesuffix(" *")
        got, moment = _number(event.get("bytes")) or 0.0, _number(event.get("time")) or 0.0
        since, had = self._began.setdefault(name, (moment, got))
        pace = f", {units.size((got - had) / (moment - since))}/s" if moment - since > 0.1 and got > had else ""
        return f"downloading {name}: {units.size(got)} of {units.size(_number(event.get('total')))}{pace}"


def _lines(event: Event) -> Iterator[str]:
    name = event["event"]
    if name == "job-started":
        versions = event.get("versions")
        docling = versions.get("docling") or versions.get("docling-slim") if isinstance(versions, dict) else None
        with_docling = f" with docling {clean(str(docling))}" if docling else ""
        yield f"job {clean(str(event.get('job')))}{with_docling} under {clean(str(event.get('python')))}"
    elif name in ("device", "pipeline"):
        reason = event.get("reason") or "; ".join(
            str(check.get("message")) for check in event.get("checks") or [] if isinstance(check, dict)
        )
        yield f"{name} {clean(str(event.get('chosen')))}" + (f": {show(str(reason))}" if reason else "")
    elif name == "phase-finished":
        yield f"{clean(str(event.get('phase'))):<8}{units.duration(_number(event.get('seconds')))}"
    elif name == "model-loaded":
        what = clean(str(event.get("repo") or event.get("path") or "a model"))
        size, took = units.size(_number(event.get("bytes"))), units.duration(_number(event.get("seconds")))
        yield f"        {what}, {size}, on {clean(str(event.get('device')))} in {took}"
    elif name == "tokens":
        tokens, seconds = _number(event.get("tokens")), _number(event.get("seconds"))
        rate = f", {(tokens - 1) / seconds:.1f} tokens/s" if tokens and seconds and tokens > 1 else ""
        first = units.duration(_number(event.get("first")))
        yield f"        page {_listed(event.get('pages'))}: {tokens or 0:.0f} tokens, the first after {first}{rate}"
    elif name == "dropped":
        yield f"cold    {units.size(_number(event.get('bytes')))} of weights dropped from RAM"
    elif name == "waiting":
        stage, took = clean(str(event.get("stage"))), units.duration(_number(event.get("seconds")))
        yield f"        waits for {stage}, page {_listed(event.get('pages'))}, at work for {took}"
    elif name == "compile-note":
        yield f"compile {show(str(event.get('message')))}"
    elif name == "kernel-compiled":
        kernel = clean(str(event.get("name") or event.get("key") or "a kernel"))
        milliseconds = _number(event.get("milliseconds"))
        took = units.duration(None if milliseconds is None else milliseconds / 1000)
        yield f"        compiled {kernel} for {clean(str(event.get('sm') or '?'))} in {took}"
    elif name in ("warning", "error"):
        yield f"{name}: {show(str(event.get('message')))}"
        if event.get("hint"):
            yield f"        {show(str(event['hint']))}"
    elif name == "document-finished":
        took = units.duration(_number(event.get("seconds")))
        pages = event.get("pages")
        counted = f", {clean(str(pages))} page{'' if pages == 1 else 's'}" if pages else ""
        yield f"{clean(str(event.get('file')))}: {clean(str(event.get('status')))}{counted}, {took}"
    elif name == "job-finished":
        start = f", start {clean(str(event['start']))}" if event.get("start") else ""
        yield f"{clean(str(event.get('status')))} in {units.duration(_number(event.get('seconds')))}{start}"


def _listed(pages: object) -> str:
    """Page numbers of an event."""
    return ", ".join(clean(str(page)) for page in pages[:8]) if isinstance(pages, list) and pages else "?"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
