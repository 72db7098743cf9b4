"""Which hub caches are looked at: the one huggingface_hub uses here, and those the person names besides.

Others come from `--root`, else from CACHETOP_HUB_ROOTS (several, separated by colons), else from `models.roots` of
the configuration. The first root is always huggingface_hub's own; a folder named twice is read once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from cachetop import config, locations
from cachetop.locations import Location, expand

VARIABLE = "CACHETOP_HUB_ROOTS"


def roots(named: Iterable[str] = (), env: Mapping[str, str] | None = None) -> list[Location]:
    """The hub caches to look at, `named` on the command line first. Never raises: whoever loads the configuration
    for its own sake says what is wrong with it."""
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


def _extra(path: str, env: Mapping[str, str], reason: str, variable: str | None = None) -> Location:
    return Location("hub", os.path.abspath(expand(path, env)), reason, variable)
