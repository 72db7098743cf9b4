"""Sampling in the background: one plain daemon thread, so that a hung driver holds nothing but itself.

A call into a driver that does not answer cannot be ended from outside. Readers go on with the last sample and
are told for how long there has been no answer; `stop` and the end of the program do not wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import msgspec

from cachetop.gpu.peaks import Peaks
from cachetop.gpu.reasons import NoDriver
from cachetop.gpu.records import Gpus

PATIENCE = 2.0
"""Seconds after which a call counts as one that hangs."""
_HURRY = 4


class Source(Protocol):
    """Where samples come from. Both calls may raise NoDriver; after it `open` is tried again."""

    def open(self) -> None:
        """Get ready; called once before the first sample and again after NoDriver."""

    def sample(self) -> Gpus:
        """All GPUs as they are now."""


@runtime_checkable
class MeasuresPcie(Protocol):
    """A source that can tell the throughput of the bus, which takes time."""

    def measure_pcie(self, shown: bool) -> None:
        """Whether the next samples shall have it. From any thread."""


class Sampler:
    """Samples `source` every `interval` seconds once started.

    While a process appears or its memory grows it samples four times as often: that is when a model's files
    are mapped, for seconds only.
    """

    def __init__(self, source: Source, interval: float = 1.0, retry: float = 10.0) -> None:
        """`retry`: seconds until a source that had no driver is opened again."""
        self._source = source
        self._interval = interval
        self._retry = retry
        self._latest = Gpus(reason="The GPUs have not been read yet.")
        self._called: float | None = None
        self._open = False
        self._peaks = Peaks()
        self._subscribers: list[Callable[[Gpus], None]] = []
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopped = True
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin, or go on after `stop`. There is never more than one thread."""
        with self._lock:
            self._stopped = False
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cachetop-gpus", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end after the call it is in. Returns at once."""
        with self._lock:
            self._stopped = True
            self._wake.set()

    def subscribe(self, callback: Callable[[Gpus], None]) -> Callable[[], None]:
        """Call `callback` with each new sample, in the sampling thread; returns what ends that.

        Nothing is called while the driver hangs: `latest` tells.
        """
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def measure_pcie(self, shown: bool) -> None:
        """Whether the next samples shall have the throughput of the bus, where the source can tell."""
        if isinstance(self._source, MeasuresPcie):
            self._source.measure_pcie(shown)

    def latest(self) -> Gpus:
        """The newest sample; `waiting` is set when the driver has not answered since then for some seconds."""
        with self._lock:
            latest, called = self._latest, self._called
        waited = 0.0 if called is None else time.monotonic() - called
        if waited < PATIENCE:
            return latest
        return no_answer(latest, waited)

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stopped:
                    self._thread = None
                    return
                self._wake.clear()
                before, self._called = self._latest, time.monotonic()
            now = self._sample()
            with self._lock:
                self._latest, self._called = now, None
                subscribers = () if self._stopped else tuple(self._subscribers)
            for callback in subscribers:
                try:
                    callback(now)
                except Exception:
                    _log_error("a subscriber to the GPU samples failed")
            if self._open:
                self._wake.wait(self._interval / _HURRY if _growing(before, now) else self._interval)
            else:
                self._wake.wait(self._retry)

    def _sample(self) -> Gpus:
        try:
            if not self._open:
                self._source.open()
                self._open = True
            return self._peaks.note(self._source.sample())
        except NoDriver as reason:
            self._open = False
            return Gpus(available=False, reason=str(reason), time=time.time())
        except Exception as error:
            _log_error("reading the GPUs failed")
            return Gpus(available=False, reason=f"Reading the GPUs failed: {error!r}.", time=time.time())


def _log_error(message: str) -> None:
    import logging  # only when something fails: a cold start pays for every import

    logging.getLogger(__name__).exception(message)


def no_answer(last: Gpus, seconds: float) -> Gpus:
    """`last` as it stands when the driver has not answered for `seconds`."""
    sentence = f"The NVIDIA driver has not answered for {seconds:.0f} s; see dmesg for what it is doing."
    return msgspec.structs.replace(last, waiting=seconds, reason=sentence)


def sample_once(source: Source, timeout: float = 10.0) -> Gpus:
    """One sample, or within `timeout` seconds one that says that the driver does not answer."""
    done = threading.Event()
    sampler = Sampler(source)
    sampler.subscribe(lambda _: done.set())
    began = time.monotonic()
    sampler.start()
    answered = done.wait(timeout)
    sampler.stop()
    return sampler.latest() if answered else no_answer(Gpus(time=time.time()), time.monotonic() - began)


def _growing(before: Gpus, now: Gpus) -> bool:
    held = {(gpu.key, p.pid): p.memory or 0 for gpu in before.gpus for p in gpu.processes}
    return any((p.memory or 0) > held.get((gpu.key, p.pid), -1) for gpu in now.gpus for p in gpu.processes)
