"""Where the cursor is, from the whole to the part, each name whole: the breadcrumbs above the overview."""

from __future__ import annotations

from cachetop.base.hostile import clean
from cachetop_tui.documents.diff import named
from cachetop_tui.marks import Row
from cachetop_tui.panes.kernel_tree import NO_SM
from cachetop_tui.workbench.opening import label_of

TRAILS = {
    "models": "models", "kernels": "kernels", "gpus": "gpu", "conversion": "runs", "problems": "problems",
    "settings": "settings",
}  # fmt: skip
"""What the breadcrumbs of a pane or an activity begin with."""


def crumbs(activity: str, row: Row | None) -> tuple[str, ...]:
    """The breadcrumbs of the row under the cursor; of the activity alone where it stands for nothing."""
    return (TRAILS.get(activity, activity), *(part for part in (_below(row) if row else ()) if part))


def _below(row: Row) -> tuple[str, ...]:
    subject, parts = row.subject, row.key.split("\0")
    if isinstance(subject, tuple) and len(subject) == 4:  # a row of the side bar
        if subject[3] is None:
            return (str(subject[0]),)
        subject = subject[3]
    if row.kind == "repo":
        return (clean(subject.id),)
    if row.kind == "revision":
        return clean(subject[0].id), named(subject[1])
    if row.kind == "partial":
        return clean(subject[0].id), clean(subject[1].file or subject[1].blob)
    if row.kind == "file" and len(parts) > 3:
        return clean(parts[2]), clean(parts[3])[:7], clean(subject.name)
    if row.kind == "cache":
        return clean(subject.cache.id), clean(subject.cache.path)
    if row.kind == "sm":
        sm = subject[0].sm
        return clean(parts[0]), "no SM named" if sm == NO_SM else clean(sm)
    if row.kind == "entry":
        return clean(subject.cache), ", ".join(map(clean, subject.sm)), clean(subject.name or subject.key)
    if row.kind == "problem":
        return clean(subject.rule), clean(subject.subject)
    if row.kind == "line":
        pid = (f"pid {clean(parts[1])}",) if len(parts) > 1 else ()
        return (f"GPU {clean(parts[0])}", *pid, *(clean(part) for part in parts[2:]))
    return (clean(label_of(row)),)
