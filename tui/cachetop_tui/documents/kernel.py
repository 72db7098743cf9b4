"""A kernel entry as a document: state, facts, verdicts with their evidence, stages, and the code."""

from __future__ import annotations

from pathlib import Path

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.kernelcache.describe import Builder, Described
from cachetop.kernelcache.stages import Text
from cachetop_tui import words
from cachetop_tui.cut import head, middle, path_name
from cachetop_tui.documents.kernel_code import coloured
from cachetop_tui.documents.layout import MARGIN, heading, paragraph
from cachetop_tui.marks import Line, Link, Pen, Thin
from cachetop_tui.paint import width_of
from cachetop_tui.panes import names

LINES_MOST = 400
"""Lines of a stage that are shown; `cachetop kernels show` prints the whole."""
FIRST = ("ptx", "py", "source")
_TITLES = {"source": "Source", "ptx": "PTX", "ttir": "TTIR", "ttgir": "TTGIR", "llir": "LLIR", "json": "Metadata",
           "cubin": "cubin", "sass": "SASS", "group": "group file"}  # fmt: skip
_CELL = 34

Cell = tuple[str, str, str]


def title(kernel: Described, width: int) -> Line:
    """Name, SM, and what it is worth: its state, or the first rule that calls it stale."""
    pen = Pen(width)
    sm = kernel.target or ", ".join(kernel.sm) or "no SM named"
    glyph, word = ("✗", "err") if kernel.state == "orphan" else ("▲", "warn") if kernel.stale else ("●", "ok")
    if kernel.state == "compiling":
        glyph, word = "○", "live"
    state = f"stale, {clean(kernel.stale[0].rule, 24)}" if word == "warn" else kernel.state
    name = middle(clean(kernel.name or kernel.key, 400), max(8, width - 2 * MARGIN - width_of(sm) - len(state) - 8))
    x = pen.run(MARGIN, name, "b:hi", "   ", "fg", clean(sm, 40), "b:link", "   ", "fg", glyph, word)
    pen.put(x + 1, state, "fg")
    return pen.line()


def place(kernel: Described, width: int, now: float) -> list[Line]:
    """Where it lies and what it holds, when and by whom it was built, when it was used, where its source is."""
    pen = Pen(width)
    about = f"{words.count(kernel.files, 'file')}, {units.size(kernel.size_on_disk)}"
    start = pen.right(width - MARGIN, about, "dim") if width > 50 else width
    pen.put(MARGIN, path_name(names.home(kernel.location, str(Path.home())), start - MARGIN - 2), "dim")
    out = [Line(), pen.line()]
    made = f"built {_ago(kernel.created, now)}{_by(kernel.built_by)}"
    used = "never read since" if kernel.reused is False else "last use not known"
    if kernel.last_used is not None and kernel.reused is not False:
        used = f"last read {_ago(kernel.last_used, now)}, give or take a day"
    out += paragraph(f"{made}, {used}", width, "dim")
    if kernel.source:
        where = f"{kernel.source}:{kernel.source_line}"
        out += paragraph(f"from {where}", width, "link")
    return out


def _by(who: Builder) -> str:
    """` by ana, pid 4711`, as far as it is known."""
    said = f" by {clean(who.user, 40)}" if who.user else ""
    if who.pid is not None:
        ends = {True: " (runs)", False: " (ended)", None: ""}[who.running]
        said += f"{',' if said else ' by'} pid {who.pid}{ends}"
    return said


def _ago(moment: float, now: float) -> str:
    return "now" if now - moment < 10 else f"{words.used(moment, now)} ago"


def _number(value: int | None) -> str:
    return units.UNKNOWN if value is None else f"{value:,}"


def _bytes(value: int | None) -> str:
    """A GPU's small memories: `776 B`, `16 KiB`."""
    if value is None:
        return units.UNKNOWN
    return f"{value >> 10:,} KiB" if value >= 1024 and not value % 1024 else f"{value:,} B"


def cells(kernel: Described) -> list[Cell]:
    """(label, value, what the value means) of the facts grid, in reading order."""
    option = kernel.options.get
    cells: list[Cell] = [
        ("SM", clean(", ".join(kernel.sm) or units.UNKNOWN, 40), f"code {kernel.target}" if kernel.target else "")
    ]
    took = kernel.resources
    if took is not None:
        cells += [
            ("REGISTERS", _number(took.registers), "per thread, of 255"),
            ("SHARED", _bytes(took.shared_dynamic), "dynamic, per block"),
            ("WARPS", str(option("num_warps", units.UNKNOWN)), f"{_number(took.threads)} threads a block"),
            ("SPILLS", _number(took.spills), "loads and stores"),
            ("STATIC", _bytes(took.shared_static), "shared, per block"),
            ("PIPELINE", str(option("num_stages", units.UNKNOWN)), "software stages"),
            ("STACK", _bytes(took.stack), "per thread"),
            ("BARRIERS", _number(took.barriers), "per block"),
        ]
    made = kernel.producer
    if made.triton:
        cells.append(("TRITON", made.triton, f"ptxas {made.cuda}" if made.cuda else ""))
    elif made.cuda:
        cells.append(("CUDA", made.cuda, ""))
    if made.environment:
        cells.append(("MADE BY", names.home(made.environment, str(Path.home())), ""))
    if kernel.rebuild_milliseconds is not None:
        cells.append(("REBUILD", units.duration(kernel.rebuild_milliseconds / 1000), "as built"))
    return cells


