"""The app on the samples, in a terminal of its own, that writes down which command a key reached.

python tests/support/keys_app.py LOG. Commands are written down and not carried out, but for those that put the cursor
into a pane or open the settings, so that what stands under the keys stays the same.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from textual.dom import DOMNode

from cachetop_tui import app as app_module
from cachetop_tui.app import CachetopApp
from cachetop_tui.commands.registry import COMMANDS
from cachetop_tui.lines import LineView
from cachetop_tui.panel.conversion import ConversionPanel
from cachetop_tui.workbench.document import DocumentView
from support import pictures, runs

LOG = Path(sys.argv[1])
READY = "ready"


class Recording(CachetopApp):
    """Writes the command's id where it would run it."""

    async def run_action(self, action: Any, default_namespace: DOMNode | None = None, *args: Any) -> bool:
        """See `App.run_action`."""
        homes = {""}
        if isinstance(default_namespace, ConversionPanel):
            homes = {"runs"}
        elif isinstance(default_namespace, DocumentView):
            homes = {"document", "list"}
        elif isinstance(default_namespace, LineView):
            homes = {"list"}
        found = [one.id for one in COMMANDS if one.action == action and one.home in homes]
        with LOG.open("a") as file:
            file.write(f"{found[0] if found else action}\n")
        if found and (found[0].endswith(".focus") or found[0] == "settings.show"):
            return await super().run_action(action, default_namespace, *args)
        return True

    async def _begin(self) -> None:
        await super()._begin()
        self.call_after_refresh(LOG.write_text, f"{READY}\n")


if __name__ == "__main__":
    app_module.CachetopApp = Recording  # type: ignore[misc]
    run, done = runs.running(), runs.done()
    sys.exit(app_module.run_source(pictures.everything(jobs=runs.jobs(run, done), runs=(run, done))))
