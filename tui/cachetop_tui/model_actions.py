"""What the app does with repos besides pruning: bring them into RAM, let go of them there, check them, preset views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cachetop_tui.background import in_background
from cachetop_tui.configured import Configured

if TYPE_CHECKING:
    from cachetop_tui.feed import Feed
    from cachetop_tui.model_tasks import Chosen, Task

_REPAINT = 0.5
"""Seconds between two looks at how far a task is."""


class ModelActions(Configured):
    """The commands on repos."""

    feed: Feed

    def action_warm_models(self) -> None:
        """Read the marked repos, or this one, so that they are in RAM."""
        self._do("warm", self._chosen())

    def action_drop_models(self) -> None:
        """Let go of what of the marked repos, or this one, is in RAM, after asking."""
        from cachetop.base import units
        from cachetop_tui.dialogs.confirm import Confirm

        chosen = self._chosen()
        if not chosen:
            return
        known = [self.overview.models.view.totals.newest(repo) for repo, _ in chosen]
        warm = units.UNKNOWN if None in known else units.size(sum(one or 0 for one in known))
        whom = chosen[0][0].id if len(chosen) == 1 else f"{len(chosen)} repos"
        self.push_screen(
            Confirm(
                f"Let go of {whom} in RAM?",
                [
                    f"{warm} of it is there now.",
                    "The next start reads it from disk, which is slower.",
                    "Nothing on disk changes; what a running process has mapped stays.",
                ],
                "Drop",
            ),
            lambda yes: self._do("drop", chosen) if yes else None,
        )

    def action_verify_models(self, everything: bool = False) -> None:
        """Compute the checksums of the marked repos, or this one; or of every repo."""
        models = self.overview.picture.models
        if everything and models is not None:
            self._do("verify", [(repo, None) for repo in models.repos])
        else:
            self._do("verify", self._chosen())

    def action_cancel_task(self) -> None:
        """Stop what goes on."""
        if self.overview.model_task is not None:
            self.overview.model_task.cancel()

    def action_use_preset(self, name: str) -> None:
        """Show the repos a preset asks for, in its order; all of them for an empty name."""
        from cachetop.hub.choose import typed

        self.overview.focus_pane("models")
        self.overview.models.set_filter(typed(name) if name else "")

    def action_next_preset(self) -> None:
        """The preset after the one in use; after the last one every repo."""
        from cachetop.hub.choose import PRESETS, typed

        names = ["", *PRESETS]
        used = ["", *map(typed, PRESETS)]
        now = self.overview.models.view.filter
        at = used.index(now) if now in used else 0
        self.action_use_preset(names[(at + 1) % len(names)])

    def _chosen(self) -> list[Chosen]:
        from cachetop_tui.workbench.here import repos_here

        chosen = repos_here(self.overview)
        if not chosen:
            self.notify("No repo is marked or under the cursor.", severity="warning", markup=False)
        return chosen

    def _do(self, kind: str, chosen: Sequence[Chosen]) -> None:
        from cachetop_tui.model_tasks import TITLES, Task
        from cachetop_tui.workbench.opening import task_document

        if not chosen:
            return
        going = self.overview.model_task
        if going is not None and going.state.going:
            said = f"{TITLES[going.state.kind]} goes on. Cancel it first, or wait."
            self.notify(said, severity="warning", markup=False)
            return
        task = self.overview.model_task = Task(kind, chosen)
        self.overview.models.unmark()
        self.overview.open_document(task_document(task))
        self.run_worker(self._follow(task), exit_on_error=False)

    async def _follow(self, task: Task) -> None:
        """Run a task, keep its document up to date, and say what came of it."""
        from cachetop_tui.workbench.opening import task_document

        document = task_document(task)
        timer = self.set_interval(_REPAINT, lambda: self.overview.renew(document))
        try:
            await in_background(task.run)
        finally:
            timer.stop()
        self.overview.renew(document)
        tab = self.overview.tabs.current
        if tab is None or tab.document.key != document.key:  # nobody looks
            self.notify(task.said, title=document.title, markup=False)
        self.feed.rescan()
