"""The schema as others want it: a JSON Schema for editors, and the page of the docs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cachetop.base import units
from cachetop.config.schema import KEYS_EXAMPLE, KEYS_HELP, RULE, SETTINGS, Setting
from cachetop.config.writing import toml


def json_schema() -> dict[str, Any]:
    """config.toml as a JSON Schema (draft 2020-12)."""
    sections = {
        name: {"type": "object", "additionalProperties": False,
               "properties": {key: _property(one) for key, one in settings.items()}}
        for name, settings in SETTINGS.items()
    }  # fmt: skip
    one_key = {"type": "string"}
    keys = {"description": KEYS_HELP, "type": "object", "additionalProperties": {"$ref": "#/$defs/keys"}}
    listed = {"anyOf": [one_key, {"type": "array", "items": one_key},
                        {"type": "object", "additionalProperties": {"$ref": "#/$defs/keys"}}]}  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cachetop config.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {**sections, "keys": keys},
        "$defs": {"keys": listed},
    }


def _property(setting: Setting) -> dict[str, Any]:
    shapes: dict[str, dict[str, Any]] = {
        "flag": {"type": "boolean"},
        "text": {"type": "string"},
        "span": {"type": "string", "pattern": units.SPAN_PATTERN},
        "size": {"type": "string", "pattern": units.SIZE_PATTERN},
        "texts": {"type": "array", "items": {"type": "string"}},
    }
    made: dict[str, Any] = {"description": setting.help}
    if setting.kind == "rules":
        rule = {
            "type": "object", "additionalProperties": False, "required": ["what"], "minProperties": 2,
            "properties": {name: _property(one) for name, one in RULE.items()},
        }  # fmt: skip
        made |= {"type": "array", "items": rule}
    else:
        made |= shapes[setting.kind]
    if setting.choices:
        made["enum"] = list(setting.choices)
    if setting.default is not None:
        made["default"] = setting.default
    return made


def page() -> str:
    """The page of the docs, in Markdown."""
    parts = [
        "# Settings",
        "",
        "`config.toml` lies in the configuration folder, or where `CACHETOP_CONFIG` says; `cachetop doctor` names the "
        "place. It need\nnot be there. The app shows it (`,`), changes it in place with its comments kept, and takes a "
        "change over within two\nseconds. What cannot be understood is named with file, line and the nearest name. "
        "Flags beat the environment, which beats\nthe file.",
        "",
        "[config.schema.json](config.schema.json) describes the file for editors: Even Better TOML and Taplo read it "
        "from a first line\n`#:schema PATH/config.schema.json`. `cachetop config schema` prints it, `cachetop config` "
        "checks the file.",
    ]
    for name, settings in SETTINGS.items():
        parts += ["", f"## [{name}]", "", *_table(settings.items())]
    parts += [
        "", "### [[prune.policy]]", "", "Each rule needs `what` and one selector; several selectors join with AND.", "",
        *_table(RULE.items()), "", "## [keys]", "",
        f"{KEYS_HELP}. The ids stand in [the list of keys](keys.md).", "", "```toml", "[keys]", KEYS_EXAMPLE, "```", "",
        "This page and the schema are written by `python docs/write.py`; a test says when they are old.", "",
    ]  # fmt: skip
    return "\n".join(parts)


def _table(settings: Iterable[tuple[str, Setting]]) -> list[str]:
    out = ["| key | what it may be | default | what it does |", "|---|---|---|---|"]
    for key, one in settings:
        default = "" if one.default is None else f"`{toml(one.default)}`"
        wanted = one.wanted + (f", such as `{one.example}`" if one.example and "such as" not in one.wanted else "")
        out.append(f"| `{key}` | {wanted} | {default} | {one.help} |")
    return out