def grid(cells: list[Cell], width: int) -> list[Line]:
    """The facts side by side on a shaded ground, as many columns as there is room for."""
    columns = max(1, min(3, (width - 2 * MARGIN) // _CELL))
    room = (width - 2 * MARGIN) // columns
    out = [Line()]
    for start in range(0, len(cells), columns):
        pen = Pen(width, "head")
        for place, (label, value, note) in enumerate(cells[start : start + columns]):
            left = MARGIN + place * room
            x = pen.put(left, label, "dim")
            x = pen.put(max(left + 11, x + 1), middle(value, room - 13), "b:hi")
            if note and x + 1 + width_of(note) < left + room:
                pen.put(x + 1, note, "dim")
        out.append(pen.line())
    if not any(label == "REGISTERS" for label, _, _ in cells):
        out.append(Line())
    return out


def functions(kernel: Described, width: int) -> list[Line]:
    """What each of several functions takes, or why that is not known."""
    out: list[Line] = []
    if kernel.functions:
        out += heading("functions", width, "registers, stack, spills, static shared memory")
        for each in kernel.functions:
            took = each.resources
            pen = Pen(width)
            numbers = (_number(took.registers), _bytes(took.stack), _number(took.spills), _bytes(took.shared_static))
            start = pen.right(width - MARGIN, "   ".join(numbers), "fg")
            room = max(8, start - MARGIN - 2)
            pen.put(MARGIN, middle(f"{clean(each.name, 200)}  {clean(each.file, 200)}", room), "dim")
            out.append(pen.line())
    elif kernel.resources is None and kernel.resources_reason:
        out += paragraph(f"Registers and memory are not known: {kernel.resources_reason}.", width, "dim")
    return out


def title_of(stage: str) -> str:
    """What a stage is called."""
    return _TITLES.get(stage, clean(stage, 40))


def stages(kernel: Described, width: int, shown: str | None = None, links: tuple[str, ...] = ()) -> list[Line]:
    """Each file with its size and the time it took; one that `links` to its code has a place for the cursor."""
    if not kernel.stages:
        return []
    built = kernel.rebuild_milliseconds
    note = "" if built is None else f"built in {units.duration(built / 1000)}"
    out = heading("stages", width, note)
    most = max(stage.size for stage in kernel.stages) or 1
    bar = max(0, min(24, width - 50))
    for stage in kernel.stages:
        pen = Pen(width)
        linked = stage.name in links
        if linked:
            pen.put(0, "▾" if stage.name == shown else "▸", "dim")
        pen.put(MARGIN, head(title_of(stage.name), 12), "b:hi" if stage.name == shown else "link" if linked else "fg")
        pen.right(MARGIN + 23, units.size(stage.size), "fg")
        if bar:
            pen.add(Thin(MARGIN + 25, bar, bar * stage.size / most, "p.disk"))
        if stage.milliseconds is not None:
            pen.right(MARGIN + 25 + bar + 10, units.duration(stage.milliseconds / 1000), "dim")
        x = MARGIN + 25 + bar + 12
        if width - x > 20:
            pen.put(x, middle(clean(stage.file, 400), width - x - MARGIN), "faint")
        line = pen.line()
        out.append(Link(line.marks, line.ground, ("stage", stage.name)) if linked else line)
    if "sass" in links and not any(stage.name == "sass" and stage.size for stage in kernel.stages):
        pen = Pen(width)
        pen.put(0, "▾" if shown == "sass" else "▸", "dim")
        pen.put(MARGIN, "SASS", "b:hi" if shown == "sass" else "link")
        pen.put(MARGIN + 12, "by nvdisasm, run when asked for", "dim")
        line = pen.line()
        out.append(Link(line.marks, line.ground, ("stage", "sass")))
    return out


def options(kernel: Described, width: int) -> list[Line]:
    """What it was compiled with."""
    out = heading("options", width)
    said = ", ".join(f"{name}={'none' if value is None else value}" for name, value in kernel.options.items())
    return out + paragraph(said, width, "dim")


def code(text: Text, key: str, width: int, most: int = LINES_MOST) -> list[Line]:
    """The lines of a stage, numbered and coloured, at most `most` of them."""
    out = heading(title_of(text.stage), width, units.size(text.size))
    shown = text.lines[:most]
    gutter = len(str(len(shown)))
    for number, line in enumerate(shown, 1):
        pen = Pen(width)
        x = pen.put(MARGIN, str(number).rjust(gutter), "faint") + 2
        for piece, word in coloured(text.stage, line):
            piece = head(piece, width - x)
            if x >= width or not piece:
                break
            x = pen.put(x, piece, word)
        out.append(pen.line())
    if text.cut or len(text.lines) > most:
        out += paragraph(f"The rest: cachetop kernels show {clean(key, 80)} --stage {text.stage}", width, "dim")
    return out
