"""A sheet as HTML: one `<div>` with its own style, no script, nothing loaded from anywhere, every text escaped.

The colours are the page's own (`currentColor`), and the accents are mixed with it: whatever the theme, and wherever its
marks are hidden (marimo draws a widget in a shadow root), it is as readable on a dark page as on a light one.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from cachetop.base.hostile import show
from cachetop.notebook.sheet import Bar, Cell, Sheet, Table

STYLE = """
.cachetop{font:13px/1.45 system-ui,sans-serif;max-width:100%;overflow-x:auto}
.cachetop h4{font-size:13px;margin:.6em 0 .2em;font-weight:600}
.cachetop .ct-title{font-size:14px;margin-top:0}
.cachetop.cachetop table{font:inherit;border-collapse:collapse;margin:.1em 0 .5em;background:transparent;border:0}
.cachetop.cachetop tr,.cachetop.cachetop tr:nth-child(even){background:transparent}
.cachetop.cachetop th,.cachetop.cachetop td{padding:.15em .9em .15em 0;text-align:left;vertical-align:top;border:0;
border-bottom:1px solid rgba(128,128,128,.25);white-space:nowrap}
.cachetop.cachetop td:last-child:not(.ct-r){white-space:normal;overflow-wrap:anywhere;min-width:14em}
.cachetop th{font-weight:600;opacity:.75}
.cachetop.cachetop td.ct-r,.cachetop.cachetop th.ct-r{text-align:right;font-variant-numeric:tabular-nums}
.cachetop .ct-bar{display:inline-block;width:72px;height:8px;border:1px solid rgba(128,128,128,.5);margin-right:.6em}
.cachetop .ct-bar i{display:block;height:100%;background:#0a6cc4;
background:color-mix(in srgb,#2b8ae6 75%,currentColor)}
.cachetop dl{display:grid;grid-template-columns:max-content auto;gap:.1em 1.2em;margin:.2em 0}
.cachetop dt{opacity:.75}.cachetop dd{margin:0}
.cachetop p{margin:.15em 0}.cachetop .ct-note{opacity:.75}
.cachetop .ct-warning{color:#8a5a00;color:color-mix(in srgb,#c77700 60%,currentColor)}
.cachetop .ct-error{color:#b3261e;color:color-mix(in srgb,#e5484d 60%,currentColor)}
""".replace("\n", "")
_TONES = ("note", "warning", "error")


def html(sheet: Sheet) -> str:
    """All of it."""
    return f'<div class="cachetop"><style>{STYLE}</style>{"".join(_parts(sheet))}</div>'


def _parts(sheet: Sheet) -> Iterator[str]:
    yield f'<h4 class="ct-title">{_safe(sheet.title)}</h4>'
    if sheet.facts:
        yield "<dl>"
        for name, said in sheet.facts:
            yield f"<dt>{_safe(name)}</dt><dd>{_safe(said)}</dd>"
        yield "</dl>"
    for table in sheet.tables:
        yield from _table(table)
    for tone, said in sheet.remarks:
        yield f'<p class="ct-{tone if tone in _TONES else "note"}">{_safe(said)}</p>'


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"<h4>{_safe(table.title)}</h4>"
    sides = [' class="ct-r"' if table.right[n : n + 1] == ">" else "" for n in range(len(table.head))]
    yield "<table><thead><tr>"
    yield from (f"<th{side}>{_safe(name)}</th>" for side, name in zip(sides, table.head, strict=True))
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield "<tr>"
        yield from (f"<td{side}>{_cell(cell)}</td>" for side, cell in zip(sides, row, strict=True))
        yield "</tr>"
    yield "</tbody></table>"
    if table.left_out:
        yield f'<p class="ct-note">and {table.left_out} more</p>'


def _cell(cell: Cell) -> str:
    if isinstance(cell, Bar):
        share = min(100.0, max(0.0, 100 * cell.part / cell.whole)) if cell.whole > 0 else 0.0
        return f'<span class="ct-bar"><i style="width:{share:.0f}%"></i></span>{_safe(cell.text)}'
    return _safe(cell)


def _safe(said: str) -> str:
    return escape(show(said), quote=True)
