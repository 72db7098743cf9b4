"""See kernels being compiled or found: Triton's listener, torch's trace, and what changed on disk.

Most runs compile nothing: eager PyTorch ships its kernels. That is said only where it was watched, see
`Roots.note`.
"""

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from . import weights
from .device import Choice
from .record import Recorder

_STAT_LIMIT = 5_000
_NESTED = ("fxgraph", "aotautograd", "triton", "0", "1")

_Seen = frozenset[tuple[str, int]]


class Roots:
    """The kernel caches of the job, listed before and after: what changed in between."""

    def __init__(self, roots: dict[str, str]) -> None:
        self._roots = roots
        self._before = {kind: _listing(path) for kind, path in roots.items()}

    def of(self, path: str) -> str | None:
        """The root a file lies in; None when it is in none of those watched."""
        real = os.path.realpath(path)
        inside = [k for k, root in self._roots.items() if real.startswith(os.path.realpath(root) + os.sep)]
        return max(inside, key=lambda kind: len(self._roots[kind])) if inside else None

    def changed(self) -> list[str]:
        """The caches in which an entry appeared, changed or went since the start."""
        return [kind for kind, path in self._roots.items() if _listing(path) != self._before[kind]]

    def note(self, device: Choice) -> str:
        """Why no compilation was reported: derived from what was watched, never assumed."""
        if not device.cuda:
            return "CPU run: no GPU kernels"
        changed = self.changed()
        if changed:
            return f"No compiler reported here, but {', '.join(changed)} changed: another process may have written it"
        if not self._roots:
            return "No compiler reported; no kernel cache was watched"
        shipped = f"torch ships kernels for {device.sm}" if device.sm_shipped else f"torch ships none for {device.sm}"
        return f"Nothing compiled: nothing changed in {len(self._roots)} watched kernel caches, and {shipped}"


def _listing(root: str) -> _Seen:
    """Names and change times of a cache root, one level deeper where entries lie in known folders."""
    found = []
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                found.append((entry.name, 0))
        if len(found) <= _STAT_LIMIT:
            found = [(name, _changed(os.path.join(root, name))) for name, _ in found]
    except OSError:
        return frozenset()
    for name in _NESTED:
        inner = os.path.join(root, name)
        try:
            found.extend((f"{name}/{child}", _changed(os.path.join(inner, child))) for child in os.listdir(inner))
        except OSError:
            continue
    return frozenset(found)


def _changed(path: str) -> int:
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0


class KernelWatch:
    """Reports `kernel-compiled` and `kernel-hit`, and the compile phase around them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._lock = threading.Lock()
        self.roots = Roots({})
        self.seen = 0
        """How many kernels were reported in this job."""

    def open(self, roots: dict[str, str]) -> None:
        """Begin a job."""
        self.roots, self.seen = Roots(roots), 0

    def hooks(self) -> list[tuple[str, Callable[[], None]]]:
        """The hooks with their names, each installed once."""
        return [("triton-listener", self._hook_triton), ("torch-compile", self._hook_torch)]

    def _emit(self, hit: bool, cache: str, key: str | None, name: str | None, sm: str | None,
              milliseconds: float | None, files: Sequence[str] = ()) -> None:  # fmt: skip
        with self._lock:
            self.seen += 1
        rounded = None if milliseconds is None else round(milliseconds, 3)
        event = "kernel-hit" if hit else "kernel-compiled"
        self._recorder.emit(
            event, cache=cache, key=key, name=name, sm=sm, milliseconds=rounded, files=len(files) or None,
            bytes=weights.size(list(files)) if files else None,
        )  # fmt: skip

    def _hook_triton(self) -> None:
        from triton import knobs

        previous = knobs.compilation.listener

        def listener(*, src: Any, metadata: Any, metadata_group: Any, times: Any, cache_hit: bool) -> None:
            try:
                self._triton(metadata, metadata_group, times, cache_hit)
            finally:
                if previous is not None:
                    previous(
                        src=src, metadata=metadata, metadata_group=metadata_group, times=times, cache_hit=cache_hit
                    )

        knobs.compilation.listener = listener

    def _triton(self, metadata: Any, group: Any, times: Any, hit: bool) -> None:
        files = [path for path in (group or {}).values() if isinstance(path, str)]
        folder = os.path.dirname(files[0]) if files else ""
        target = metadata.get("target")
        arch = getattr(target, "arch", None) if not isinstance(target, dict) else target.get("arch")
        milliseconds = times.total / 1000  # Triton counts microseconds
        if not hit:
            self._recorder.was("compile", milliseconds / 1000)
        self._emit(
            hit, (self.roots.of(files[0]) if files else None) or "triton", os.path.basename(folder) or None,
            metadata.get("name"), f"sm_{arch}" if isinstance(arch, int) else None, milliseconds, files,
        )  # fmt: skip

    def _hook_torch(self) -> None:
        """Dynamo brackets the compilation, the trace says which graph was a hit and which a miss."""
        if "torch" not in sys.modules:
            raise ImportError("torch is not imported")
        from torch._dynamo.callback import callback_handler

        callback_handler.register_start_callback(lambda _: self._recorder.begin("compile"))
        callback_handler.register_end_callback(lambda _: self._recorder.end("compile"))
        logging.getLogger("torch.__trace").addHandler(_Trace(self._graph, self._fused))

    def _graph(self, hit: bool, key: str | None, milliseconds: float | None) -> None:
        self._emit(hit, "inductor", key, None, None, milliseconds)

    def _fused(self, name: str, milliseconds: float | None) -> None:
        self._emit(False, "inductor", None, name, None, milliseconds)


class _Trace(logging.Handler):
    """Reads torch's structured trace in process: graphs by key, Triton kernels by name."""

    def __init__(
        self,
        graph: Callable[[bool, str | None, float | None], None],
        fused: Callable[[str, float | None], None],
    ) -> None:
        super().__init__(level=logging.DEBUG)
        self._graph = graph
        self._fused = fused

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a trace of another shape is passed over."""
        try:
            told = getattr(record, "metadata", None) or {}
            artifact = told.get("artifact")
            if artifact:
                self._artifact(str(artifact.get("name")), getattr(record, "payload", None))
        except Exception:
            self.handleError(record)

    def _artifact(self, name: str, payload: Any) -> None:
        if name in ("fx_graph_cache_hit", "fx_graph_cache_miss"):
            told = json.loads(payload) if payload else {}
            saved = told.get("time_taken_ns") if name.endswith("miss") else None
            self._graph(name.endswith("hit"), told.get("key"), saved / 1e6 if saved else None)
        elif name == "triton_kernel_info":
            for kernel, facts in json.loads(payload or "{}").items():
                spent = facts.get("compile_time_us") if isinstance(facts, dict) else None
                self._fused(str(kernel), spent / 1000 if spent else None)
