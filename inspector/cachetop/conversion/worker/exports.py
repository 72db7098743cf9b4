"""Where a document's outputs go, and writing them: never over an existing file unless told to."""

import contextlib
import json
import os
from typing import Any

from .job import EXTENSIONS, Job


class Exists(Exception):
    """An output is in the way; the message names it."""


class Outputs:
    """The names a job has given out, so that two inputs of one name get two outputs."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._taken: set[str] = set()

    def plan(self, file: str) -> dict[str, str]:
        """Format -> path for the outputs of `file`. Raises Exists when one is there and may not be replaced."""
        stem = os.path.splitext(os.path.basename(file))[0] or "document"
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name)
        paths = {to: os.path.join(self._job.output_folder, name + EXTENSIONS[to]) for to in self._job.to}
        for path in paths.values():
            if os.path.lexists(path) and not self._job.force:
                raise Exists(f"{path} exists and was not overwritten.")
        return paths

    def write(self, document: Any, to: str, path: str) -> None:
        """Write one output whole or not at all. Raises Exists, OSError."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        folder, name = os.path.split(path)
        draft = os.path.join(folder, f".{name[:100]}.{os.getpid()}.part")
        try:
            with open(draft, "x", encoding="utf-8", errors="replace") as file:
                file.write(_text(document, to))
            if self._job.force:
                os.replace(draft, path)
            else:
                _name(draft, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)


def _name(draft: str, path: str) -> None:
    """Give the finished draft its name; unlike a rename, a link never replaces what appeared meanwhile."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise Exists(f"{path} appeared meanwhile and was not overwritten.") from None
    except OSError:
        # a file system without hard links
        if os.path.lexists(path):
            raise Exists(f"{path} appeared meanwhile and was not overwritten.") from None
        os.replace(draft, path)


def _text(document: Any, to: str) -> str:
    if to == "json":
        return json.dumps(document.export_to_dict(), ensure_ascii=False, indent=1)
    made = {
        "md": document.export_to_markdown,
        "html": document.export_to_html,
        "text": document.export_to_text,
        "doctags": document.export_to_doctags,
    }[to]()
    return str(made)
