"""Building: the man page goes into the wheel, made from the parsers of the sources that are built."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPage(BuildHookInterface):  # type: ignore[type-arg]
    """Adds `share/man/man1/cachetop.1`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the page and tell hatchling where it belongs."""
        sys.path.insert(0, str(Path(self.root) / "inspector"))
        try:
            from cachetop.cli.manual import page
        finally:
            sys.path.pop(0)
        moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
        self._folder = tempfile.TemporaryDirectory()
        written = Path(self._folder.name) / "cachetop.1"
        written.write_text(page(time.strftime("%Y-%m-%d", moment)), encoding="utf-8")
        build_data["shared_data"][str(written)] = "share/man/man1/cachetop.1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take the page away again."""
        self._folder.cleanup()
