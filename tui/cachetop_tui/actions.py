"""What the app does when a command is run: one `action_` for each, none longer than it takes to ask somebody else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from textual.command import CommandPalette

from cachetop.base.readonly import is_read_only
from cachetop_tui import themes
from cachetop_tui.background import in_background
from cachetop_tui.commands.registry import COMMANDS, named
from cachetop_tui.model_actions import ModelActions

if TYPE_CHECKING:
    from cachetop_tui.commands.registry import Command
    from cachetop_tui.dialogs.launching import StartRequest

_CHANGES: Final = frozenset(command.action for command in COMMANDS if command.changes)


class Actions(ModelActions):
    """The commands of the app; `CachetopApp` adds how it starts, listens and ends."""

    def action_focus_pane(self, pane: str) -> None:
        """Put the cursor into a pane."""
        self.overview.focus_pane(pane)

    def action_next_pane(self, by: int) -> None:
        """The next pane (1) or the one before (-1)."""
        self.overview.next_pane(by)

    def action_maximise(self) -> None:
        """Give the pane in focus all the room, or share it again."""
        self.overview.maximise()

    def action_filter(self) -> None:
        """Type a filter for the list in focus; where there is none, find."""
        from cachetop_tui.workbench.here import focused

        if self.overview.open_filter():
            return
        view = focused(self.overview)
        if view is not None:
            view.action_find()
        else:  # what is typed next would be taken for commands
            self.notify("There is nothing to filter here.", severity="warning", markup=False)

    def action_side_bar(self) -> None:
        """Show the tree of the activity, or hide it."""
        self.overview.toggle_side()

    def action_jump(self) -> None:
        """Put a label on everything in sight, and go where the one that is typed stands."""
        from cachetop_tui.dialogs.jump import JumpScreen
        from cachetop_tui.workbench.jumping import targets

        self.push_screen(JumpScreen(targets(self.overview)), lambda chosen: chosen.go() if chosen else None)

    def action_glance(self) -> None:
        """Go to what could go, the last runs and the disks below the tree."""
        if not self.overview.query_one("#aside").display:
            self.overview.toggle_side()
        self.call_after_refresh(self._to_glance)

    def _to_glance(self) -> None:
        from cachetop_tui.workbench.glance import go

        if not go(self.overview):
            self.notify("There is no room below the tree: fold it, or make the terminal larger.", markup=False)

    def action_bottom_panel(self) -> None:
        """Hide the bottom panel, or show it again."""
        self.overview.toggle_bottom()

    def action_step_tab(self, by: int) -> None:
        """The next open document (1) or the one before (-1)."""
        self.overview.action_step_tab(by)

    def action_close_tab(self) -> None:
        """Close the document in front."""
        self.overview.action_close_tab()

    def action_quick_open(self) -> None:
        """Open a repo, a kernel, a process or a file by a part of its name."""
        from cachetop_tui.commands.quick import QuickOpen

        if not isinstance(self.screen, CommandPalette):
            self.push_screen(QuickOpen())

    def action_copy(self) -> None:
        """Copy what is under the cursor to the clipboard (OSC 52)."""
        from cachetop_tui.workbench.here import name_here

        text = name_here(self.overview)
        if text:
            self.copy_to_clipboard(text)
            self.notify(f"copied: {text}", markup=False, timeout=3)

    def action_plan_marked(self) -> None:
        """Review what deleting the marked rows, or the one under the cursor, would free."""
        from cachetop_tui.prune.opening import marked, plan_and_review
        from cachetop_tui.workbench.here import prospect_here
        from cachetop_tui.workbench.problems import judged

        prospect = prospect_here(self.overview)
        if prospect is not None:
            chosen = prospect.selection
            wanted = [judged(chosen, self.overview.picture.gpus) if chosen.what == "kernels" else chosen]
            self.run_worker(plan_and_review(self, wanted), group="plan", exclusive=True)
            return
        repos, entries = self.overview.chosen()
        if repos or entries:
            self.run_worker(plan_and_review(self, marked(repos, entries)), group="plan", exclusive=True)

    def action_plan_stale(self) -> None:
        """Review what deleting the stale kernels would free."""
        from cachetop_tui.prune.opening import STALE, plan_and_review
        from cachetop_tui.workbench.problems import judged

        wanted = [judged(STALE, self.overview.picture.gpus)]
        self.run_worker(plan_and_review(self, wanted), group="plan", exclusive=True)

    def action_plan_superseded(self) -> None:
        """Review what deleting superseded revisions would free."""
        from cachetop_tui.prune.opening import SUPERSEDED, plan_and_review

        self.run_worker(plan_and_review(self, [SUPERSEDED]), group="plan", exclusive=True)

    def action_undo(self) -> None:
        """Bring back what the last plan deleted."""
        self.run_worker(self._undo(), group="undo")

    def action_show_trash(self) -> None:
        """Say what the trash holds."""
        from cachetop_tui.prune.opening import show_trash

        self.run_worker(show_trash(self), group="trash", exclusive=True)

    def action_keep_trash(self) -> None:
        """Stop unlinking what the trash holds."""
        from cachetop_tui.prune.opening import keep_trash

        self.run_worker(keep_trash(self), group="trash", exclusive=True)

    async def _undo(self) -> None:
        from cachetop_tui.prune.opening import undo_last

        await undo_last(self)
        await in_background(self.feed.rescan)

    async def _take_up(self) -> None:
        """Bring plans that were cut short to an end."""

        def take_up() -> list[str]:
            from cachetop_tui.prune import opening  # a long import, which holds up nothing here

            return opening.take_up()

        for sentence in await in_background(take_up):
            self.notify(sentence, markup=False)

    def action_signal_process(self) -> None:
        """Ask which signal to send to the process under the cursor or of the document in front, or say why none."""
        from cachetop.gpu import signals
        from cachetop_tui.workbench.here import process_here

        chosen = process_here(self.overview)
        if chosen is None:
            self.notify("No process of a GPU is under the cursor, or it has left.", severity="warning", markup=False)
            return
        gpu, process = chosen
        reason = signals.refusal(process, simulated=gpu.simulated)
        if reason:
            self.notify(reason, severity="warning", markup=False)
            return
        from cachetop_tui.dialogs.signal import SignalDialog

        self.push_screen(SignalDialog(gpu, process), partial(self._signalled, process.pid))

    def _signalled(self, pid: int, name: str | None) -> None:
        if name is not None:
            self.notify(f"SIG{name} was sent to process {pid}.", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In read-only mode the keys of what changes something do nothing."""
        return action not in _CHANGES or not is_read_only()

    def action_rescan(self) -> None:
        """Sort again, and look at every cache again; read the document in front again."""
        self.repaint_all()
        self.overview.reread()
        self.overview.models.sort()
        self.run_worker(in_background(self.feed.rescan), group="rescan", exit_on_error=False)

    def action_next_theme(self) -> None:
        """The theme after this one."""
        names = [theme.name for theme in themes.THEMES]
        self.action_use_theme(names[(names.index(self.theme) + 1) % len(names) if self.theme in names else 0])

    def action_use_theme(self, name: str) -> None:
        """Use a theme by its name."""
        self.theme = name

    def action_keys(self) -> None:
        """List every key."""
        from cachetop_tui.dialogs.keys import KeysScreen

        self.push_screen(KeysScreen([command for command in COMMANDS if command.available]))

    def action_how_to_quit(self) -> None:
        """For hands that expect Ctrl+C to end a program, or to copy."""
        leave, name = named("app.quit").key, named("copy").key
        said = [f"{leave} leaves" if leave else "", f"{name} copies the name under the cursor" if name else ""]
        self.notify(f"{', '.join(filter(None, said)) or 'Leaving has no key'}.", markup=False, timeout=3)

    def action_new_conversion(self) -> None:
        """Ask what to convert, and start it."""
        from cachetop_tui.dialogs.start import StartDialog

        self.push_screen(StartDialog(self.overview.jobs, self.overview.gpus.gpus), self._start)

    async def convert_file(self, path: str) -> None:
        """Ask how to convert one file, or which file of a folder."""
        from textual.widgets import Input

        from cachetop_tui.dialogs.start import StartDialog

        folder = path if path.endswith("/") else path.rpartition("/")[0]
        dialog = StartDialog(self.overview.jobs, self.overview.gpus.gpus, folder or "/")
        await self.push_screen(dialog, self._start)
        if not path.endswith("/"):
            dialog.query_one("#path", Input).value = path

    def action_menu(self, x: int = -1, y: int = -1) -> None:
        """What can be done here as a menu, at a place of the screen or at the cursor."""
        from cachetop_tui.dialogs.menu import ContextMenu, wanted
        from cachetop_tui.workbench.here import cursor_place, here

        where = here(self.overview)
        place = (x, y) if x >= 0 else cursor_place(self.overview)
        self.push_screen(ContextMenu(wanted(where), place), self._picked)

    async def _picked(self, command: Command | None) -> None:
        if command is not None:
            await self.run_action(command.run)

    def action_commands(self) -> None:
        """Open the command palette."""
        from cachetop_tui.commands.palette import Palette

        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette())

    def _start(self, request: StartRequest | None) -> None:
        if request is not None:
            self.run_worker(self._convert(request))

    async def _convert(self, request: StartRequest) -> None:
        self.overview.focus_pane("conversion")
        self.overview.panel.begin(request)
