"""`cachetop config`: where config.toml lies, whether it can be used, and every setting with its value; or its schema.

`cachetop config schema` prints the JSON Schema that editors complete and check the file with.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from cachetop.cli.exits import DONE, USAGE


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb."""
    verb = verbs.add_parser("config", help="settings: where, which, whether they hold", description=__doc__)
    verb.add_argument("what", nargs="?", choices=("check", "path", "schema"), default="check")
    verb.add_argument("--json", action="store_true", help="one JSON object (check)")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print it; 2 where the file cannot be used."""
    from cachetop import locations
    from cachetop.base.hostile import clean
    from cachetop.config import SETTINGS, ConfigError, load
    from cachetop.config.describing import json_schema
    from cachetop.config.writing import toml

    path = locations.config_file()
    if args.what == "schema":
        print(json.dumps(json_schema(), indent=2))
        return DONE
    if args.what == "path":
        print(clean(path))
        return DONE
    problem, told = None, {}
    try:
        told = load(path).values
    except ConfigError as error:
        problem = str(error)
    every: dict[str, Any] = {
        f"{section}.{key}": {"value": told.get(section, {}).get(key, one.default), "default": one.default,
                             "from_file": key in told.get(section, {})}
        for section, settings in SETTINGS.items() for key, one in settings.items()
    }  # fmt: skip
    if args.json:
        print(json.dumps({"schema": "cachetop.config/1", "path": clean(path), "exists": path.exists(),
                          "problem": problem, "settings": every}))  # fmt: skip
    else:
        if problem:
            print(f"cachetop: {problem}", file=sys.stderr)
        print(f"# {clean(path)}{'' if path.exists() else ' (not there: the defaults hold)'}")
        for name, one in every.items():
            value = "" if one["value"] is None else clean(_written(one["value"], toml), 200)
            print(f"{'' if one['from_file'] else '# '}{name} = {value}")
    return USAGE if problem else DONE


def _written(value: Any, toml: Any) -> str:
    """A value as TOML; the tables of a policy by their number."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{len(value)} rules"
    written: str = toml(value)
    return written
