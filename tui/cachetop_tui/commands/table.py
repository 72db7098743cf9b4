"""The table of keys for the docs, from the registry: `python -m cachetop_tui.commands.table > docs/keys.md`."""

from __future__ import annotations

from collections.abc import Iterable

from cachetop_tui.commands.keymaps import ROUTES
from cachetop_tui.commands.keynames import shown
from cachetop_tui.commands.registry import COMMANDS, HOMES, Command

_HEAD = """# Keys

Generated from the app's command registry by `python -m cachetop_tui.commands.table`; a test compares.

Each command has three routes. The **plain** key works in every terminal while no text is typed. The **safe** chord
survives tmux and VS Code's own terminal. The **VS Code** chord is what hands expect, where the terminal sends it:
`cachetop keys` shows what yours sends and which command that runs, and prints what tmux and VS Code need to let more
through. The keymap `safe`
(`keymap = "safe"` below `[app]` in `config.toml`) leaves the last column out. Your own keys go over either:

```toml
[keys]
"runs.new" = ["n", "ctrl+n"]
```

"""
_TABLE = """| command | id | plain | safe | VS Code | what it does |
|---|---|---|---|---|---|
"""


def markdown() -> str:
    """The page."""
    text = _HEAD + _TABLE
    for home, title in HOMES.items():
        if home:
            text += f"\n## {title}\n\n{_TABLE}"
        text += "".join(f"{_row(command)}\n" for command in COMMANDS if command.home == home)
    return text


def _row(command: Command) -> str:
    routes = ROUTES.get(command.id)
    keys = [_keys(some) for some in (routes.plain, routes.safe, routes.chords)] if routes else ["", "", ""]
    where = f" ({', '.join(command.panes)})" if command.panes and not command.home else ""
    return f"| {command.title}{where} | `{command.id}` | {' | '.join(keys)} | {command.help} |"


def _keys(keys: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in dict.fromkeys(shown(key) for key in keys))


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201
