"""Which hub caches are looked at: the one huggingface_hub uses here, and those the person names besides.

Others come from `--root`, else from CACHETOP_HUB_ROOTS (several, separated by colons), else from `models.roots` of
the configuration. The first root is always huggingface_hub's own; a folder named twice is read once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from cachetop import config, locations
from cachetop.base.record import Problem
from cachetop.locations import Location, expand

VARIABLE = "CACHETOP_HUB_ROOTS"


def roots(named: Iterable[str] = (), env: Mapping[str, str] | None = None) -> list[Location]:
    """The hub caches to look at, `named` on the command line first. Never raises: see `trouble`."""
    env = os.environ if env is None else env
    found = [locations.hub(env)]
    given = [path for path in named if path]
    if given:
        return found + [_extra(path, env, "--root names it") for path in given]
    if VARIABLE in env:
        paths = [path for path in env[VARIABLE].split(os.pathsep) if path]
        return found + [_extra(path, env, f"{VARIABLE} names it", VARIABLE) for path in paths]
    file = locations.config_file(env)
    try:
        paths = list(config.load(file).hub_roots)
    except config.ConfigError:
        return found
    return found + [_extra(path, env, f"models.roots in {file.name} names it") for path in paths]


def trouble(named: Iterable[str] = (), env: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """Why `roots` may leave some out: the configuration was to be asked, and cannot be used."""
    env = os.environ if env is None else env
    if VARIABLE in env or any(named):
        return ()
    try:
        config.load(locations.config_file(env))
    except config.ConfigError as error:
        message = f"{error} Until that is mended models.roots is not taken up: hub caches it names are missing here."
        return (Problem(rule="configuration", message=message, fix="cachetop config"),)
    return ()


class Roots:
    """The hub caches to look at, asked for again when the configuration changes; or always the same, `fixed`."""

    def __init__(self, fixed: Iterable[Location] | None = None) -> None:
        self._fixed = fixed is not None
        self._mark: tuple[int, int, int] | None = None
        self.now = roots() if fixed is None else list(fixed)
        self.problems: tuple[Problem, ...] = ()
        """Why some may be left out."""

    def refresh(self) -> bool:
        """Look whether the configuration changed; returns whether the hub caches did. A broken one changes none."""
        if self._fixed:
            return False
        try:
            status = os.stat(locations.config_file())
            mark = status.st_ino, status.st_mtime_ns, status.st_size
        except OSError:
            mark = 0, 0, 0
        if mark == self._mark:
            return False
        self._mark, self.problems = mark, trouble()
        before = self.now
        if not self.problems:
            self.now = roots()
        return self.now != before


def _extra(path: str, env: Mapping[str, str], reason: str, variable: str | None = None) -> Location:
    return Location("hub", os.path.abspath(expand(path, env)), reason, variable)
