"""The files of a revision as rows, the largest first; very many by folder, worked out once for each revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from cachetop.hub.records import File, Repo, Revision, in_ram
from cachetop_tui.finding import Place
from cachetop_tui.listing import Listing
from cachetop_tui.marks import Row

_MANY = 200
"""Files of a revision from which on folders are shown as such."""
_LONG = 2000
"""Files from which on sorting takes longer than an event loop may be held: the feed's thread does it first."""
_name = attrgetter("name")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a revision with all that lies below it."""

    name: str
    """Its path in the revision from the folder above that is shown."""
    path: str
    """Its whole path with a slash behind it; empty for the revision itself."""
    folders: tuple[Folder, ...]
    files: tuple[File, ...]
    """Those directly in it, the largest first."""
    count: int
    """Of files at any depth."""
    size: int
    """Bytes, each blob once."""
    warm: int | None
    """Bytes in RAM, None where one of the files was not measured."""


Known = Mapping[tuple[str, str], tuple[Revision, Folder]]
"""The folders of large revisions, by the key of the repo and the commit."""


def prepared(repos: Iterable[tuple[str, Repo]], before: Known) -> Known:
    """Work out those of every large revision, but for what is the same as before."""
    found = {}
    for key, repo in repos:
        for revision in repo.revisions:
            if len(revision.files) > _LONG:
                found[key, revision.commit] = (revision, folder(before, key, revision))
    return found


def folder(known: Known, key: str, revision: Revision) -> Folder:
    """What lies in a revision of the repo `key`."""
    found = known.get((key, revision.commit))
    return found[1] if found is not None and found[0] is revision else _tree(revision.files)


def warm(known: Known, key: str, revision: Revision) -> int | None:
    """Bytes of a revision of the repo `key` in RAM, None where one of its files was not measured."""
    found = known.get((key, revision.commit))
    return found[1].warm if found is not None and found[0] is revision else _warm(revision.files)


def _warm(files: Iterable[File]) -> int | None:
    """Bytes of `files` in RAM, each blob once; None where one of them was not measured."""
    found = in_ram(files)
    return None if found is None else found[0]


def largest_first(files: Iterable[File]) -> list[File]:
    """The files of a revision, which come by name, by size: comparing pairs of both holds everybody up much longer."""
    return sorted(files, key=attrgetter("size"), reverse=True)


def _tree(files: tuple[File, ...]) -> Folder:
    """The folders of a revision; of few files none."""
    ordered = largest_first(files)
    if len(files) <= _MANY:
        return _folder("", "", (), ordered, ordered)
    inside: dict[str, list[File]] = {}
    for file in ordered:
        inside.setdefault(file.name[: file.name.rfind("/") + 1], []).append(file)
    below: dict[str, set[str]] = {}
    for path in inside:
        while path:
            above = path[: path.rfind("/", 0, -1) + 1]
            below.setdefault(above, set()).add(path)
            path = above
    return _made("", "", inside, below)[0]


def _made(
    path: str, above: str, inside: Mapping[str, list[File]], below: Mapping[str, set[str]]
) -> tuple[Folder, list[File]]:
    """A folder, and all files below it. One that holds only another folder is shown with it, as `a/b`."""
    files, folders = inside.get(path, []), below.get(path, ())
    if path and not files and len(folders) == 1:
        return _made(next(iter(folders)), above, inside, below)
    made = [_made(one, path, inside, below) for one in folders]
    every = [*files, *(file for _, some in made for file in some)]
    ordered = sorted((folder for folder, _ in made), key=lambda folder: (-folder.size, folder.name))
    return _folder(path[len(above) : -1], path, tuple(ordered), files, every), every


def _folder(name: str, path: str, folders: tuple[Folder, ...], files: list[File], every: list[File]) -> Folder:
    each = {file.blob or f"/{file.name}": file.size for file in every}
    return Folder(name, path, folders, tuple(files), len(every), sum(each.values()), _warm(every))


def add(out: Listing, folder: Folder, mark: str, depth: int, unfolded: Mapping[str, bool]) -> None:
    """Add the rows of what lies in `folder`; `mark` is the key of its revision."""
    for one in folder.folders:
        key = f"{mark}\0{one.path}"
        is_open = unfolded.get(key, False)
        out.add(Row(key, "folder", one, depth, is_open))
        if is_open:
            add(out, one, mark, depth + 1, unfolded)
    out.run(folder.files, _row(mark, depth), _name, f"{mark}\0")


def _row(mark: str, depth: int) -> Callable[[File], Row]:
    return lambda file: Row(f"{mark}\0{file.name}", "file", file, depth)


def places(known: Known, key: str, revision: Revision, mark: str, name: str) -> Iterator[Place]:
    """Every folder and file of a revision of the repo `key`, as they stand below each other when all is unfolded.

    `mark` is the key of the revision, `name` the repo's: each is found as `org/name/file`, too.
    """
    if len(revision.files) <= _MANY:
        start = len(name) + 1
        for file in largest_first(revision.files):
            yield Place(f"{mark}\0{file.name}", f"{name}/{file.name}", (key, mark), start, start)
    else:
        yield from _places(folder(known, key, revision), mark, f"{name}/", (key, mark))


def _places(within: Folder, mark: str, repo: str, above: tuple[str, ...]) -> Iterator[Place]:
    inside = len(repo)
    start = inside + len(within.path)
    for one in within.folders:
        inner = f"{mark}\0{one.path}"
        yield Place(inner, f"{repo}{one.path[:-1]}", above, start, inside)
        yield from _places(one, mark, repo, (*above, inner))
    for file in within.files:
        yield Place(f"{mark}\0{file.name}", f"{repo}{file.name}", above, start, inside)
