"""Quick open: a repo (`@`), a kernel (`#`), a process (`%`), or a file on disk to convert, by a part of its name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

from textual.command import CommandPalette, DiscoveryHit, Hit, Provider, SearchIcon
from textual.content import Content

from cachetop.base.hostile import clean
from cachetop_tui.background import in_background
from cachetop_tui.commands.palette import Palette, room
from cachetop_tui.cut import middle
from cachetop_tui.paint import width_of
from cachetop_tui.workbench.picture import Picture
from cachetop_tui.workbench.tabs import Document

_MOST = 60
_AT_ONCE = 2000
"""Names that are compared before the event loop gets its turn again."""
_SIGNS = "@#%"
_PATHS = ("/", "~", "./", "../")

Found = tuple[str, str, Callable[[], Document | str]]
"""The name, what it is, and what opens it: a document, or the path of a file to convert."""


def names(picture: Picture, sign: str = "") -> Iterator[Found]:
    """Everything that can be opened by name; `sign` keeps one kind."""
    from cachetop_tui.workbench import opening

    if sign in ("", "@") and picture.models is not None:
        for repo in picture.models.repos:
            yield clean(repo.id), repo.type, partial(opening.repo_document, repo)
    if sign in ("", "#") and picture.tree is not None:
        for entry in picture.tree.kernels.entries:
            what = f"kernel  {', '.join(entry.sm)}  {clean(entry.cache, 24)}"
            yield clean(entry.name or entry.key, 200), what, partial(opening.kernel_document, entry, picture)
    if sign in ("", "%") and picture.gpus is not None:
        for gpu in picture.gpus.gpus:
            for process in gpu.processes:
                name = f"{process.pid} {clean(process.command or '?', 100)}"
                yield name, f"process on GPU {gpu.index}", partial(opening.process_document, gpu, process)


def matches(query: str, name: str) -> bool:
    """Whether every word of `query` is in `name`, whatever the case."""
    folded = name.casefold()
    return all(word in folded for word in query.casefold().split())


def files(typed: str, most: int = _MOST) -> list[str]:
    """Paths that go on from `typed`, folders with a slash at their end. Reads one folder; empty where it cannot."""
    whole = os.path.expanduser(typed)
    folder, _, begin = whole.rpartition("/")
    out: list[str] = []
    try:
        with os.scandir(folder or "/") as entries:
            for entry in entries:
                if entry.name.startswith(begin) and (begin or not entry.name.startswith(".")):
                    out.append(f"{folder}/{entry.name}" + ("/" if _is_folder(entry) else ""))
    except OSError:
        return []
    return sorted(out, key=lambda path: (path.endswith("/"), path))[:most]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into a folder that this user may not read
        return False


class Things(Provider):
    """What quick open finds."""

    @property
    def _room(self) -> int:
        return room(self.app.size.width, 90, 0.94)

    @property
    def _picture(self) -> Picture:
        picture: Any = getattr(self.screen, "picture", None)
        return picture if isinstance(picture, Picture) else Picture()

    async def discover(self) -> AsyncIterator[DiscoveryHit]:
        """The repos, before anything is typed."""
        for name, what, make in [found for found, _ in zip(names(self._picture, "@"), range(_MOST), strict=False)]:
            yield DiscoveryHit(_two(name, what, self._room), partial(self._open, make), name, None)

    async def search(self, query: str) -> AsyncIterator[Hit]:
        """What has the words of the query in its name, at most 60."""
        if query.startswith(_PATHS):
            for n, path in enumerate(await in_background(files, query)):
                yield Hit(1 - n / 1000, Content(clean(path)), partial(self._open, partial(str, path)), path, "file")
            return
        sign = query[0] if query[:1] in _SIGNS else ""
        wanted = query[1:] if sign else query
        count = 0
        for n, (name, what, make) in enumerate(names(self._picture, sign)):
            if n % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            if matches(wanted, name):
                count += 1
                yield Hit(1 - count / 1000, _two(name, what, self._room), partial(self._open, make), name, None)
                if count == _MOST:
                    return

    async def _open(self, make: Callable[[], Document | str]) -> None:
        opened = make()
        if isinstance(opened, str):
            app: Any = self.app
            await app.convert_file(opened)
        else:
            screen: Any = self.screen
            screen.open_document(opened)


def _two(name: str, what: str, width: int) -> Content:
    """A name and, at the right edge of a list `width` cells wide, what it is; a long name gives way."""
    name = middle(name, max(12, width - width_of(what) - 2))
    return Content(name).append(Content(" " * max(2, width - width_of(name) - width_of(what)) + what))


class QuickOpen(Palette):
    """The palette's look, with things instead of commands."""

    DEFAULT_CSS = """
    QuickOpen { background: $background 40%; }
    QuickOpen > Vertical { width: 90; max-width: 94%; margin-top: 1; background: $panel; }
    """

    def __init__(self) -> None:
        CommandPalette.__init__(
            self, [Things], placeholder="A name: @ repo  # kernel  % process  / file to convert", id="--command-palette"
        )

    def on_mount(self) -> None:
        """Replace the search icon."""
        self.query_one(SearchIcon).icon = "/"
