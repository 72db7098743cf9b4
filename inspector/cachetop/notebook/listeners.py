"""What Triton and torch say in this process about compiling: Triton's listener and torch's structured trace.

Neither is ever imported here. Triton's listener is set as soon as Triton is there, also when the block itself
imports it, and the one that was set before goes on being called. torch's trace is a logger by name: a handler
can wait for torch. Inductor compiles most Triton kernels in other processes, where no listener is: those are
known from the trace and from what appeared in the cache.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from cachetop.base.hostile import clean, show
from cachetop.notebook.records import KernelUse, TorchCompile

_LONGEST = 300
_MOST_REASONS = 10


class Listeners:
    """Collects what is said from `start` to `stop`."""

    def __init__(self) -> None:
        self.kernels: list[KernelUse] = []
        self.graphs: list[KernelUse] = []
        self.times: dict[str, float | None] = {}
        """Name of a Triton kernel that Inductor compiled -> milliseconds."""
        self.heard_triton = False
        self._seconds = 0.0
        self._compiled = 0
        self._recompiled: list[str] = []
        self._bypassed = 0
        self._trace = _Trace(self)
        self._counters: dict[str, dict[str, int]] = {}

    def start(self) -> None:
        """Begin to listen."""
        self._counters = _counters()
        logging.getLogger("torch.__trace").addHandler(self._trace)
        _triton.join(self)
        self.tick()

    def tick(self) -> None:
        """Set Triton's listener if Triton has come meanwhile."""
        self.heard_triton |= _triton.install()

    def stop(self) -> TorchCompile | None:
        """End listening; what torch.compile counted, None when it compiled nothing."""
        self.tick()
        _triton.leave(self)
        logging.getLogger("torch.__trace").removeHandler(self._trace)
        now = _counters()

        def risen(group: str, name: str) -> int:
            return max(0, now.get(group, {}).get(name, 0) - self._counters.get(group, {}).get(name, 0))

        breaks = {reason: risen("graph_break", reason) for reason in now.get("graph_break", {})}
        hits = risen("inductor", "fxgraph_cache_hit")
        whole = risen("aot_autograd", "autograd_cache_hit")
        graphs = max(risen("stats", "unique_graphs"), self._compiled - len(self._recompiled))
        if not (self._compiled or graphs or hits or whole or any(breaks.values())):
            return None
        reasons = [reason for reason, count in breaks.items() if count] + self._recompiled
        return TorchCompile(
            graphs=risen("stats", "unique_graphs"),
            cache_hits=hits,
            autograd_hits=whole,
            cache_misses=sum(not graph.hit for graph in self.graphs),
            cache_bypassed=self._bypassed,
            graph_breaks=sum(breaks.values()),
            recompiles=len(self._recompiled),
            reasons=tuple(show(reason.split("\n")[0], _LONGEST) for reason in reasons[:_MOST_REASONS]),
            seconds=self._seconds if self._compiled else None,
        )

    def triton(self, metadata: Any, group: Any, times: Any, hit: bool) -> None:
        """Triton compiled a kernel or found it on disk."""
        files = [path for path in (group or {}).values() if isinstance(path, str)]
        target = metadata.get("target")
        arch = target.get("arch") if isinstance(target, dict) else getattr(target, "arch", None)
        name = metadata.get("name")
        self.kernels.append(
            KernelUse(
                cache="triton",
                key=clean(os.path.basename(os.path.dirname(files[0]))) if files else None,
                name=clean(str(name)) if name else None,
                sm=(f"sm_{arch}",) if isinstance(arch, int) else (),
                milliseconds=times.total / 1000,  # Triton counts microseconds
                hit=hit,
                evidence="listener",
            )
        )

    def graph(self, hit: bool, told: dict[str, Any]) -> None:
        """Inductor found a graph in its cache, or did not."""
        key, took = told.get("key"), told.get("time_taken_ns")
        self.graphs.append(
            KernelUse(
                cache="inductor",
                key=clean(str(key)) if key else None,
                name=None,
                sm=(),
                milliseconds=took / 1e6 if isinstance(took, int | float) and not hit else None,
                hit=hit,
                evidence="trace",
                part="fxgraph",
            )
        )

    def compiled(self, told: dict[str, Any]) -> None:
        """Dynamo finished with one frame."""
        self._compiled += 1
        spent = told.get("duration_us")
        if isinstance(spent, int | float):
            self._seconds += spent / 1e6
        again = str(told.get("compile_id") or "").rpartition("/")[2].partition("_")[0]
        if again not in ("", "0"):
            self._recompiled.append(str(told.get("recompile_reason") or "recompiled, reason not told"))

    def bypassed(self) -> None:
        """A graph could not be cached."""
        self._bypassed += 1


