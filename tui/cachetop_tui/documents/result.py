"""What a conversion wrote, as documents: its Markdown rendered, its JSON as a tree. Also its folder and its text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import islice
from typing import Any

import msgspec

from cachetop.base import units
from cachetop.base.files import read_bounded
from cachetop.base.hostile import clean
from cachetop.base.turns import in_turns
from cachetop.conversion.folder import find
from cachetop.conversion.history import picture
from cachetop_tui.documents import markdown
from cachetop_tui.documents.layout import paragraph
from cachetop_tui.marks import Line

MOST = 8 << 20
"""Bytes of a result that are read."""
VALUES = 400_000
"""Values of JSON, counted by the commas between them, which take a hundred bytes of memory each, and more."""
_PART = 64 << 10
"""Bytes of JSON that are decoded in one call."""
LINES = 20_000
"""Lines of a result that are laid out."""
_TEXTS = (".md", ".txt", ".html", ".doctags")


def outputs(job: str) -> list[str]:
    """The files a job wrote. Raises LookupError, ValueError, with a sentence."""
    found = [path for document in picture(find(job)).documents for path in document.outputs]
    if not found:
        raise LookupError(f"Job {clean(job)} wrote nothing.")
    return found


def load_text(job: str) -> tuple[str, str]:
    """(path, text) of the first readable output, Markdown before others. Blocks. Raises OSError, LookupError."""
    ordered = sorted(outputs(job), key=lambda path: _TEXTS.index(_kind(path)) if _kind(path) in _TEXTS else 9)
    if _kind(ordered[0]) not in _TEXTS:
        raise LookupError("This run wrote no text; its JSON opens as a tree.")
    return ordered[0], _read(ordered[0]).decode("utf-8", "replace")


def load_tree(job: str) -> Any:
    """The first JSON output. Blocks. Raises OSError, LookupError, ValueError."""
    path = next((path for path in outputs(job) if _kind(path) == ".json"), None)
    if path is None:
        raise LookupError("This run wrote no JSON; `--to json`, or the tick in the dialog, makes it.")
    try:
        return _tree(_read(path), path)
    except RecursionError:
        raise ValueError(f"{clean(path)} is nested too deeply to be read; open it in another program.") from None


def _tree(raw: bytes, path: str) -> Any:
    """What JSON holds, a part at a time: one call over all of it would hold up the event loop."""
    if raw.count(b",") > VALUES:
        raise ValueError(f"{clean(path)} holds more than {VALUES:,} values; open it in another program.")
    try:
        return _decoded(raw)
    except msgspec.DecodeError:
        return json.loads(raw)  # it takes NaN, too, and says what is wrong


def _decoded(raw: bytes) -> Any:
    if len(raw) > _PART:
        kind = raw[:64].lstrip()[:1]
        if kind == b"{":
            members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            return {name: _decoded(bytes(member)) for name, member in in_turns(members.items())}
        if kind == b"[":
            return [_decoded(bytes(item)) for item in in_turns(msgspec.json.decode(raw, type=list[msgspec.Raw]), 16)]
    return msgspec.json.decode(raw)


def _read(path: str) -> bytes:
    data = read_bounded(path, MOST + 1)
    if len(data) > MOST:
        raise ValueError(f"{clean(path)} is larger than {MOST >> 20} MiB; open it in another program.")
    return data


def _kind(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def lines(record: tuple[str, str], width: int, now: float) -> list[Line]:
    """The text rendered; what is no Markdown as it is."""
    path, text = record
    if _kind(path) != ".md":
        made = list(markdown.as_it_is(text, width, LINES + 1))
    else:
        made = list(islice(markdown.in_pieces(text, width), LINES + 1))
    if len(made) <= LINES:
        return made
    said = f"… it goes on. These are the first {LINES:,} lines; the whole, {units.size(len(text.encode()))}, is {path}"
    return made[:LINES] + paragraph(clean(said), width, "faint")


def folder_of(job: str) -> str:
    """The folder a job wrote into; without outputs its own. Raises LookupError, ValueError."""
    folder = find(job)
    found = [path for document in picture(folder).documents for path in document.outputs]
    return os.path.dirname(found[0]) if found else str(folder.path)


def show_folder(job: str) -> tuple[str, bool]:
    """The folder a job wrote into, and whether a desktop shows it. Raises LookupError, ValueError, OSError."""
    path = folder_of(job)
    return path, _open_folder(path)


def _open_folder(path: str) -> bool:
    """Show a folder in the desktop's file manager; False where there is no desktop to show it on."""
    program = shutil.which("xdg-open")
    if (
        program is None
        or os.environ.get("SSH_CONNECTION")
        or not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    ):
        return False
    subprocess.Popen(
        [program, path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    return True
