"""Every key of config.toml: what it may be, what holds without it, and what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from cachetop.base import units

Kind = Literal["flag", "text", "span", "size", "texts", "rules"]
"""`span` and `size` are texts such as `"15m"` and `"8GB"`; `rules` are tables of selectors."""
_WANTED: Final[dict[Kind, str]] = {
    "flag": "true or false", "text": "a text", "span": 'a length of time such as "15m"',
    "size": 'a size such as "8GB"', "texts": "a list of texts", "rules": "tables: [[prune.policy]]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: what it may be, what it is without the file (as it would be written), and what it does."""

    kind: Kind
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    example: str = ""
    """A value as it is written in TOML, where the default does not show what one looks like."""

    @property
    def wanted(self) -> str:
        """What it may be, in words."""
        return f"one of {', '.join(self.choices)}" if self.choices else _WANTED[self.kind]

    def check(self, value: Any) -> str:
        """Why `value` (as TOML gives it) cannot be used, to stand after the key's name; empty where it can."""
        if self.kind == "flag":
            fits = isinstance(value, bool)
        elif self.kind in ("texts", "rules"):
            fits = isinstance(value, list) and (self.kind == "rules" or all(isinstance(one, str) for one in value))
        else:
            fits = isinstance(value, str) and (not self.choices or value in self.choices)
        if not fits:
            return f"must be {self.wanted}"
        try:
            if self.kind == "span":
                units.parse_span(value)
            elif self.kind == "size":
                units.parse_size(value)
        except ValueError as error:
            return f"cannot be used: {error}"
        return ""


SETTINGS: Final[dict[str, dict[str, Setting]]] = {
    "app": {
        "theme": Setting("text", "auto", "The colours; auto looks at what the terminal can show",
                         ("auto", "dark", "light", "contrast", "ansi")),
        "keymap": Setting("text", "vscode", "Which keys there are; safe leaves out what tmux and VS Code take",
                          ("vscode", "safe")),
        "mouse": Setting("flag", True, "Whether the mouse is listened to (from the next start on)"),
        "ascii": Setting("flag", False, "Draw with ASCII only (from the next start on)"),
        "side-bar": Setting("flag", True, "Show the side bar where there is room for it"),
        "bell": Setting("flag", True, "Ring when a conversion ends"),
        "title": Setting("flag", True, "Say in the window's title what runs"),
        "profile": Setting("text", "auto", "How much moves; lite saves bytes, auto is lite over SSH and full elsewhere",
                           ("auto", "full", "lite")),
        "pause-unfocused": Setting("flag", True, "Send nothing while another window has the focus"),
    },
    "convert": {
        "vram-budget": Setting("size", None,
                               "How much VRAM a conversion's worker may hold while it waits for the next job; "
                               "no limit without it", example='"8GB"'),
    },
    "prune": {
        "undo": Setting("span", "15m", 'How long deleted items can be brought back; "0s" keeps nothing'),
        "keep": Setting("texts", [], "Globs of repos and kernel entries that never go",
                        example='["org/*", "triton/attn_*"]'),
        "policy": Setting("rules", [], "What `cachetop prune --policy` removes: tables of selectors",
                          example='{what = "models", older-than = "90d"}'),
    },
    "models": {
        "roots": Setting("texts", [], "Hub caches to look at besides the one huggingface_hub uses",
                         example='["/data/hf/hub"]'),
    },
}  # fmt: skip
"""Section, key: setting. `[keys]` stands beside them: it has a key for each command of the app."""

APP: Final = SETTINGS["app"]
"""The settings of the app."""

RULE: Final[dict[str, Setting]] = {
    "what": Setting("text", None, "What the rule removes", ("kernels", "models")),
    "names": Setting("texts", [], "Keys of kernel entries, or REPO[@REVISION]"),
    "stale": Setting("flag", False, "Kernel entries that a stale rule names"),
    "sm": Setting("text", None, "Kernel entries of one SM", example='"sm_86"'),
    "assume-sm": Setting("texts", [], "Judge for these SMs instead of this machine's GPUs"),
    "cache": Setting("text", None, "Kernel entries of one cache", example='"triton"'),
    "older-than": Setting("span", None, "Last used longer ago than this", example='"90d"'),
    "incomplete": Setting("flag", False, "What was cut off: dead downloads, half-written entries"),
    "detached": Setting("flag", False, "Revisions that no ref names"),
    "superseded": Setting("flag", False, "Such revisions of repos where a ref names a newer download"),
    "max-size": Setting("size", None, "The least recently used go until no more than this is left", example='"20G"'),
    "ir-only": Setting("flag", False, "Only the intermediate stages of a kernel, not its cubin"),
    "filter": Setting("texts", [], "Filters as in --filter", example='["size>1GB"]'),
}
"""The selectors of a rule in `prune.policy`; several join with AND."""

KEYS_HELP: Final = "A command's own keys, by its id, instead of the keymap's; an empty list leaves it without"
KEYS_EXAMPLE: Final = '"runs.new" = ["n", "ctrl+n"]'
