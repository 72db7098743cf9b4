"""One output of a cell that is shown once and replaced later, through the shell it belongs to."""

from __future__ import annotations

import uuid
from typing import Any

from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell


class Output:
    """Shows MIME bundles. A terminal cannot replace what it printed: there only `lively` False ones make sense."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._publisher: Any = shell.display_pub
        self._id = {"display_id": uuid.uuid4().hex}
        self._shown = False
        self.lively = type(self._publisher) is not DisplayPublisher
        """Whether what is shown can be replaced."""

    def show(self, bundle: dict[str, Any]) -> None:
        """Show it, in place of what this output showed before where that is possible."""
        self._publisher.publish(bundle, transient=self._id, update=self._shown and self.lively)
        self._shown = True
