"""The whole examination, area by area. It reads and never changes anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from cachetop.base.hostile import show
from cachetop.base.record import why
from cachetop.doctor import driver, limits, places, terminal, variables, versions
from cachetop.doctor.records import Area, Doctor, Finding

AREAS: dict[str, Callable[[Mapping[str, str]], Iterator[Finding]]] = {
    "places": places.findings,
    "variables": variables.findings,
    "limits": limits.findings,
    "versions": versions.findings,
    "driver": driver.findings,
    "terminal": terminal.findings,
}
"""What is examined, in the order in which it is shown."""


def examine(env: Mapping[str, str] | None = None) -> Doctor:
    """Examine this machine, this Python and `env`. An area that cannot be examined does not hide the others."""
    env = os.environ if env is None else env
    found: list[Finding] = []
    for area, look in AREAS.items():
        try:
            found.extend(look(env))
        except OSError as error:
            reason = "the rest of this area could not be examined"
            found.append(Area(area).warning(area, show(why(error)), reason, None))
    return Doctor(findings=tuple(found))
