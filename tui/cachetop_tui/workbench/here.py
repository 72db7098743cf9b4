"""What is in focus, for the commands that are offered there: the palette's and the menu's question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cachetop_tui.commands.registry import LISTS, Here
from cachetop_tui.lines import LineView

if TYPE_CHECKING:
    from textual.screen import Screen

    from cachetop.gpu.records import Gpu, Process
    from cachetop.hub.records import Repo
    from cachetop.prune.prospects import Prospect
    from cachetop_tui.workbench.overview import Overview


def here(screen: Screen[Any]) -> Here:
    """What is in focus on the overview; for another screen nothing is known but that no pane is."""
    from cachetop_tui.workbench.overview import Overview

    return _on(screen) if isinstance(screen, Overview) else Here("")


def _on(overview: Overview) -> Here:
    if not overview.whole.is_set():
        return Here(overview.pane)
    view, tab = focused(overview), overview.tabs.current
    row = view.cursor if view is not None else None
    panel, jobs = overview.panel, overview.jobs
    run = panel.selected_run
    markable = view is not None and row is not None and view.marks(row)
    marked = bool(overview.models.marked or overview.kernels.marked)
    return Here(
        overview.pane,
        row=row is not None,
        markable=markable,
        plannable=marked or (markable and overview.pane in LISTS) or prospect_here(overview) is not None,
        folds=view is not None and view.FOLDS and any(one.open is not None for one in view.shown_rows),
        named=bool(name_here(overview)),
        process=process_here(overview) is not None,
        tab=tab is not None,
        tabs=bool(overview.tabs.tabs),
        preview=tab is not None and not tab.pinned,
        kernel=tab is not None and tab.document.key.startswith("kernel\0"),
        setting=tab is not None and tab.document.key == "settings",
        repo=bool(repos_here(overview)),
        repos=bool(overview.picture.models and overview.picture.models.repos),
        task=overview.model_task is not None and overview.model_task.state.going,
        stale=overview.picture.tree is not None and overview.picture.tree.stale > 0,
        going=run is not None and run.finished is None and run.job.state in ("queued", "running"),
        runs=run is not None,
        report=tab.document.key.startswith("job\0") if overview.pane == "document" and tab else run is not None,
        workers=bool(jobs and jobs.workers),
    )


def focused(overview: Overview) -> LineView | None:
    """The list in focus, also while a dialog covers it."""
    return next((view for view in overview.query(LineView) if view.id == overview.pane), None)


def cursor_place(overview: Overview) -> tuple[int, int]:
    """The cell below the start of the row under the cursor; else below the first line of what is in focus."""
    view = focused(overview)
    if view is not None:
        return view.region.x + 4, view.region.y + view.cursor_line + 1
    region = overview.query_one(f"#{overview.pane}").region
    return region.x + 4, region.y + 2


def name_here(overview: Overview) -> str:
    """The whole name of what is under the cursor, or a problem's fix; empty where there is none."""
    from cachetop_tui.workbench.opening import name_of

    if overview.pane == "document" and overview.tabs.current is not None:
        return overview.tabs.current.document.trail[-1]
    view = focused(overview)
    return name_of(view.cursor) if view is not None and view.cursor is not None else ""


def prospect_here(overview: Overview) -> Prospect | None:
    """What could go that is under the cursor, unless there is nothing of it."""
    view = focused(overview) if overview.pane == "glance" else None
    row = view.cursor if view is not None else None
    return row.subject if row is not None and row.kind == "prospect" and row.subject.count else None


def repos_here(overview: Overview) -> list[tuple[Repo, str | None]]:
    """The marked repos and revisions; without marks what is under the cursor, or the repo of the document in front.

    A revision comes as its repo and its commit.
    """
    rows = list(overview.models.marked.values())
    if not rows and overview.pane == "models" and overview.models.cursor is not None:
        rows = [overview.models.cursor]
    elif not rows and overview.pane == "side" and (view := focused(overview)) is not None and view.cursor is not None:
        subject = view.cursor.subject
        return [(subject[3], None)] if view.cursor.kind == "repo" else []
    if rows:
        found: dict[str, tuple[Repo, str | None]] = {}
        for row in rows:
            if row.kind == "repo":
                found[row.key] = (row.subject, None)
            elif row.kind == "revision":
                found[row.key] = (row.subject[0], row.subject[1].commit)
        return list(found.values())
    tab, models = overview.tabs.current, overview.picture.models
    if overview.pane != "document" or tab is None or models is None:
        return []
    kind, _, key = tab.document.key.partition("\0")
    parts = key.split("\0")
    if kind not in ("repo", "revision") or len(parts) < 3:
        return []
    commit = parts[3] if kind == "revision" and len(parts) > 3 else None
    return [(repo, commit) for repo in models.repos if [repo.root, repo.type, repo.id] == parts[:3]]


def process_here(overview: Overview) -> tuple[Gpu, Process] | None:
    """The process under the cursor of the GPU pane, or that of the document in front."""
    from cachetop_tui.workbench.opening import process_of

    if overview.pane == "document" and overview.tabs.current is not None:
        return process_of(overview.tabs.current.document, overview.picture)
    return overview.gpus.chosen if overview.pane == "gpus" else None
