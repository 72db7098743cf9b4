"""How a plan looks, as rows and lines: what goes, what is blocked, what the keep list protects, what happens then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.base.units import duration, size
from cachetop.prune.records import Blocked, Item, Keeping, Plan, Result
from cachetop.summary import MEANINGS
from cachetop_tui.cut import head, middle, path_name
from cachetop_tui.listing import Listing
from cachetop_tui.marks import Bar, Line, Pen, Row, sentences
from cachetop_tui.prune.disk import Share

_GROUPED = 3
_BESIDE = 10
"""Lines of a review that are about no item, more or less."""
T = TypeVar("T")


def steps(undo: float) -> tuple[str, ...]:
    """What confirming does, one step after the other. `undo`: seconds for which the trash is kept."""
    checked = "Each item is checked again: the same file, unused, unlocked."
    moved = "It is renamed into a trash folder on the same disk."
    if not undo:
        return checked, moved, "Its bytes are freed at once: prune.undo keeps nothing to bring back."
    kept = f"You can undo for {duration(undo).removesuffix(' 0 s')}, or until less than 10 % of the disk is free."
    return checked, moved, kept, "Then its bytes are freed."


@dataclass(slots=True)
class Group:
    """Items of a plan that stand under one line, by their numbers; without a name those that stand by themselves."""

    name: str
    numbers: tuple[int, ...]
    frees: int
    again: str
    """What it costs to have them again."""
    why: str
    """The evidence that they have in common; where each has its own, what their rule means."""
    _members: frozenset[int]
    _out: tuple[Set[int], int] = frozenset(), 0

    def out(self, off: Set[int]) -> int:
        """How many of them are among `off`, counted once for as long as that is the same object."""
        if self._out[0] is not off:
            self._out = off, len(self._members & off)
        return self._out[1]


def groups(plan: Plan) -> list[Group]:
    """Kernels by the rule they go by; models each for themselves. Of very many items it takes a while."""
    found: dict[str, list[int]] = {}
    shown: dict[str, str] = {}
    for number, item in enumerate(plan.items):
        model = item.kind in ("repo", "revision", "partial")
        name = f"{item.kind} {item.key} {number}" if model else item.reasons[0].partition(":")[0]
        if name not in shown:
            shown[name] = clean(name, 80)
        found.setdefault(shown[name], []).append(number)
    out: list[Group] = []
    alone: list[int] = []
    for name, numbers in found.items():
        if len(numbers) < _GROUPED:
            alone += numbers
            continue
        if alone:
            out.append(_grouped("", alone, plan))
            alone = []
        out.append(_grouped(name, numbers, plan))
    return [*out, _grouped("", alone, plan)] if alone else out


def _grouped(name: str, numbers: list[int], plan: Plan) -> Group:
    items = [plan.items[number] for number in numbers]
    evidence = {item.reasons[0].partition(": ")[2] for item in items}
    why = evidence.pop() if len(evidence) == 1 else MEANINGS.get(name, "each for its own reason")
    return Group(name, tuple(numbers), sum(item.frees for item in items), _spent(items), why, frozenset(numbers))


def rows(
    plan: Plan,
    grouped: Sequence[Group],
    off: Set[int],
    unfolded: Mapping[str, bool],
    width: int,
    undo: float,
    height: int = 0,
) -> Listing:
    """Every row of a review, `grouped` as by `groups`. `off` are the numbers of items that somebody took out; `undo`
    as in `steps`. Groups that nobody folded or unfolded are open where so few items fit into `height` lines."""
    found = Listing()

    def section(key: str, *subject: str) -> None:
        found.add(Row(key, "section", subject, fixed=True))

    def item(number: int, depth: int = 0) -> Row:
        return Row(_key(number), "item", (number, plan.items[number]), depth)

    few = len(plan.items) + len(grouped) + _BESIDE <= height
    section("goes", "WILL GO", count(len(plan.items) - len(off)))
    for group in grouped:
        key = f"group:{group.name}"
        is_open = unfolded.get(key, few)
        if group.name:
            found.add(Row(key, "group", group, open=is_open))
        if is_open or not group.name:
            found.run(group.numbers, partial(item, depth=1 if group.name else 0), _key)
    if plan.blocked:
        section("stays", "STAYS, BLOCKED", count(len(plan.blocked)))
        _numbered(found, "blocked", plan.blocked, lambda one: one)
    if plan.uninspectable:
        several = units.many(plan.uninspectable, "process", "processes")
        found.add(*_text(f"{several} could not be inspected: `not in use` says nothing of them.", "blind", width))
    if plan.kept:
        section("kept", "KEPT BY YOUR KEEP LIST", count(len(plan.kept)))
        _numbered(found, "kept", plan.kept, lambda one: one)
    for number, note in enumerate(plan.notes):
        found.add(*_text(note, f"note{number}", width))
    section("then", "WHAT HAPPENS WHEN YOU CONFIRM", "")
    for number, step in enumerate(steps(undo), 1):
        found.add(*_text(f"{number} {step}", f"step{number}", width))
    return found


def _key(number: int) -> str:
    return f"item:{number}"


def _numbered(to: Listing, kind: str, subjects: Sequence[T], made: Callable[[T], object], name: str = "") -> None:
    """Add a row for each of `subjects`, of this kind, about what is `made` of it once it is seen."""

    def key(number: int) -> str:
        return f"{name or kind}:{number}"

    to.run(range(len(subjects)), lambda number: Row(key(number), kind, made(subjects[number])), key)


def members(row: Row) -> tuple[int, ...]:
    """The numbers of the items that a row stands for."""
    if row.kind == "item":
        return (row.subject[0],)
    return row.subject.numbers if row.kind == "group" else ()


def line(row: Row, plan: Plan, off: Set[int], width: int) -> Line:
    """How one row looks."""
    if row.kind == "section":
        return _section(row.subject[0], row.subject[1], width)
    if row.kind == "text":
        pen = Pen(width)
        pen.put(4, row.subject, "dim")
        return pen.line()
    if row.kind == "blocked":
        return _blocked(row.subject, width)
    if row.kind == "kept":
        return _kept(row.subject, width)
    if row.kind == "group":
        group: Group = row.subject
        out, many = group.out(off), len(group.numbers)
        text, first = f"{group.name}  {count(many)}", plan.items[group.numbers[0]]
        return _item(text, "", group.frees, first, out == many, out > 0, row, width, group.again, group.why)
    number, item = row.subject
    name = item.name or item.key
    return _item(name, " ".join(item.sm), item.frees, item, number in off, False, row, width, again(item))


def headers(plan: Plan, disk: Share | None, width: int, state: str, word: str) -> list[Line]:
    """The top: bytes first, rounded and exact, then the disk with most of it before and after."""
    pen = Pen(width)
    x = pen.run(2, "Frees ", "fg", size(plan.frees), "b:hi")
    if width >= 100:
        pen.put(x + 3, f"{plan.frees:,} bytes on disk, each inode counted once", "dim")
    pen.right(width - 2, state, word)
    lines = [pen.line()]
    back = f"To get it back: {plan.cost.sentence}" if plan.cost is not None else ""
    pen, x = Pen(width), 2
    if disk is not None:
        before, after = 100 * disk.full(disk.used), 100 * disk.full(disk.left)
        x = pen.put(2, f"Disk of {path_name(disk.where, 24)}  {before:.1f} % full → {after:.1f} %", "fg") + 3
        if width < 100:  # no room for both
            lines.append(pen.line())
            pen, x = Pen(width), 2
    pen.put(x, head(back, width - x - 2), "dim")
    lines.append(pen.line())
    if disk is not None:
        lines.append(_disk(disk, width))
    return lines


def _disk(disk: Share, width: int) -> Line:
    """The disk as a bar: what stays, what goes, what is free."""
    pen = Pen(width)
    text = f"free {size(disk.free)} → {size(disk.free + disk.used - disk.left)}"
    if (across := width - 6 - len(text)) < 20:
        return pen.line()
    used = across * disk.full(disk.used)
    left = max(0.0, min(across * disk.full(disk.left), used - 0.25 if disk.goes else used))
    pen.add(Bar(2, across, ((0.0, left, "dim"), (left, used, "warn"))))
    pen.right(width - 2, text, "dim")
    return pen.line()


def told(result: Result, width: int) -> Listing:
    """The rows that tell what happened: a text and its style word each."""
    from cachetop.base.units import clock

    rows = Listing()

    def say(name: str, word: str, subjects: Sequence[T], text: Callable[[T], str]) -> None:
        _numbered(rows, "told", subjects, lambda one: (head(clean(text(one)), width - 4), word), name)

    gone = count(len(result.deleted))
    say("gone", "b:ok" if result.deleted else "b:fg", [f"{gone} deleted"], str)
    say("freed", "fg", [f"{size(result.freed)} freed, measured ({result.freed:,} bytes)"], str)
    if result.undo_until is not None:
        until = clock(result.undo_until)
        say("held", "fg", [f"{size(result.held)} in the trash until {until}; undo brings it back"], str)
    say("note", "dim", result.notes, str)
    say("failed", "err", result.failed, lambda one: f"failed   {path_name(one.path, width // 2)}: {one.error}")
    say("left", "warn", result.skipped, lambda one: f"left     {path_name(one.path, width // 2)}: {one.reason}")
    say("deleted", "dim", result.deleted, lambda path: f"deleted  {path_name(path, width - 14)}")
    return rows


def again(item: Item) -> str:
    """What it costs to have one item again."""
    told = item.rebuild
    if told is None:
        return "?"
    if told.note:
        return told.note
    if told.download is not None:
        return f"download {size(told.download)}"
    return f"compile {duration(None if told.milliseconds is None else told.milliseconds / 1000)}"


def _spent(items: list[Item]) -> str:
    known = [item.rebuild.milliseconds for item in items if item.rebuild and item.rebuild.milliseconds is not None]
    return f"compile {duration(sum(known) / 1000)}" if len(known) == len(items) else "compile ?"


def count(number: int) -> str:
    return units.many(number, "item")


def _text(text: str, key: str, width: int) -> list[Row]:
    return [
        Row(f"{key}:{number}", "text", part, fixed=True)
        for number, part in enumerate(sentences(clean(text), max(10, width - 6)))
    ]


def _section(title: str, count: str, width: int) -> Line:
    pen = Pen(width, "head")
    word = "b:warn" if title.startswith("STAYS") else "b:fg"
    x = pen.put(2, title, word)
    pen.put(x + 3, count, "b:fg")
    if title == "WILL GO" and width >= 100:
        pen.right(_frees(width), "FREES", "faint")
        pen.put(_frees(width) + 3, "REASON, WITH ITS EVIDENCE", "faint")
        pen.right(width - 2, "TO GET IT BACK", "faint")
    elif title.startswith("STAYS") and width >= 100:
        pen.right(_frees(width), "HOLDS", "faint")
        pen.put(_frees(width) + 3, "WHY, AND BY WHOM", "faint")
    return pen.line()


def _frees(width: int) -> int:
    """The column in which sizes end."""
    return max(30, int(width * 0.48)) if width >= 100 else width - 2


def _item(
    name: str, sm: str, frees: int, item: Item, off: bool, partly: bool, row: Row, width: int, cost: str, why: str = ""
) -> Line:
    pen = Pen(width)
    x = 2 + 3 * row.depth
    if row.open is not None:
        pen.put(x, "▾" if row.open else "▸", "dim")
    mark, word = ("[ ]", "dim") if off else ("[-]", "warn") if partly else ("[√]", "ok")
    x = pen.put(x + 2, mark, word) + 1
    end = _frees(width)
    tail = len(sm) + 1 if sm else 0
    x = pen.put(x, middle(clean(name), max(4, end - x - 10 - tail)), "dim" if off else "fg")
    if sm:
        pen.put(x + 1, sm, "link")
    pen.right(end, size(frees), "dim" if off else "b:fg")
    if width >= 100:
        right = pen.right(width - 2, head(cost, 30), "dim")
        reason = "; ".join(item.reasons) if row.kind == "item" else why
        pen.put(end + 3, head(clean(reason), right - end - 5), "dim")
    return pen.line()


def _blocked(one: Blocked, width: int) -> Line:
    pen = Pen(width)
    end = _frees(width) if width >= 100 else width // 2
    pen.put(4, "–", "warn")
    pen.put(8, middle(clean(one.key or one.path), end - 18), "fg")
    if width >= 100:
        pen.right(end, size(one.size_on_disk), "dim")
    pen.put(end + 3, head(clean(one.reason), width - end - 5), "warn")
    return pen.line()


def _kept(one: Keeping, width: int) -> Line:
    pen = Pen(width)
    end = _frees(width) if width >= 100 else width // 2
    pen.put(8, middle(clean(one.key), end - 18), "fg")
    pen.put(end + 3, head(f"matches {clean(one.pattern)}", width - end - 5), "dim")
    return pen.line()
