"""The model loads of a run, folded from the four events that each of them makes."""

from __future__ import annotations

from typing import Any

import msgspec

from cachetop.conversion.events import Event
from cachetop.conversion.growing import Grown
from cachetop.conversion.records import Load
from cachetop.conversion.values import count, number, sequence, text


class LoadFold:
    """One load after the other; an event belongs to the newest of its repo and path that is not finished."""

    def __init__(self) -> None:
        self._loads: Grown[Load] = Grown()

    def frozen(self) -> tuple[Load, ...]:
        """The loads so far."""
        return self._loads.frozen()

    def _load(self, event: Event) -> int | None:
        """The newest load that is not finished and that this event belongs to."""
        repo, path = text(event.get("repo")), text(event.get("path"))
        for index in range(len(self._loads.items) - 1, -1, -1):
            load = self._loads.items[index]
            fits = (load.repo == repo or repo is None) and (load.path == path or path is None)
            if load.seconds is None and fits:
                return index
        return None

    def loading(self, event: Event, moment: float) -> None:
        """`model-loading`: a load begins."""
        self._loads.append(
            Load(
                repo=text(event.get("repo")),
                path=text(event.get("path")),
                revision=text(event.get("revision")),
                bytes=count(event.get("bytes")) or 0,
                resident_before=count(event.get("resident_before")),
                started=moment,
            )
        )

    def part(self, event: Event, part: str) -> None:
        """`model-read` or `model-moved`: `part` (read, moved) of the load it belongs to."""
        index = self._load(event)
        if index is None:
            return
        load = self._loads.items[index]
        seconds, size = number(event.get("seconds")), count(event.get("bytes"))
        changes: dict[str, Any] = {}
        if seconds is not None:
            changes[f"{part}_seconds"] = (getattr(load, f"{part}_seconds") or 0.0) + seconds
        if size is not None:
            changes[f"{part}_bytes"] = (getattr(load, f"{part}_bytes") or 0) + size
        if part == "read" and sequence(event.get("files")):
            changes["files"] = len(event["files"])
        self._loads.replace(index, msgspec.structs.replace(load, **changes))

    def loaded(self, event: Event, moment: float) -> None:
        """`model-loaded`: a load ends, be it one whose beginning nobody told."""
        index, seconds = self._load(event), number(event.get("seconds"))
        if index is None:
            self.loading(event, moment - (seconds or 0.0))
            index = len(self._loads.items) - 1
        load = self._loads.items[index]
        self._loads.replace(
            index,
            msgspec.structs.replace(
                load,
                revision=text(event.get("revision")) or load.revision,
                bytes=count(event.get("bytes")) or load.bytes,
                seconds=seconds if seconds is not None else max(0.0, moment - load.started),
                parameters=count(event.get("parameters")),
                device=text(event.get("device")),
                vram=count(event.get("vram")),
            ),
        )
