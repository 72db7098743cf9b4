"""How a plan looks, as rows and lines: what goes, what is blocked, what the keep list protects, what happens then."""

from __future__ import annotations

from collections.abc import Mapping, Set

from cachetop.base.hostile import clean
from cachetop.base.units import duration, size
from cachetop.prune.records import Blocked, Item, Keeping, Plan, Result
from cachetop_tui.cut import head, middle, path_name
from cachetop_tui.marks import Bar, Line, Pen, Row, sentences

_GROUPED = 3


def steps(undo: float) -> tuple[str, ...]:
    """What confirming does, one step after the other. `undo`: seconds for which the trash is kept."""
    checked = "Each item is checked again: the same file, unused, unlocked."
    moved = "It is renamed into a trash folder on the same disk."
    if not undo:
        return checked, moved, "Its bytes are freed at once: prune.undo keeps nothing to bring back."
    kept = f"You can undo for {duration(undo).removesuffix(' 0 s')}, or until less than 10 % of the disk is free."
    return checked, moved, kept, "Then its bytes are freed."


def rows(plan: Plan, off: Set[int], unfolded: Mapping[str, bool], width: int, undo: float) -> list[Row]:
    """Every row of a review. `off` are the numbers of items that somebody took out; `undo` as in `steps`."""
    found = [Row("goes", "section", ("WILL GO", count(len(plan.items) - len(off))), fixed=True)]
    for name, members in _groups(plan).items():
        if len(members) < _GROUPED:
            found += [Row(f"item:{number}", "item", (number, plan.items[number])) for number in members]
            continue
        key = f"group:{name}"
        is_open = unfolded.get(key, False)
        found.append(Row(key, "group", (name, tuple(members)), open=is_open))
        if is_open:
            found += [Row(f"item:{number}", "item", (number, plan.items[number]), depth=1) for number in members]
    if plan.blocked:
        found.append(Row("stays", "section", ("STAYS, BLOCKED", count(len(plan.blocked))), fixed=True))
        found += [Row(f"blocked:{number}", "blocked", one) for number, one in enumerate(plan.blocked)]
    if plan.uninspectable:
        several = "1 process" if plan.uninspectable == 1 else f"{plan.uninspectable} processes"
        found += _text(f"{several} could not be inspected: `not in use` says nothing of them.", "blind", width)
    if plan.kept:
        found.append(Row("kept", "section", ("KEPT BY YOUR KEEP LIST", count(len(plan.kept))), fixed=True))
        found += [Row(f"kept:{number}", "kept", one) for number, one in enumerate(plan.kept)]
    for number, note in enumerate(plan.notes):
        found += _text(note, f"note{number}", width)
    found.append(Row("then", "section", ("WHAT HAPPENS WHEN YOU CONFIRM", ""), fixed=True))
    for number, step in enumerate(steps(undo), 1):
        found += _text(f"{number} {step}", f"step{number}", width)
    return found


def members(row: Row) -> tuple[int, ...]:
    """The numbers of the items that a row stands for."""
    if row.kind == "item":
        return (row.subject[0],)
    return tuple(row.subject[1]) if row.kind == "group" else ()


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
        name, numbers = row.subject
        items = [plan.items[number] for number in numbers]
        frees = sum(item.frees for item in items)
        text = f"{name}  {len(items)} items"
        return _item(
            text, "", frees, items[0], set(numbers) <= off, bool(set(numbers) & off), row, width, _spent(items)
        )
    number, item = row.subject
    name = item.name or item.key
    return _item(name, " ".join(item.sm), item.frees, item, number in off, False, row, width, again(item))


def headers(plan: Plan, disk: tuple[str, int, int] | None, width: int, state: str, word: str) -> list[Line]:
    """The top: bytes first, rounded and exact, then the disk before and after. `disk`: (where, free, in all)."""
    pen = Pen(width)
    x = pen.run(2, "Frees ", "fg", size(plan.frees), "b:hi")
    if width >= 100:
        pen.put(x + 3, f"{plan.frees:,} bytes on disk, each inode counted once", "dim")
    pen.right(width - 2, state, word)
    lines = [pen.line()]
    back = f"To get it back: {plan.cost.sentence}" if plan.cost is not None else ""
    pen, x = Pen(width), 2
    if disk is not None:
        where, free, total = disk
        before, after = 100 * (1 - free / total), 100 * (1 - min(total, free + plan.frees) / total)
        x = pen.put(2, f"Disk of {path_name(where, 24)}  {before:.1f} % full → {after:.1f} %", "fg") + 3
        if width < 100:  # no room for both
            lines.append(pen.line())
            pen, x = Pen(width), 2
    pen.put(x, head(back, width - x - 2), "dim")
    lines.append(pen.line())
    if disk is not None:
        lines.append(_disk(disk[1], disk[2], plan.frees, width))
    return lines


def _disk(free: int, total: int, goes: int, width: int) -> Line:
    """The disk as a bar: what stays, what goes, what is free."""
    pen = Pen(width)
    text = f"free {size(free)} → {size(min(total, free + goes))}"
    if (across := width - 6 - len(text)) < 20:
        return pen.line()
    used = across * (1 - free / total)
    left = max(0.0, used - max(across * goes / total, 0.25 if goes else 0.0))
    pen.add(Bar(2, across, ((0.0, left, "dim"), (left, used, "warn"))))
    pen.right(width - 2, text, "dim")
    return pen.line()


def result_lines(result: Result, width: int) -> list[tuple[str, str]]:
    """(text, style word) of each line that tells what happened."""
    from cachetop.base.units import clock

    out = [(f"{count(len(result.deleted))} deleted", "b:ok" if result.deleted else "b:fg")]
    out.append((f"{size(result.freed)} freed, measured ({result.freed:,} bytes)", "fg"))
    if result.undo_until is not None:
        out.append((f"{size(result.held)} in the trash until {clock(result.undo_until)}; undo brings it back", "fg"))
    out += [(note, "dim") for note in result.notes]
    out += [(f"failed   {path_name(one.path, width // 2)}: {one.error}", "err") for one in result.failed]
    out += [(f"left     {path_name(one.path, width // 2)}: {one.reason}", "warn") for one in result.skipped]
    out += [(f"deleted  {path_name(path, width - 14)}", "dim") for path in result.deleted]
    return [(head(clean(text), width - 4), word) for text, word in out]


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


def _groups(plan: Plan) -> dict[str, list[int]]:
    """Kernels by the rule they go by; models each for themselves."""
    found: dict[str, list[int]] = {}
    for number, item in enumerate(plan.items):
        model = item.kind in ("repo", "revision", "partial")
        name = f"{item.kind} {item.key} {number}" if model else item.reasons[0].partition(":")[0]
        found.setdefault(clean(name, 80), []).append(number)
    return found


def count(number: int) -> str:
    return "1 item" if number == 1 else f"{number} items"


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


def _item(name: str, sm: str, frees: int, item: Item, off: bool, partly: bool, row: Row, width: int, cost: str) -> Line:
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
        reason = "; ".join(item.reasons) if row.kind == "item" else item.reasons[0].partition(": ")[2]
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
