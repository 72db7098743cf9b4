"""How fast running downloads grow, and how long they will still take."""

from __future__ import annotations

from collections import deque

from cachetop.hub.records import Models, Partial, Repo

_WINDOW = 15.0
"""Seconds looked back: huggingface_hub writes in steps of 10 MB, which a shorter look would show as a stutter."""
_LEAST = 0.9
"""Seconds between two sizes from which on a rate can be told."""
_STALLED = 2
"""A download that was silent for so many times the span that its rate was taken from does not move."""


class Rates:
    """Remembers the sizes of partial downloads that may be running from one snapshot to the next."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str, str], deque[tuple[float, int]]] = {}

    def note(self, models: Models, now: float) -> None:
        """Remember how big each partial is at `now` (seconds) that is not known to be dead."""
        live = {
            _key(repo, partial): partial.bytes
            for repo in models.repos
            for partial in repo.partials
            if partial.live is not False
        }
        for gone in self._seen.keys() - live.keys():
            del self._seen[gone]
        for key, size in live.items():
            samples = self._seen.setdefault(key, deque(maxlen=64))
            if samples and (size < samples[-1][1] or now < samples[-1][0]):
                samples.clear()  # it began anew, or the clock was set back
            if not samples or samples[-1][1] != size:
                samples.append((now, size))
            while len(samples) > 2 and now - samples[0][0] > _WINDOW:
                samples.popleft()

    def rate(self, repo: Repo, partial: Partial, now: float) -> float | None:
        """Bytes a second over the last seconds; None until it can be told, 0 when it does not move any more."""
        samples = self._seen.get(_key(repo, partial))
        if not samples or samples[-1][0] - samples[0][0] < _LEAST:
            return None
        (start, least), (end, most) = samples[0], samples[-1]
        if now - end > max(_WINDOW, _STALLED * (end - start)):
            return 0.0
        return max(0.0, (most - least) / (end - start))

    def left(self, repo: Repo, partial: Partial, now: float) -> float | None:
        """Seconds until it is whole at that rate; None where rate or total are unknown, or nothing moves."""
        rate = self.rate(repo, partial, now)
        if not rate or partial.expected is None:
            return None
        return max(0, partial.expected - partial.bytes) / rate


def _key(repo: Repo, partial: Partial) -> tuple[str, str, str, str]:
    return repo.root, repo.type, repo.id, partial.blob
