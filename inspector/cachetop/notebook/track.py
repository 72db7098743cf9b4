"""`with cachetop.track() as report:` and `@cachetop.track()`: what a block of code cost."""

from __future__ import annotations

import functools
import inspect
import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from cachetop.base.hostile import show
from cachetop.base.record import Problem
from cachetop.notebook.kernels import KernelWatch
from cachetop.notebook.reads import Reads
from cachetop.notebook.records import Report
from cachetop.notebook.vram import INTERVAL, Vram

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
PARTS = ("models", "kernels", "vram")
_TICK = 0.05
"""Seconds between two looks for a Triton that was imported, or a repo that appeared."""


class Tracked(Protocol[P, R]):
    """A decorated function: called as before, with the report of its newest call, None before the first."""

    report: Report | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def __get__(self, instance: Any, owner: Any = None) -> Callable[..., R]: ...  # a method is bound as any other


class Track:
    """Watches a block from its beginning to its end, then is its report.

    After the block its attributes are those of `Report` (`report.models`, `report.seconds`, ...); `report` is the
    frozen record itself. During the block they raise RuntimeError. An exception in the block passes through and is
    in `problems`. Blocks may be nested and run in several threads: each sees everything of this process.
    """

    def __init__(self, only: str | Iterable[str] | None = None, done: Callable[[Report], object] | None = None) -> None:
        """`only` names the parts to watch (models, kernels, vram), default all; `done` is called with the report.

        Raises ValueError with a sentence for a part that does not exist.
        """
        names = [] if only is None else only.replace(",", " ").split() if isinstance(only, str) else list(only)
        for name in names:
            if name not in PARTS:
                raise ValueError(f"{show(name)!r} cannot be watched; there are {', '.join(PARTS)}")
        self.only = tuple(part for part in PARTS if part in names)
        self._done = done
        self._report: Report | None = None

    @property
    def report(self) -> Report:
        """The report. Raises RuntimeError before the block has ended."""
        if self._report is None:
            raise RuntimeError("the report is ready when the block has ended")
        return self._report

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts and lists."""
        return self.report.to_dict()

    def to_json(self, indent: int | None = None) -> str:
        """The report as one `cachetop.report/1` document."""
        return self.report.to_json(indent)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.report, name)

    def __repr__(self) -> str:
        return repr(self._report) if self._report is not None else "<cachetop.track: the block has not ended>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {} if self._report is None else self._report._repr_mimebundle_(include, exclude)

    def _repr_html_(self) -> str | None:
        return None if self._report is None else self._report._repr_html_()

    def __enter__(self) -> Track:
        began = time.perf_counter()
        wanted = self.only or PARTS
        self._report = None
        with ExitStack() as begun:  # what has begun ends again if the rest cannot begin
            self._vram = Vram() if "vram" in wanted else None
            begun.callback(_end, self._vram)
            self._kernels = KernelWatch() if "kernels" in wanted else None
            begun.callback(_end, self._kernels)
            self._reads = Reads() if "models" in wanted else None
            begun.callback(_end, self._reads)
            self._ending, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            begun.pop_all()
        self._thread = threading.Thread(target=self._watch, name="cachetop-track", daemon=True)
        self._thread.start()
        self._began = time.perf_counter()
        self._overhead = self._began - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = time.perf_counter()
        seconds = ended - self._began
        os.write(self._bell, b"x")
        self._thread.join()
        os.close(self._ending)
        os.close(self._bell)
        found: dict[str, Any] = {}
        problems: list[Problem] = []
        evidence: dict[str, str] = {}
        if error is not None:
            message = show(f"{type(error).__name__}: {error}".strip().removesuffix(":"), 500)
            problems.append(Problem(rule="exception", message=f"The block ended with {message}"))
        if self._reads is not None:
            found["models"], found["downloads"] = self._reads.finish()
            evidence["models"] = self._reads.evidence
            if self._reads.lost:
                problems.append(
                    Problem(rule="events-lost", message="The system dropped events: some file reads are not listed.")
                )
        if self._kernels is not None:
            found["kernels"], found["torch"], unreadable = self._kernels.finish()
            problems.extend(unreadable)
            evidence["kernels"] = self._kernels.evidence
        if self._vram is not None:
            found["vram"], found["vram_reason"], found["allocator"] = self._vram.finish()
            evidence["vram"] = f"NVML every {INTERVAL:g} s: a shorter peak is missed"
        overhead = self._overhead + time.perf_counter() - ended
        self._report = Report(
            seconds=seconds,
            problems=tuple(problems),
            evidence=evidence,
            overhead_seconds=overhead,
            only=self.only,
            **found,
        )
        if self._done is not None:
            self._done(self._report)

    def __call__(self, function: Callable[P, R]) -> Tracked[P, R]:
        """Decorate: each call is a block of its own, its report in `function.report` and given to `done`.

        Raises TypeError for a generator, whose call is not where it works: track the loop over it.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} is a generator: track the loop over it, not the call that makes it"
            )
        called: Callable[..., Any] = function
        tracked: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def later(*args: Any, **kwargs: Any) -> Any:
                with Track(self.only, self._keep(tracked)):
                    return await called(*args, **kwargs)

            tracked = later
        else:

            @functools.wraps(function)
            def now(*args: Any, **kwargs: Any) -> Any:
                with Track(self.only, self._keep(tracked)):
                    return called(*args, **kwargs)

            tracked = now
        tracked.report = None
        return cast("Tracked[P, R]", tracked)

    def _keep(self, function: Any) -> Callable[[Report], None]:
        def keep(report: Report) -> None:
            function.report = report
            if self._done is not None:
                self._done(report)

        return keep

    def _watch(self) -> None:
        while True:
            if self._reads is not None:
                self._reads.wait(_TICK, self._ending)
                self._reads.tick()
            else:
                select.select([self._ending], [], [], _TICK)
            if self._kernels is not None:
                self._kernels.tick()
            try:
                if os.read(self._ending, 1):
                    return
            except BlockingIOError:
                continue


def _end(watch: Vram | KernelWatch | Reads | None) -> None:
    if watch is not None:
        watch.finish()


@overload
def track(only: Callable[P, R]) -> Tracked[P, R]: ...
@overload
def track(only: str | Iterable[str] | None = None, done: Callable[[Report], object] | None = None) -> Track: ...
def track(only: Any = None, done: Any = None) -> Any:
    """Watch a block of code: `with cachetop.track() as report:`, or `@cachetop.track` on a function, async or not.

    The report has what was read (repo@revision, bytes, in RAM before), downloaded, compiled and found in a kernel
    cache, VRAM before, at most and after, the wall time and problems. torch and Triton are watched if they are
    there and never imported. `only` names the parts to watch (models, kernels, vram), default all; `done` is called
    with each report. A function that is decorated has its newest report in `.report`.

    Raises ValueError with a sentence for a part that does not exist.
    """
    return Track()(only) if callable(only) else Track(only, done)
