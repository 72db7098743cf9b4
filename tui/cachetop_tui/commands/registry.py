"""The commands of the app: name, keys, and where they apply. Bindings, footer, palette and help all read this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding, BindingType

from cachetop.base.readonly import is_read_only
from cachetop_tui.commands.keymaps import KEYMAPS, Keymap
from cachetop_tui.commands.keynames import shown

PANES: Final = ("models", "kernels", "gpus", "conversion")
"""The panes in their order on the keys 1 to 4, by widget id."""
ROWS: Final = (*PANES[:3], "problems", "side", "glance")
"""The panes with rows to move among."""
_active: dict[str, tuple[str, ...]] = dict(KEYMAPS["vscode"])
LISTS: Final = ("models", "kernels")
"""The panes that can be filtered."""

HOMES: Final = {"": "Everywhere", "list": "In a list", "document": "In a document", "runs": "In the runs"}
"""Where a command's keys are heard (`Command.home`), and what to call that."""
_SCROLLED: Final = (*ROWS, "document")
_RUNS: Final = ("conversion",)
_REPOS: Final = ("models", "side", "document")

_OF_TRITON: Final = ("source", "TTIR", "TTGIR", "LLIR", "PTX", "SASS", "metadata")
_COVERED: Final = ("models.focus", "kernels.focus", "gpus.focus", "runs.focus", "problems.focus", "preset.biggest",
                   "preset.unused")  # fmt: skip


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
    home: str = ""
    """Which widget runs it: a `list`, a `document`, the `runs`; empty: the app."""
    when: str = ""
    """What of `Here` must be true for it to be offered; empty: nothing."""
    covers: str = ""
    """The id of the command whose key it takes while it is offered."""
    motion: bool = False
    """Whether it only moves the cursor: then the palette and the menu leave it out."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Textual's names of its keys; the first is the one to show."""
        return _active.get(self.id, ())

    @property
    def key(self) -> str:
        """Its first key as people write it, empty without one."""
        return shown(self.keys[0]) if self.keys else ""

    def enabled(self, where: str | Here) -> bool:
        """Whether it applies: while a pane is in focus, or exactly here."""
        here = Here(where) if isinstance(where, str) else where
        fits = not self.panes or here.pane in self.panes
        return self.available and fits and (not self.when or bool(getattr(here, self.when)))

    @property
    def run(self) -> str:
        """The action as it is run from outside the widget it belongs to."""
        return f"focused.{self.action}" if self.home and "." not in self.action else self.action

    @property
    def available(self) -> bool:
        """Whether there is such a command now."""
        return not (self.changes and is_read_only())

    def binding(self) -> Binding:
        """The Textual binding of its keys."""
        return Binding(
            ",".join(self.keys), self.action, self.title, show=bool(self.hint), id=self.id, tooltip=self.help
        )


@dataclass(frozen=True, slots=True)
class Here:
    """What is in focus, as far as it decides which commands are offered. Without details: as if all were there."""

    pane: str
    row: bool = True
    """The cursor stands on a row that opens."""
    markable: bool = True
    """The cursor stands on a row that can be marked."""
    plannable: bool = True
    """Rows are marked, or the one under the cursor could be."""
    folds: bool = True
    """There are rows that fold."""
    named: bool = True
    """What is under the cursor has a name to copy."""
    process: bool = True
    """A process of a GPU is under the cursor or in front."""
    tab: bool = True
    """A document is in front."""
    tabs: bool = True
    """Documents are open."""
    preview: bool = True
    """The document in front is a preview."""
    setting: bool = True
    """A setting is under the cursor."""
    repo: bool = True
    """Repos are marked, one is under the cursor, or the document in front is about one."""
    repos: bool = True
    """There are repos."""
    task: bool = True
    """Something is being done with repos."""
    kernel: bool = True
    """A kernel's document is in front."""
    stale: bool = True
    """Kernels are stale."""
    going: bool = True
    """The run that is shown goes on."""
    runs: bool = True
    """There are runs."""
    report: bool = True
    """The run that is shown, or the one whose report is in front, may have written something."""
    workers: bool = True
    """There are resident workers."""


def use(keymap: Keymap) -> None:
    """Make `keymap` the one in use: for this process, since it says what this person's hands do."""
    _active.clear()
    _active.update({name: tuple(keys) for name, keys in keymap.items()})


