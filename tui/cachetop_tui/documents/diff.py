"""Two revisions of a repo beside each other: which files came, went, changed and stayed."""

from __future__ import annotations

from dataclasses import dataclass

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.hub.facts import refs_of
from cachetop.hub.records import File, Revision
from cachetop_tui import words
from cachetop_tui.cut import middle
from cachetop_tui.documents.layout import fact, heading, paragraph
from cachetop_tui.marks import Line, Pen
from cachetop_tui.panes.model_files import largest_first

_SIGNS = {"only in the new": ("+", "ok"), "only in the old": ("–", "err"), "changed": ("~", "warn")}


_MOST = 1000
"""Files that are listed."""
Change = tuple[str, File, File | None]


@dataclass(frozen=True)
class Pair:
    """A repo's name and two of its revisions; `old` is None where there is only one."""

    repo: str
    new: Revision
    old: Revision | None


@dataclass(frozen=True)
class Compared:
    """A pair with what makes the difference; with very many files that takes longer than an event loop may be held."""

    pair: Pair
    listed: tuple[Change, ...]
    """What differs, of a revision alone its files, the largest first; no more than are listed."""
    differ: int
    """How many files differ; of a revision alone all of them."""
    same: int
    """How many files are the same in both."""


def compare(pair: Pair) -> Compared:
    """Work out what differs."""
    if pair.old is None:
        files = largest_first(pair.new.files)
        return Compared(pair, tuple([("", file, None) for file in files[:_MOST]]), len(files), 0)
    changed = changes(pair)
    same = len(pair.new.files) - sum(kind != "only in the old" for kind, _, _ in changed)
    return Compared(pair, tuple(changed[:_MOST]), len(changed), same)


def changes(pair: Pair) -> list[Change]:
    """(what happened, the file, the old file of a changed one) of every file that is not the same in both.

    Two files are the same when they are one blob; real files, which have none, when their sizes agree.
    """
    before = {file.name: file for file in pair.old.files} if pair.old else {}
    now = {file.name: file for file in pair.new.files}
    out: list[Change] = [("only in the old", old, None) for name, old in before.items() if name not in now]
    for name, new in now.items():
        old = before.get(name)
        if old is None:
            out.append(("only in the new", new, None))
        elif not _same(new, old):
            out.append(("changed", new, old))
    return sorted(out, key=lambda change: change[1].name)


def _same(new: File, old: File) -> bool:
    return new.blob == old.blob if new.blob and old.blob else new.size == old.size


def named(revision: Revision) -> str:
    """A revision as people know it: its refs, else the first digits of its commit."""
    return refs_of(revision.refs) or clean(revision.commit, 64)[:7]


def lines(found: Compared, width: int, now: float) -> list[Line]:
    """The document."""
    new, old = found.pair.new, found.pair.old
    out = heading(named(new), width)
    out += fact("commit", clean(new.commit, 64), width)
    out += fact("size", units.size(new.size), width, note=f"{words.count(len(new.files), 'file')}")
    out += fact("frees alone", units.size(new.reclaimable), width, note="what deleting only this revision gives back")
    complete = {True: ("yes", "ok"), False: ("no", "warn"), None: (units.UNKNOWN, "dim")}[new.complete]
    out += fact("complete", complete[0], width, complete[1])
    for name in new.missing[:20]:
        out += fact("missing", clean(name), width, "warn")
    if len(new.missing) > 20:
        out += fact("missing", f"and {len(new.missing) - 20:,} more", width, "warn")
    if old is None:
        out += heading("Files", width)
    else:
        out += heading(f"Against {named(old)}", width, f"{clean(old.commit, 64)[:7]}, {units.size(old.size)}")
        out += paragraph(
            f"{words.count(found.differ, 'file')} {'differs' if found.differ == 1 else 'differ'}, "
            f"{found.same:,} {'stays' if found.same == 1 else 'stay'} the same."
            if found.differ
            else f"All {words.count(found.same, 'file')} are the same.",
            width,
        )
        out.append(Line())
    for kind, file, before in found.listed:
        sign, token = _SIGNS.get(kind, ("", "dim"))
        note = f"was {units.size(before.size)}" if before else kind
        out.append(_file(sign, token, file.name, units.size(file.size), note, width))
    if found.differ > len(found.listed):
        out += paragraph(f"… and {found.differ - len(found.listed):,} more", width)
    return out


def _file(sign: str, token: str, name: str, size: str, note: str, width: int) -> Line:
    pen = Pen(width)
    pen.put(2, sign, token)
    pen.right(width - 2, note, "dim")
    pen.right(width - 22, size, "fg")
    pen.put(4, middle(clean(name), width - 36), "fg")
    return pen.line()