class _Trace(logging.Handler):
    """Reads torch's structured trace in process. Never raises: a record of another shape is passed over."""

    def __init__(self, listeners: Listeners) -> None:
        super().__init__(level=logging.DEBUG)
        self._to = listeners

    def emit(self, record: logging.LogRecord) -> None:
        try:
            told = getattr(record, "metadata", None) or {}
            if "artifact" in told:
                self._artifact(str(told["artifact"].get("name")), getattr(record, "payload", None))
            elif "compilation_metrics" in told:
                self._to.compiled(told["compilation_metrics"])
        except Exception:
            logging.getLogger(__name__).debug("a trace record could not be read", exc_info=True)

    def _artifact(self, name: str, payload: Any) -> None:
        if name in ("fx_graph_cache_hit", "fx_graph_cache_miss"):
            self._to.graph(name.endswith("hit"), json.loads(payload or "{}"))
        elif name == "fx_graph_cache_bypass":
            self._to.bypassed()
        elif name == "triton_kernel_info":
            for kernel, facts in json.loads(payload or "{}").items():
                spent = facts.get("compile_time_us") if isinstance(facts, dict) else None
                self._to.times[clean(str(kernel))] = spent / 1000 if isinstance(spent, int | float) else None


class _Triton:
    """The one listener that all blocks share; it passes everything on to whichever was set before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: tuple[Listeners, ...] = ()
        self._previous: Callable[..., Any] | None = None
        self._knobs: Any = None

    def join(self, one: Listeners) -> None:
        with self._lock:
            self._members = (*self._members, one)

    def install(self) -> bool:
        """Set the listener if Triton is there; returns whether it is set."""
        knobs = sys.modules.get("triton.knobs")
        compilation = getattr(knobs, "compilation", None)
        if compilation is None or not hasattr(compilation, "listener"):
            return False
        with self._lock:
            if self._knobs is None:
                self._previous, self._knobs = compilation.listener, compilation
                compilation.listener = self.hear
        return True

    def leave(self, one: Listeners) -> None:
        with self._lock:
            self._members = tuple(member for member in self._members if member is not one)
            if self._members or self._knobs is None:
                return
            if self._knobs.listener == self.hear:  # else somebody wrapped it: it stays and only passes on
                self._knobs.listener = self._previous
                self._knobs = self._previous = None

    def hear(self, *, src: Any, metadata: Any, metadata_group: Any, times: Any, cache_hit: bool) -> None:
        for member in self._members:
            try:
                member.triton(metadata, metadata_group, times, cache_hit)
            except Exception:
                logging.getLogger(__name__).debug("Triton's listener was told something else", exc_info=True)
        if self._previous is not None:
            self._previous(src=src, metadata=metadata, metadata_group=metadata_group, times=times, cache_hit=cache_hit)


_triton = _Triton()


def _counters() -> dict[str, dict[str, int]]:
    """Dynamo's counters, copied, if this process has them."""
    counters = getattr(sys.modules.get("torch._dynamo.utils"), "counters", None)
    try:
        return {group: dict(counters[group]) for group in list(counters)} if counters is not None else {}
    except Exception:  # changed while it was copied
        return {}