def in_use() -> Mapping[str, tuple[str, ...]]:
    """The keymap in use."""
    return dict(_active)


COMMANDS: Final = (
    Command("models.focus", "Models: Focus", "Repos, revisions and files", "focus_pane('models')"),
    Command("kernels.focus", "Kernels: Focus", "The kernel caches, by SM", "focus_pane('kernels')"),
    Command("gpus.focus", "GPU: Focus", "VRAM by process and model", "focus_pane('gpus')"),
    Command("runs.focus", "Conversion: Focus", "The runs and their phases", "focus_pane('conversion')"),
    Command("problems.focus", "Problems: Focus", "What needs attention, each with its fix", "focus_pane('problems')"),
    Command("pane.next", "View: Next Pane", "Go to the next pane", "next_pane(1)"),
    Command("pane.previous", "View: Previous Pane", "Go to the pane before", "next_pane(-1)"),
    Command("list.open", "List: Open", "Open the row as a preview, a second time pin it; else fold or unfold", "open",
            "open", ROWS, LISTS, home="list", when="row"),
    Command("list.mark", "List: Mark", "Mark the row for a plan and go on; else fold or unfold", "mark",
            "mark", ROWS, LISTS, home="list", when="markable"),
    Command("open.quick", "Go to: Repo, Kernel, Process, File", "By name: @ repos, # kernels, % processes, / files",
            "quick_open", "go to"),
    Command("process.signal", "GPU: Signal Process", "Send SIGINT, SIGTERM or SIGKILL to this process, after asking",
            "signal_process", "signal", ("gpus", "document"), hint_panes=("gpus",), changes=True, when="process"),
    Command("runs.new", "Conversion: New", "Choose files and convert them", "new_conversion", "convert"),
    Command("list.filter", "List: Filter", "Only rows with a text in their name; where nothing is filtered, find",
            "filter", "filter", LISTS),
    Command("plan.marked", "Prune: Plan Marked", "Review what deleting the marked rows, or this one, would free",
            "plan_marked", "plan prune", (*LISTS, "glance"), when="plannable"),
    Command("kernels.stale", "Kernels: Prune Stale", "Review what deleting the stale kernels would free",
            "plan_stale", when="stale"),
    Command("models.superseded", "Models: Prune Superseded",
            "Review what deleting the revisions would free that a newer download has replaced", "plan_superseded"),
    Command("models.warm", "Models: Warm Now", "Read the marked repos, or this one, into RAM: the next start is warm",
            "warm_models", panes=_REPOS, changes=True, when="repo"),
    Command("models.drop", "Models: Drop from RAM", "Let go of what of them is in RAM, after asking",
            "drop_models", panes=_REPOS, changes=True, when="repo"),
    Command("models.verify", "Models: Verify", "Compute the checksums of the marked repos, or of this one",
            "verify_models", panes=_REPOS, when="repo"),
    Command("models.verify.all", "Models: Verify All", "Compute the checksums of every repo, in the background",
            "verify_models(True)", when="repos"),
    Command("models.cancel", "Models: Cancel Task", "Stop warming, dropping or verifying; what was done stays done",
            "cancel_task", when="task"),
    Command("models.preset", "Models: Next Preset", "Biggest, longest unused, superseded, stale partials, all",
            "next_preset", when="repos"),
    Command("preset.biggest", "Models: Biggest", "Every repo, the biggest first", "use_preset('biggest')"),
    Command("preset.unused", "Models: Longest Unused", "Every repo, the one that was read longest ago first",
            "use_preset('longest-unused')"),
    Command("preset.superseded", "Models: Superseded", "Repos with revisions that a newer download replaced",
            "use_preset('superseded')"),
    Command("preset.partials", "Models: Stale Partials", "Repos with downloads that were cut off",
            "use_preset('stale-partials')"),
    Command("preset.all", "Models: All", "Every repo, in the usual order", "use_preset('')"),
    Command("prune.undo", "Prune: Undo", "Bring back what the last plan deleted, as far as it is kept", "undo"),
    Command("prune.trash", "Prune: Show Trash", "What is held for undo, until when, and how far unlinking it is",
            "show_trash"),
    Command("prune.cancel", "Prune: Stop Emptying", "Stop unlinking; what is left stays until the trash is emptied",
            "keep_trash"),
    Command("copy", "List: Copy Name", "Copy the name under the cursor, or a problem's fix, to the clipboard", "copy",
            when="named"),
    Command("view.side", "View: Side Bar", "Show the tree of the activity, or hide it", "side_bar", "side bar"),
    Command("view.glance", "View: Can Go, Runs, Disk", "What could go, the last runs and the disks, below the tree",
            "glance"),
    Command("view.panel", "View: Panel", "Hide the bottom panel, or show it again", "bottom_panel", "panel"),
    Command("tab.next", "View: Next Tab", "The next open document", "step_tab(1)", when="tabs"),
    Command("tab.previous", "View: Previous Tab", "The open document before", "step_tab(-1)", when="tabs"),
    Command("tab.close", "View: Close Tab", "Close the document in front", "close_tab", when="tab"),
    Command("pane.maximise", "View: Maximise Pane", "Give the pane all room, or share it again", "maximise",
            "maximise"),
    Command("scan.again", "Caches: Scan Again", "Look at every cache again now; read the document again", "rescan"),
    Command("theme.next", "View: Next Theme", "Dark, light, high contrast, sixteen colours", "next_theme"),
    Command("theme.dark", "View: Theme Dark Modern", "VS Code's dark colours", "use_theme('cachetop-dark')"),
    Command("theme.light", "View: Theme Light Modern", "VS Code's light colours", "use_theme('cachetop-light')"),
    Command("theme.contrast", "View: Theme High Contrast", "Black, white and few strong colours",
            "use_theme('cachetop-contrast')"),
    Command("theme.ansi", "View: Theme 16 Colours", "The terminal's own colours", "use_theme('cachetop-ansi')"),
    Command("settings.show", "View: Settings", "Every setting, its value and where it comes from; Enter changes one",
            "settings"),
    Command("settings.reset", "Settings: Reset", "Let the default hold again; its line in the file becomes a comment",
            "app.reset_setting", panes=("document",), home="document", when="setting"),
    Command("settings.edit", "Settings: Open File", "Open config.toml in $VISUAL or $EDITOR", "edit_settings"),
    Command("commands.show", "View: Commands", "Every command by name", "commands", "commands"),
    Command("view.jump", "View: Jump", "A label on every pane, tab and row in sight; type one to go there", "jump",
            "jump"),
    Command("keys.show", "Help: Keys", "Every key and what it does", "keys", "keys"),
    Command("menu.show", "List: Menu", "What can be done here, as a menu; the right mouse button opens it too",
            "menu", "menu", (*ROWS, "conversion", "document"), ("models", "kernels", "gpus", "side")),
    Command("list.find", "List: Find", "Go to a row, folded or not, by a part of its name; in the side bar just type",
            "find", panes=(*ROWS, "document"), home="list"),
    Command("list.fold.all", "List: Fold All", "Fold every row", "fold_all", panes=ROWS, home="list", when="folds"),
    Command("list.unfold", "List: Unfold", "Unfold, or go to the first row below", "unfold", panes=ROWS, home="list",
            motion=True),
    Command("list.fold", "List: Fold", "Fold, or go to the row this one belongs to", "fold", panes=ROWS, home="list",
            motion=True),
    Command("list.up", "List: Up", "The row above", "move(-1)", panes=_SCROLLED, home="list", motion=True),
    Command("list.down", "List: Down", "The row below", "move(1)", panes=_SCROLLED, home="list", motion=True),
    Command("list.pageup", "List: Page Up", "A page up", "page(-1)", panes=_SCROLLED, home="list", motion=True),
    Command("list.pagedown", "List: Page Down", "A page down", "page(1)", panes=_SCROLLED, home="list", motion=True),
    Command("list.home", "List: First", "The first row", "edge(0)", panes=_SCROLLED, home="list", motion=True),
    Command("list.end", "List: Last", "The last row", "edge(-1)", panes=_SCROLLED, home="list", motion=True),
    Command("document.leave", "Document: Overview", "Back to the overview; the tab stays", "screen.overview",
            panes=("document",), home="document", when="tab"),
    Command("document.find", "Document: Find", "Find text in the document: Enter goes on to the next place, Esc leaves",
            "find_text", "find", panes=("document",), home="document", when="tab"),
    Command("document.pin", "Document: Pin", "Keep the preview as a tab", "screen.pin", panes=("document",),
            home="document", when="preview"),
    Command("kernel.stage", "Kernel: Next Stage", "Show the next stage of the kernel's code", "turn_stage", "stage",
            panes=("document",), home="document", when="kernel"),
    *(
        Command(f"kernel.stage.{n}", f"Kernel: Stage {n}",
                f"Show stage {n} of the kernel's code: {_OF_TRITON[n - 1]}, where Triton made it", f"show_stage({n})",
                panes=("document",), home="document", when="kernel", covers=covered)
        for n, covered in enumerate(_COVERED, 1)
    ),
    Command("kernel.diff", "Kernel: Diff with Another SM", "How the stage differs from the same kernel for another SM",
            "turn_diff", "diff", panes=("document",), home="document", when="kernel"),
    Command("runs.earlier", "Conversion: Earlier Run", "Show the run before this one", "step(1)", panes=_RUNS,
            home="runs", when="runs"),
    Command("runs.later", "Conversion: Later Run", "Show the run after this one", "step(-1)", panes=_RUNS,
            home="runs", when="runs"),
    Command("runs.tab", "Conversion: Next Tab", "The next tab of the panel", "tab(1)", panes=(*_RUNS, "problems"),
            home="runs"),
    Command("runs.tab.back", "Conversion: Previous Tab", "The tab of the panel before", "tab(-1)",
            panes=(*_RUNS, "problems"), home="runs"),
    Command("runs.open", "Conversion: Open", "Show the run under the cursor, or the report of one that has ended",
            "open", panes=_RUNS, home="runs", when="runs"),
    Command("runs.result", "Conversion: Result", "Read what the run wrote, its Markdown rendered", "read('result')",
            "result", panes=(*_RUNS, "document"), home="runs", when="report"),
    Command("runs.tree", "Conversion: JSON Tree", "Look through the JSON the run wrote", "read('tree')",
            panes=(*_RUNS, "document"), home="runs", when="report"),
    Command("runs.folder", "Conversion: Open Folder", "Show the folder of the outputs, or copy its path", "folder",
            panes=_RUNS, home="runs", when="runs"),
    Command("runs.copy", "Conversion: Copy Result", "Copy what the run wrote to the clipboard", "copy_result",
            panes=_RUNS, home="runs", when="runs"),
    Command("runs.cold", "Conversion: Run Cold", "The same again, its weights dropped from RAM, with fresh kernel "
            "folders and a new process", "cold", panes=_RUNS, home="runs", when="runs", changes=True),
    Command("runs.cancel", "Conversion: Cancel", "Cancel the run that is shown; its pages stay", "cancel", panes=_RUNS,
            home="runs", when="going"),
    Command("runs.unload", "Conversion: Unload", "End the resident workers, and free what they hold in VRAM", "unload",
            panes=_RUNS, home="runs", when="workers"),
    Command("runs.up", "Conversion: Up", "One line up in runs and events", "move(-1)", panes=_RUNS, home="runs",
            motion=True),
    Command("runs.down", "Conversion: Down", "One line down in runs and events", "move(1)", panes=_RUNS, home="runs",
            motion=True),
    Command("runs.pageup", "Conversion: Page Up", "Ten lines up", "move(-10)", panes=_RUNS, home="runs", motion=True),
    Command("runs.pagedown", "Conversion: Page Down", "Ten lines down", "move(10)", panes=_RUNS, home="runs",
            motion=True),
    Command("quit.how", "Help: How to Leave", "Say which key leaves", "how_to_quit"),
    Command("app.quit", "cachetop: Quit", "Leave at once; conversions go on", "quit", "quit"),
)  # fmt: skip
"""All commands, in the order the palette and the help list them; not all are `available`."""


_BY_ID: Final = {command.id: command for command in COMMANDS}


def named(name: str) -> Command:
    """The command with this id. Raises KeyError."""
    return _BY_ID[name]


def keys_of(*names: str) -> tuple[str, ...]:
    """The keys of all these commands. Raises KeyError."""
    return tuple(key for name in names for key in _BY_ID[name].keys)


def bindings(home: str) -> list[BindingType]:
    """The Textual bindings of the commands that a widget runs itself."""
    return [command.binding() for command in COMMANDS if command.home == home and command.keys]


def hints(where: str | Here) -> list[tuple[str, str]]:
    """(key, word) of the commands that belong in the footer while a pane is in focus, or exactly here."""
    pane = where if isinstance(where, str) else where.pane
    return [
        (command.key, command.hint)
        for command in COMMANDS
        if command.hint and command.enabled(where) and (not command.hint_panes or pane in command.hint_panes)
    ]
