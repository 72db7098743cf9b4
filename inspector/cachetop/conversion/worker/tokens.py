"""Tokens as a vision-language model writes them: how many, how fast, how long the first one took.

transformers asks every stopping criterion after each decoding step, for the whole batch: that is where the
steps are counted, and where a cancelled generation ends.
"""

import threading
import time
from typing import Any

from .record import Recorder
from .stages import StageWatch

_TICK = 0.5


class TokenWatch:
    """Reports `tokens` while a page is generated, twice a second, and once when it is done."""

    def __init__(self, recorder: Recorder, stages: StageWatch) -> None:
        self._recorder = recorder
        self._stages = stages
        self._call: tuple[float, list[int]] | None = None
        self._began = self._first = self._said = 0.0
        self._prompt = self._steps = 0

    def step(self, length: int) -> None:
        """One more token for every row; `length` is that of the rows so far, the prompt included."""
        now, call = time.monotonic(), self._stages.at_work
        if call is None:
            return
        key = call[2], call[1]
        if key != self._call:
            self._call, self._began, self._first, self._said = key, call[2], now, now
            self._prompt, self._steps = length - 1, 0
        self._steps += 1
        if now - self._said >= _TICK:
            self._said = now
            self._tell(now, False)

    def done(self) -> None:
        """The pages at hand are through."""
        if self._call is not None and self._steps:
            self._tell(time.monotonic(), True)
        self._call = None

    def _tell(self, now: float, done: bool) -> None:
        assert self._call is not None
        decoding = now - self._first
        self._recorder.emit(
            "tokens", file=self._stages.file, pages=self._call[1], tokens=self._steps, prompt=self._prompt,
            first=round(self._first - self._began, 6), seconds=round(decoding, 6), done=done,
        )  # fmt: skip


def criterion(watch: TokenWatch, stop: threading.Event) -> Any:
    """A StoppingCriteria that counts, and ends the generation at the next token once `stop` is set."""
    import torch
    from transformers import StoppingCriteria

    class Tap(StoppingCriteria):  # type: ignore[misc]
        """Looks on; stops nothing until it is told to."""

        def __deepcopy__(self, memo: Any) -> "Tap":
            return self  # docling copies the generation options for every batch

        def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:
            watch.step(int(ids.shape[1]))
            return torch.full((ids.shape[0],), stop.is_set(), dtype=torch.bool, device=ids.device)

    return Tap()
