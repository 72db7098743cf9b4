"""The app as its configuration wants it: theme, keys, layout; read again while it runs."""

from __future__ import annotations

import os
from typing import Final

from textual.app import App

from cachetop_tui import settings, themes
from cachetop_tui.background import in_background
from cachetop_tui.commands import registry
from cachetop_tui.commands.keymaps import KEYMAPS
from cachetop_tui.wire import Sparing
from cachetop_tui.workbench.chrome import Status
from cachetop_tui.workbench.overview import Overview

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
        self.theme = themes.wanted(self.told.value("theme", "auto"), os.environ)
        self.pauses = self.told.value("pause-unfocused", True)
        self.overview.use_profile(settings.lite(self.told, os.environ))
        keys = settings.keymap(self.told)[0]
        if keys != registry.in_use():
            registry.use(keys)
        if keys != KEYMAPS["vscode"] or self._keymap:  # the bindings are made with these
            self.set_keymap({name: ",".join(some) or f"unbound-{name}" for name, some in keys.items()})
        if self.told.config is not None and "side-bar" in self.told.config.told:
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
            Document("settings", "Settings", ("settings",), lambda: settings.read(self.told.path), document.lines)
        )
