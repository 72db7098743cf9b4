"""Plans, what came of them, and what came back, as they are shown."""

from __future__ import annotations

from cachetop.base import units
from cachetop.notebook.sheet import Cell, Sheet, count
from cachetop.prune.records import Failed, Item, Plan, Result, Skipped, Undone


def plan(found: Plan) -> Sheet:
    """What would go, what stays and why."""
    items = count(len(found.items), "item")
    made = Sheet(f"{items} would go, {units.size(found.frees)} freed" if found.items else "Nothing to delete")
    if found.items:
        made.fact("Frees", f"{found.frees:,} bytes on disk")
        if found.cost is not None:
            made.fact("To get it back", found.cost.sentence)
        made.fact("Plan", found.id)
    goes: list[tuple[Cell, ...]] = [
        (item.name or item.key, " ".join(item.sm) or item.kind, units.size(item.frees), _again(item),
         "; ".join(item.reasons))
        for item in found.items
    ]  # fmt: skip
    made.table("Will go", "NAME||FREES|TO GET IT BACK|WHY", goes, "<<><<")
    stays: list[tuple[Cell, ...]] = [
        (one.key or one.path, units.size(one.size_on_disk), one.reason) for one in found.blocked
    ]
    made.table("Stays", "NAME|HOLDS|WHY", stays, "<><")
    kept: list[tuple[Cell, ...]] = [
        (one.key, units.size(one.size_on_disk), f"matches {one.pattern}") for one in found.kept
    ]
    made.table("Kept by your keep list", "NAME|HOLDS|WHY", kept, "<><")
    for note in found.notes:
        made.remark("note", note)
    for name in found.missing:
        made.remark("warning", f"{name} is in no cache.")
    if found.uninspectable:
        processes = count(found.uninspectable, "process", "processes")
        made.remark("note", f"{processes} could not be inspected: `not in use` says nothing of them.")
    return made


def result(found: Result) -> Sheet:
    """What happened."""
    freed = f"{units.size(found.freed)} freed"
    made = Sheet(f"{len(found.deleted)} deleted, {freed}" if found.id else f"The trash was emptied: {freed}")
    if found.undo_until is not None:
        made.fact("In the trash", f"{units.size(found.held)} until {units.clock(found.undo_until)}")
        made.fact("To bring it back", f"%cachetop undo {found.id}")
    _trouble(made, found.failed, found.skipped)
    made.table("Deleted", "PATH", [(path,) for path in found.deleted])
    for note in found.notes:
        made.remark("note", note)
    return made


def undone(found: Undone) -> Sheet:
    """What came back."""
    made = Sheet(f"{count(len(found.restored), 'item')} brought back")
    made.fact("Plan", found.id)
    _trouble(made, found.failed, found.skipped)
    made.table("Brought back", "PATH", [(path,) for path in found.restored])
    return made


def _trouble(made: Sheet, failed: tuple[Failed, ...], skipped: tuple[Skipped, ...]) -> None:
    made.table("Failed", "PATH|WHY", [(one.path, one.error) for one in failed])
    made.table("Left alone", "PATH|WHY", [(one.path, one.reason) for one in skipped])


def _again(item: Item) -> str:
    """What it costs to have one item again; `?` where nobody knows."""
    if item.rebuild is None:
        return "?"
    if item.rebuild.note:
        return item.rebuild.note
    if item.rebuild.download is not None:
        return f"download {units.size(item.rebuild.download)}"
    milliseconds = item.rebuild.milliseconds
    return f"compile {units.duration(None if milliseconds is None else milliseconds / 1000)}"
