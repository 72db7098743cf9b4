"""The commands of the app: name, keys, and where they apply. Bindings, footer, palette and help all read this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from textual.binding import Binding

PANES: Final = ("models", "kernels", "gpus", "conversion")
"""The panes in their order on the keys 1 to 4, by widget id."""
LISTS: Final = ("models", "kernels")
"""The panes that can be filtered."""

_SHOWN: Final = {
    "question_mark": "?", "colon": ":", "slash": "/", "left_square_bracket": "[", "right_square_bracket": "]",
    "escape": "Esc", "enter": "Enter", "space": "Space", "tab": "Tab", "delete": "Del",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `keys` are Textual's key names; the first is the plain key that works in every terminal."""

    id: str
    title: str
    """`Area: Verb`, as the palette lists it."""
    help: str
    action: str
    """The Textual action that runs it."""
    keys: tuple[str, ...] = ()
    hint: str = ""
    """The word beside the key in the footer; empty keeps it out of there."""
    panes: tuple[str, ...] = ()
    """Panes that must be in focus; empty: it works everywhere."""

    @property
    def key(self) -> str:
        """Its first key as people write it, empty without one."""
        return shown(self.keys[0]) if self.keys else ""

    def enabled(self, pane: str) -> bool:
        """Whether it applies while `pane` is in focus."""
        return not self.panes or pane in self.panes

    def binding(self) -> Binding:
        """The Textual binding of its keys."""
        return Binding(
            ",".join(self.keys), self.action, self.title, show=bool(self.hint), id=self.id, tooltip=self.help
        )


def shown(key: str) -> str:
    """A Textual key name as people write it: `question_mark` is `?`, `ctrl+q` is `Ctrl+Q`, `f1` is `F1`."""
    if key in _SHOWN:
        return _SHOWN[key]
    if "+" in key:
        return "+".join(shown(part).upper() if len(part) == 1 else shown(part).capitalize() for part in key.split("+"))
    return key.upper() if key[0] == "f" and key[1:].isdigit() else key


COMMANDS: Final = (
    Command("models.focus", "Models: Focus", "Repos, revisions and files", "focus_pane('models')", ("1",)),
    Command("kernels.focus", "Kernels: Focus", "The kernel caches, by SM", "focus_pane('kernels')", ("2",)),
    Command("gpus.focus", "GPU: Focus", "VRAM by process and model", "focus_pane('gpus')", ("3",)),
    Command("runs.focus", "Conversion: Focus", "The runs and their phases", "focus_pane('conversion')", ("4",)),
    Command("pane.next", "View: Next Pane", "Go to the next pane", "next_pane(1)", ("tab",)),
    Command("pane.previous", "View: Previous Pane", "Go to the pane before", "next_pane(-1)", ("shift+tab",)),
    Command("runs.new", "Conversion: New", "Choose files and convert them", "new_conversion", ("n", "c"), "convert"),
    Command("list.filter", "List: Filter", "Only rows with a text in their name", "filter", ("f",), "filter", LISTS),
    Command("pane.maximise", "View: Maximise Pane", "Give the pane all room, or share it again", "maximise",
            ("z", "f11"), "maximise"),
    Command("scan.again", "Caches: Scan Again", "Look at every cache again now", "rescan", ("r", "f5"), "rescan"),
    Command("theme.next", "View: Next Theme", "Dark, light, sixteen colours", "next_theme", ("t",), "theme"),
    Command("theme.dark", "View: Theme Dark Modern", "VS Code's dark colours", "use_theme('cachetop-dark')"),
    Command("theme.light", "View: Theme Light Modern", "VS Code's light colours", "use_theme('cachetop-light')"),
    Command("theme.ansi", "View: Theme 16 Colours", "The terminal's own colours", "use_theme('cachetop-ansi')"),
    Command("commands.show", "View: Commands", "Every command by name", "commands",
            ("colon", "f1", "ctrl+shift+p", "ctrl+shift+P", "ctrl+P"), "commands"),
    Command("keys.show", "Help: Keys", "Every key and what it does", "keys", ("question_mark",), "keys"),
    Command("app.quit", "cachetop: Quit", "Leave at once; conversions go on", "quit", ("q", "ctrl+q"), "quit"),
)  # fmt: skip
"""All commands, in the order the palette and the help list them."""


def hints(pane: str) -> list[tuple[str, str]]:
    """(key, word) of the commands that belong in the footer while `pane` is in focus."""
    return [(command.key, command.hint) for command in COMMANDS if command.hint and command.enabled(pane)]
