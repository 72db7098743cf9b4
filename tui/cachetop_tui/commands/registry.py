"""The commands of the app: name, keys, and where they apply. Bindings, footer, palette and help all read this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding

from cachetop.base.readonly import is_read_only
from cachetop_tui.commands.keymaps import KEYMAPS, Keymap

PANES: Final = ("models", "kernels", "gpus", "conversion")
"""The panes in their order on the keys 1 to 4, by widget id."""
_active: dict[str, tuple[str, ...]] = dict(KEYMAPS["vscode"])
LISTS: Final = ("models", "kernels")
"""The panes that can be filtered."""

_SHOWN: Final = {
    "question_mark": "?", "colon": ":", "slash": "/", "left_square_bracket": "[", "right_square_bracket": "]",
    "escape": "Esc", "comma": ",", "greater_than_sign": ">", "less_than_sign": "<", "period": ".",
    "pageup": "PgUp", "pagedown": "PgDn", "backspace": "Backspace",
    "enter": "Enter", "space": "Space", "tab": "Tab", "delete": "Del",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """One command. Its keys are those of the keymap in use."""

    id: str
    title: str
    """`Area: Verb`, as the palette lists it."""
    help: str
    action: str
    """The Textual action that runs it."""
    hint: str = ""
    """The word beside the key in the footer; empty keeps it out of there."""
    panes: tuple[str, ...] = ()
    """Panes that must be in focus; empty: it works everywhere."""
    hint_panes: tuple[str, ...] = ()
    """Panes in whose footer the hint stands; empty: wherever the command works."""
    changes: bool = False
    """Whether it is there to change something, and so is absent in read-only mode."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Textual's names of its keys; the first is the one to show."""
        return _active.get(self.id, ())

    @property
    def key(self) -> str:
        """Its first key as people write it, empty without one."""
        return shown(self.keys[0]) if self.keys else ""

    def enabled(self, pane: str) -> bool:
        """Whether it applies while `pane` is in focus."""
        return self.available and (not self.panes or pane in self.panes)

    @property
    def available(self) -> bool:
        """Whether there is such a command now."""
        return not (self.changes and is_read_only())

    def binding(self) -> Binding:
        """The Textual binding of its keys."""
        return Binding(
            ",".join(self.keys), self.action, self.title, show=bool(self.hint), id=self.id, tooltip=self.help
        )


def use(keymap: Keymap) -> None:
    """Make `keymap` the one in use: for this process, since it says what this person's hands do."""
    _active.clear()
    _active.update({name: tuple(keys) for name, keys in keymap.items()})


def in_use() -> Mapping[str, tuple[str, ...]]:
    """The keymap in use."""
    return dict(_active)


def shown(key: str) -> str:
    """A Textual key name as people write it: `question_mark` is `?`, `ctrl+q` is `Ctrl+Q`, `f1` is `F1`."""
    if key in _SHOWN:
        return _SHOWN[key]
    if "+" in key:
        if key[-1].isupper() and key[-2] == "+" and not key.startswith("alt"):  # how xterm's way says Shift
            key = f"{key[:-1]}shift+{key[-1]}"
        parts = key.split("+")
        return "+".join(_SHOWN.get(part) or (part.upper() if len(part) == 1 else part.capitalize()) for part in parts)
    return key.upper() if key[0] == "f" and key[1:].isdigit() else key


COMMANDS: Final = (
    Command("models.focus", "Models: Focus", "Repos, revisions and files", "focus_pane('models')"),
    Command("kernels.focus", "Kernels: Focus", "The kernel caches, by SM", "focus_pane('kernels')"),
    Command("gpus.focus", "GPU: Focus", "VRAM by process and model", "focus_pane('gpus')"),
    Command("runs.focus", "Conversion: Focus", "The runs and their phases", "focus_pane('conversion')"),
    Command("problems.focus", "Problems: Focus", "What needs attention, each with its fix", "focus_pane('problems')"),
    Command("pane.next", "View: Next Pane", "Go to the next pane", "next_pane(1)"),
    Command("pane.previous", "View: Previous Pane", "Go to the pane before", "next_pane(-1)"),
    Command("open.quick", "Go to: Repo, Kernel, Process, File", "By name: @ repos, # kernels, % processes, / files",
            "quick_open", "go to"),
    Command("process.signal", "GPU: Signal Process", "Send SIGINT, SIGTERM or SIGKILL to this process, after asking",
            "signal_process", "signal", ("gpus", "document"), hint_panes=("gpus",), changes=True),
    Command("runs.new", "Conversion: New", "Choose files and convert them", "new_conversion", "convert"),
    Command("list.filter", "List: Filter", "Only rows with a text in their name", "filter", "filter", LISTS),
    Command("plan.marked", "Prune: Plan Marked", "Review what deleting the marked rows, or this one, would free",
            "plan_marked", "plan prune", LISTS),
    Command("kernels.stale", "Kernels: Prune Stale", "Review what deleting the stale kernels would free",
            "plan_stale"),
    Command("prune.undo", "Prune: Undo", "Bring back what the last plan deleted, as far as it is kept", "undo"),
    Command("copy", "List: Copy Name", "Copy the name under the cursor, or a problem's fix, to the clipboard", "copy"),
    Command("view.side", "View: Side Bar", "Show the tree of the activity, or hide it", "side_bar", "side bar"),
    Command("view.panel", "View: Panel", "Hide the bottom panel, or show it again", "bottom_panel", "panel"),
    Command("tab.next", "View: Next Tab", "The next open document", "step_tab(1)"),
    Command("tab.previous", "View: Previous Tab", "The open document before", "step_tab(-1)"),
    Command("tab.close", "View: Close Tab", "Close the document in front", "close_tab"),
    Command("pane.maximise", "View: Maximise Pane", "Give the pane all room, or share it again", "maximise",
            "maximise"),
    Command("scan.again", "Caches: Scan Again", "Look at every cache again now; read the document again", "rescan",
            "rescan"),
    Command("theme.next", "View: Next Theme", "Dark, light, high contrast, sixteen colours", "next_theme", "theme"),
    Command("theme.dark", "View: Theme Dark Modern", "VS Code's dark colours", "use_theme('cachetop-dark')"),
    Command("theme.light", "View: Theme Light Modern", "VS Code's light colours", "use_theme('cachetop-light')"),
    Command("theme.contrast", "View: Theme High Contrast", "Black, white and few strong colours",
            "use_theme('cachetop-contrast')"),
    Command("theme.ansi", "View: Theme 16 Colours", "The terminal's own colours", "use_theme('cachetop-ansi')"),
    Command("settings.show", "View: Settings", "Every setting, its value and where it comes from", "settings"),
    Command("commands.show", "View: Commands", "Every command by name", "commands", "commands"),
    Command("keys.show", "Help: Keys", "Every key and what it does", "keys", "keys"),
    Command("app.quit", "cachetop: Quit", "Leave at once; conversions go on", "quit", "quit"),
)  # fmt: skip
"""All commands, in the order the palette and the help list them; not all are `available`."""


def hints(pane: str) -> list[tuple[str, str]]:
    """(key, word) of the commands that belong in the footer while `pane` is in focus."""
    return [
        (command.key, command.hint)
        for command in COMMANDS
        if command.hint and command.enabled(pane) and (not command.hint_panes or pane in command.hint_panes)
    ]
