"""The app as its configuration wants it: theme, keys, layout; read again while it runs."""

from __future__ import annotations

import os
from typing import Any, Final

from textual.app import App

from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop_tui import settings, themes
from cachetop_tui.background import in_background
from cachetop_tui.commands import registry
from cachetop_tui.commands.keymaps import KEYMAPS
from cachetop_tui.commands.registry import named
from cachetop_tui.wire import Sparing
from cachetop_tui.workbench.overview import Overview
from cachetop_tui.workbench.status import Status

_LOOK: Final = 2.0
"""Seconds between two looks at the file."""


class Configured(Sparing):
    """Takes over what the file says, at the start and whenever it changes."""

    def __init__(self, overview: Overview) -> None:
        self.told = settings.read(settings.path())
        """What the configuration says."""
        bare, theme = "NO_COLOR" in os.environ, themes.wanted(self.told.value("theme", "auto"), os.environ)
        super().__init__(ansi_color=bare or theme == themes.ANSI_NAME)  # Textual looks once, before there is a theme
        if not bare:
            self.set_reactive(App.ansi_color, None)  # from now on as the theme in use says
        for one in themes.THEMES:
            self.register_theme(one)
        self.overview = overview
        self.set_class(self.told.value("ascii", False) or themes.wants_ascii(os.environ), themes.ASCII_CLASS)
        self._configure()
        self.stylesheet.set_variables(self.get_css_variables())  # else the first frame has the colours of another theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """For a theme of Textual's own: text that is there to help."""
        return {"quiet": "#9D9D9D"}

    def watch_configuration(self) -> None:
        """Say what is wrong with the file, and look from now on whether it changes."""
        self._warn()
        self.set_interval(_LOOK, self._reconfigure)

    def say_paused(self, paused: bool) -> None:
        """See `Sparing`."""
        self.overview.say_paused(paused)

    def _warn(self) -> None:
        if self.told.problem:
            self.notify(self.told.problem, severity="error", markup=False, timeout=15)
            return
        for warning in settings.keymap(self.told)[1]:
            self.notify(warning, severity="warning", markup=False)

    def _configure(self) -> None:
        """Take over what the configuration says."""
        self.overview.picture.told = self.told
        self.theme = themes.wanted(self.told.value("theme", "auto"), os.environ)
        self.pauses = self.told.value("pause-unfocused", True)
        self.overview.use_profile(settings.lite(self.told, os.environ))
        keys = settings.keymap(self.told)[0]
        if keys != registry.in_use():
            registry.use(keys)
        if keys != KEYMAPS["vscode"] or self._keymap:  # the bindings are made with these
            self.set_keymap({name: ",".join(some) or f"unbound-{name}" for name, some in keys.items()})
        if self.told.names("app", "side-bar"):
            self.overview.side = None if self.told.value("side-bar", True) else False

    async def _reconfigure(self) -> None:
        """Look whether the configuration has changed, and take it over."""
        if await in_background(settings.mark, self.told.path) == self.told.mark:
            return
        self.told = await in_background(settings.read, self.told.path)
        self._warn()
        if self.told.problem:
            return
        self._configure()
        self.overview.lay_out()
        self.overview.query_one(Status).repaint()  # its keys may be others now
        self.overview.reread()

    def action_settings(self) -> None:
        """Every setting, its value and where it comes from."""
        from cachetop_tui.documents import settings as document
        from cachetop_tui.workbench.tabs import Document

        self.overview.open_document(
            Document("settings", "Settings", ("settings",), lambda: settings.read(self.told.path), document.lines,
                     self.change_setting)
        )  # fmt: skip
        self.overview.side_follows("settings")

    async def change_setting(self, target: tuple[str, str]) -> None:
        """Change a setting: a flag turns, a choice goes on to the next, anything else is asked for."""
        from cachetop.config import SETTINGS
        from cachetop_tui.dialogs.setting import KeysDialog, SettingDialog

        section, key = target
        if section == "keys":
            own = self.told.config.keys.get(key, ()) if self.told.config is not None else ()
            self.push_screen(KeysDialog(key, own), self._asked)
            return
        setting, value = SETTINGS[section][key], self.told.written(section, key)
        if setting.kind == "flag":
            await self._write(section, key, not value)
        elif setting.choices:
            await self._write(section, key, setting.choices[(setting.choices.index(value) + 1) % len(setting.choices)])
        elif setting.kind == "rules":
            key_name = named("settings.edit").key
            self.notify(f"Rules are tables: {key_name} opens the file in your editor.", markup=False)
        else:
            self.push_screen(SettingDialog(section, key, setting, value), self._asked)

    async def _asked(self, answer: tuple[str, str, Any] | None) -> None:
        if answer is not None:
            section, key, value = answer
            await self._write(section, key, value)

    async def _write(self, section: str, key: str, value: Any) -> None:
        from cachetop.config import ConfigError, writing

        try:
            if value is None:
                await in_background(writing.reset, self.told.path, section, key)
            else:
                await in_background(writing.put, self.told.path, section, key, value)
        except ConfigError as error:
            self.notify(str(error), severity="error", markup=False, timeout=15)
        except OSError as error:
            text = f"{clean(self.told.path)} was not written: {why(error)}."
            self.notify(text, severity="error", markup=False, timeout=15)
        await self._reconfigure()

    async def action_reset_setting(self) -> None:
        """Let the default of the setting under the cursor hold again."""
        from cachetop_tui.workbench.document import DocumentView

        tab, link = self.overview.tabs.current, self.overview.query_one(DocumentView).link
        if tab is not None and tab.document.key == "settings" and link is not None and link.target[1]:
            section, key = link.target
            await self._write(section, key, None)

    async def action_edit_settings(self) -> None:
        """Open the file in the person's editor, and take over what comes back."""
        from cachetop_tui.editing import EditorMissing, open_editor

        try:
            open_editor(self, self.told.path)
        except EditorMissing as reason:
            self.notify(str(reason), severity="warning", markup=False, timeout=15)
        self.repaint_all()
        await self._reconfigure()
