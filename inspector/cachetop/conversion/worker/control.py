"""Ending a job before its end: by SIGTERM, SIGINT or a command on the socket."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .record import Recorder

if TYPE_CHECKING:
    from .pipelines import Engine

GRACE = 1.8
"""Seconds a cancelled job gets to end softly, with its models kept, before the process ends instead."""


MORE = 4.0
"""Seconds more for writing the pages that were finished."""


class Cancelled(Exception):
    """The job was cancelled between two steps."""


class Control:
    """Cancels softly, then hard.

    Softly: docling is made to stop at the next page. It may sit in an import, a model load or a long native
    call; then the job is reported as cancelled and the process ends. A thread of its own does that, for the
    main thread's signal handlers run only between bytecodes.
    """

    def __init__(self, recorder: Recorder, last_words: Callable[[], None]) -> None:
        self._recorder = recorder
        self._last_words = last_words
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._flag = threading.Event()
        self._saving = False
        self.leaving = threading.Event()
        """Set when the process shall end after the job."""

    @property
    def cancelled(self) -> bool:
        """Whether the running job was cancelled."""
        return self._flag.is_set()

    def check(self) -> None:
        """Raise Cancelled if the job was."""
        if self._flag.is_set():
            raise Cancelled

    def begin(self) -> None:
        """A new job."""
        with self._lock:
            if not self.leaving.is_set():
                self._flag.clear()

    def enter(self, engine: "Engine") -> None:
        """docling works on pages now."""
        with self._lock:
            self._engine = engine
            if self._flag.is_set():
                engine.hurry(True)

    def leave(self, engine: "Engine") -> None:
        """docling is done with the document: whatever hurried it is put back."""
        with self._lock:
            self._engine = None
            engine.hurry(False)

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """What is finished is being written: a cancelled job gets more time for it."""
        self._saving = True
        try:
            yield
        finally:
            self._saving = False

    def cancel(self) -> None:
        """Cancel the running job; returns at once."""
        job = self._recorder.job
        with self._lock:
            self._flag.set()
            if self._engine is not None:
                self._engine.hurry(True)
        if job is not None:
            self._enforce_in(GRACE, job, MORE)

    def _enforce_in(self, seconds: float, job: str, more: float) -> None:
        timer = threading.Timer(seconds, self._enforce, (job, more))
        timer.daemon = True
        timer.start()

    def _enforce(self, job: str, more: float) -> None:
        if self._recorder.job != job:
            return
        if self._saving and more > 0:
            self._enforce_in(more, job, 0)
        else:
            self._recorder.finish("cancelled", None, "the job was cancelled", None)
            self._last_words()
            os._exit(130)

    def listen(self, wake: Callable[[], None]) -> None:
        """Take SIGTERM and SIGINT from now on: they cancel the job and end the process; `wake` ends a wait."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        # the terminal the job was started from may go away
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def watch() -> None:
            while os.read(reading, 1):
                self.leaving.set()
                self.cancel()
                wake()

        threading.Thread(target=watch, name="signals", daemon=True).start()
