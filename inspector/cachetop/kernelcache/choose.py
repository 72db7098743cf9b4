"""Which entries: the filter keys of the command line, a plan and a notebook. The grammar is that of `base.filters`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cachetop.kernelcache.records import Entry


def _sms(entry: Entry) -> list[str]:
    """Every way to write what an entry is for: `sm_90`, the variant in its header (`sm_90a`), and both bare."""
    named = [*entry.sm, *([entry.target] if entry.target else [])]
    return [*named, *(one.removeprefix("sm_") for one in named)]


FILTERS: dict[str, tuple[str, Callable[[Entry], Any]]] = {
    "size": ("size", lambda entry: entry.size_on_disk),
    "created": ("age", lambda entry: entry.created),
    "accessed": ("age", lambda entry: entry.last_used),
    "files": ("number", lambda entry: entry.files),
    "name": ("text", lambda entry: entry.name),
    "key": ("text", lambda entry: entry.key),
    "kind": ("text", lambda entry: entry.kind),
    "cache": ("text", lambda entry: [entry.kind, entry.cache]),
    "part": ("text", lambda entry: entry.part),
    "sm": ("text", _sms),
    "state": ("text", lambda entry: entry.state),
    "rule": ("text", lambda entry: [one.rule for one in entry.stale]),
    "triton": ("text", lambda entry: entry.producer.triton),
}
"""Key -> (kind of comparison, getter), for `compile_filters`. `cache` is a kind (`inductor`) or one id (`inductor:2`),
as with `--cache`."""
