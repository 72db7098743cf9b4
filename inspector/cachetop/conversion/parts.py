"""Single events as records: what is missing or of the wrong type counts as unknown."""

from __future__ import annotations

from cachetop.conversion.events import Event
from cachetop.conversion.records import Check, KernelSeen, Notice, TakenGpu, Tokens
from cachetop.conversion.values import count, mapping, number, sentence, sequence, text
from cachetop.conversion.waits import Step, Waiting

_MOST_PAGES = 64


def kernel(event: Event, moment: float) -> KernelSeen:
    """`kernel-compiled` or `kernel-hit`."""
    return KernelSeen(
        cache=text(event.get("cache")) or "?",
        key=text(event.get("key")),
        name=text(event.get("name")),
        sm=text(event.get("sm")),
        milliseconds=number(event.get("milliseconds")),
        hit=event["event"] == "kernel-hit",
        time=moment,
        bytes=count(event.get("bytes")),
        files=count(event.get("files")),
    )


def tokens(event: Event, moment: float) -> Tokens:
    """`tokens`."""
    return Tokens(
        pages=_pages(event),
        tokens=count(event.get("tokens")) or 0,
        prompt=count(event.get("prompt")),
        first=number(event.get("first")),
        seconds=number(event.get("seconds")) or 0.0,
        done=event.get("done") is True,
        time=moment,
    )


def waiting(event: Event, moment: float) -> Waiting:
    """`waiting`."""
    return Waiting(
        stage=text(event.get("stage")) or "?",
        pages=_pages(event),
        seconds=number(event.get("seconds")) or 0.0,
        time=moment,
    )


def step(event: Event, moment: float) -> Step:
    """`step`."""
    return Step(phase=text(event.get("phase")) or "?", what=text(event.get("what")) or "?", time=moment)


def gpu(event: Event) -> TakenGpu | None:
    """`gpu`."""
    index = count(event.get("index"))
    if index is None:
        return None
    return TakenGpu(
        index=index,
        uuid=text(event.get("uuid")),
        name=text(event.get("name")),
        waited=number(event.get("waited")) or 0.0,
        message=sentence(event.get("message")),
    )


def notice(event: Event, moment: float) -> Notice:
    """`warning` or `error`."""
    message = sentence(event.get("message")) or "an error without a message"
    return Notice(level=event["event"], message=message, hint=sentence(event.get("hint")), time=moment)


def checks(event: Event) -> tuple[Check, ...]:
    """What `device` looked at."""
    told = [mapping(check) for check in sequence(event.get("checks"))]
    return tuple(
        Check(
            check=text(check.get("check")) or "?",
            ok=check.get("ok") is True,
            message=sentence(check.get("message")) or "",
        )
        for check in told
    )


def _pages(event: Event) -> tuple[int, ...]:
    """The pages an event is about."""
    known = (count(page) for page in sequence(event.get("pages"))[:_MOST_PAGES])
    return tuple(page for page in known if page is not None)
