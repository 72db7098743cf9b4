"""The dialogs that ask for the value of a setting, and for the keys of a command."""

from __future__ import annotations

import difflib
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.suggester import SuggestFromList
from textual.widgets import Input

from cachetop.config import Setting
from cachetop.config.reading import split_keys
from cachetop.config.schema import KEYS_HELP
from cachetop_tui.commands.keynames import canonical
from cachetop_tui.commands.registry import COMMANDS
from cachetop_tui.dialogs.dialog import Dialog
from cachetop_tui.dialogs.fields import Press, Sentence
from cachetop_tui.settings import no_key

Answer = tuple[str, str, Any]
"""Section, key and value; None as the value for the default."""


class _Asking(Dialog[Answer | None]):
    """One or two lines to type in, a sentence about what is wrong, and two buttons."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "cancel", show=False)]
    DEFAULT_CSS = """
    _Asking { align: center middle; background: $background 60%; }
    _Asking > Vertical { width: 84; max-width: 96%; height: auto; background: $panel; padding: 1 1; }
    _Asking .line { height: 1; }
    _Asking Input { width: 1fr; }
    _Asking #buttons { height: 1; align-horizontal: right; margin-top: 1; }
    """

    def on_mount(self) -> None:
        """Type on behind what is there."""
        for line in self.query(Input):
            line.action_end()
        self.query(Input).first().focus()

    def finish(self) -> None:
        """Take what was typed, or say what is wrong with it."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """What is wrong."""
        self.query_one("#problem", Sentence).say(text, "err")

    def typed(self, name: str) -> str:
        """What stands in an input."""
        return self.query_one(f"#{name}", Input).value.strip()

    def buttons(self) -> ComposeResult:
        """What stands below the inputs."""
        yield Sentence("", "err", id="problem")
        with Horizontal(id="buttons"):
            yield Press("Save", id="save")
            yield Press("Cancel", id="cancel")

    @on(Input.Submitted)
    @on(Press.Pressed, "#save")
    def _save(self) -> None:
        self.finish()

    @on(Press.Pressed, "#cancel")
    def action_leave(self) -> None:
        """Leave everything as it is."""
        self.dismiss(None)


class SettingDialog(_Asking):
    """Asks for a text, a length of time, a size or a list of texts. Nothing typed means the default."""

    def __init__(self, section: str, key: str, setting: Setting, value: Any) -> None:
        super().__init__()
        self._section, self._key, self._setting = section, key, setting
        self._was = ", ".join(value) if isinstance(value, (list, tuple)) else value or ""

    def compose(self) -> ComposeResult:
        """What the setting does, what it may be, and its value."""
        setting = self._setting
        wanted = "texts, a comma between them" if setting.kind == "texts" else setting.wanted
        with Vertical():
            yield Sentence(f"{self._section}.{self._key}", "b:hi")
            yield Sentence(f"{setting.help}.", "fg")
            yield Sentence(f"{wanted}; nothing for the default", "dim")
            yield Input(self._was, compact=True, select_on_focus=False, id="value")
            yield from self.buttons()

    def finish(self) -> None:
        """See `_Asking`."""
        text = self.typed("value")
        value: Any = _listed(text) if self._setting.kind == "texts" else text
        wrong = self._setting.check(value) if text else ""
        if wrong:
            self.say(f"It {wrong}.")
        else:
            self.dismiss((self._section, self._key, value if text else None))


class KeysDialog(_Asking):
    """Asks for a command and its keys. No keys leave the command without any."""

    def __init__(self, command: str, keys: tuple[str, ...]) -> None:
        super().__init__()
        self._command = command
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Which command, which keys."""
        names = [command.id for command in COMMANDS]
        with Vertical():
            yield Sentence("Own keys", "b:hi")
            yield Sentence(f"{KEYS_HELP}.", "fg")
            with Horizontal(classes="line"):
                yield Sentence("Command", id="command-label")
                yield Input(self._command, placeholder="runs.new", suggester=SuggestFromList(names), compact=True,
                            select_on_focus=False, id="command")  # fmt: skip
            with Horizontal(classes="line"):
                yield Sentence("Keys", id="keys-label")
                yield Input(
                    ", ".join(self._keys), placeholder="n, ctrl+n", compact=True, select_on_focus=False, id="keys"
                )
            yield from self.buttons()

    def on_mount(self) -> None:
        """Where there is a command already its keys are asked for."""
        super().on_mount()
        if self._command:
            self.query_one("#keys", Input).focus()

    def finish(self) -> None:
        """See `_Asking`."""
        names = {command.id for command in COMMANDS}
        command = self.typed("command")
        if command not in names:
            near = difflib.get_close_matches(command, names, 1)
            self.say(f"There is no command {command!r}{f'; did you mean {near[0]}?' if near else '.'}")
            return
        keys = split_keys(self.typed("keys"))
        wrong = next((key for key in keys if canonical(key) is None), None)
        if wrong is not None:
            self.say(f"{no_key(wrong)}")
        else:
            self.dismiss(("keys", command, list(keys)))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
