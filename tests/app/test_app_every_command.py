"""Every command of the registry is run once by its key and once by name, and what it does is looked at.

One app for all of them, brought back to where it began between two; a command without a case here fails its test.
"""

from __future__ import annotations

import asyncio
import hashlib
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Input

import cachetop
from cachetop.gpu.records import Gpu, Gpus, Memory
from cachetop_tui.app import CachetopApp
from cachetop_tui.commands.palette import Palette
from cachetop_tui.commands.quick import QuickOpen
from cachetop_tui.commands.registry import COMMANDS, Command, named
from cachetop_tui.dialogs.confirm import Confirm
from cachetop_tui.dialogs.jump import JumpScreen, Label
from cachetop_tui.dialogs.keys import KeysScreen
from cachetop_tui.dialogs.menu import ContextMenu
from cachetop_tui.dialogs.signal import SignalDialog
from cachetop_tui.dialogs.start import StartDialog
from cachetop_tui.lines import LineView
from cachetop_tui.model_tasks import Task
from cachetop_tui.prune.review import ReviewScreen
from cachetop_tui.workbench.here import focused
from support import pictures, runs
from support.gpu_process import GpuProcess, write_safetensors
from support.opening import screen, until
from support.triton_cache import key_of, write_entry

SIZE = (120, 40)
GIB = 2**30


@dataclass
class Stage:
    """The app and the command whose turn it is; `go` runs that by its key or by its name."""

    app: CachetopApp
    pilot: Pilot[None]
    source: pictures.FakeInventory
    command: Command = field(default_factory=lambda: COMMANDS[0])
    by_name: bool = False

    async def go(self) -> None:
        """Run the command."""
        if self.by_name or not self.command.keys:
            await self.app.run_action(self.command.run)
        else:
            await self.pilot.press(self.command.keys[0])

    async def press(self, *keys: str) -> None:
        """Press other keys."""
        await self.pilot.press(*keys)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for an effect."""
        await until(self.pilot, true)

    async def sees(self, text: str) -> None:
        """Wait until a text is on the screen."""
        await self.until(lambda: text in screen(self.app))

    async def shows(self, kind: type) -> Any:
        """Wait until a screen of this kind is in front."""
        await self.until(lambda: isinstance(self.app.screen, kind) and self.app.screen.is_mounted)
        await self.pilot.pause()
        return self.app.screen

    def view(self) -> LineView:
        """The list in focus."""
        found = focused(self.app.overview)
        assert found is not None
        return found

    async def to(self, name: str) -> LineView:
        """Put the cursor of the models on a repo."""
        view = self.app.overview.models
        index = next(i for i, row in enumerate(view.shown_rows) if row.kind == "repo" and name in row.subject.id)
        view._go(index)
        return view

    async def reset(self) -> None:
        """Back to the overview as it was at the start."""
        app, overview = self.app, self.app.overview
        while app.screen is not overview:
            await app.pop_screen()
        app.clear_notifications()
        overview.tabs.tabs.clear()
        overview.turn_to_overview()
        overview.maximised = overview.bottom_hidden = False
        overview.side, overview.bottom = None, "conversion"
        for view in overview.query(LineView):
            view.unfolded.clear()
            view.unmark()
        for line in overview.query("#filter"):
            line.remove_class("-open")
            line.display = False
        overview.models.set_filter("")
        panel = overview.panel
        panel.tab, panel._picked, panel._cursor, panel._offset = 0, None, 0, 0
        app.theme = "cachetop-dark"
        overview.focus_pane("models")
        overview.lay_out()
        await self.pilot.pause()
        await self.pilot.press("home")


Case = Callable[[Stage], Awaitable[None]]
CASES: dict[str, Case] = {}


def case(*names: str) -> Callable[[Case], Case]:
    """The case of these commands."""

    def keep(made: Case) -> Case:
        CASES.update(dict.fromkeys(names, made))
        return made

    return keep


@case("models.focus", "kernels.focus", "gpus.focus", "runs.focus", "problems.focus")
async def _focus(at: Stage) -> None:
    pane = {"runs": "conversion"}.get(at.command.id.partition(".")[0], at.command.id.partition(".")[0])
    await at.press("2" if pane != "kernels" else "1")
    await at.go()
    await at.until(lambda: at.app.overview.pane == pane and at.app.focused is at.app.query_one(f"#{pane}"))


@case("pane.next", "pane.previous")
async def _next(at: Stage) -> None:
    await at.go()
    await at.until(lambda: at.app.overview.pane == {"pane.next": "kernels"}.get(at.command.id, "conversion"))


@case("open.quick")
async def _quick(at: Stage) -> None:
    await at.go()
    await at.shows(QuickOpen)
    await at.press(*"@whisper")
    await at.sees("openai/whisper-large-v3-turbo")


@case("process.signal")
async def _signal(at: Stage) -> None:
    await at.press("3", "home")
    for _ in range(20):
        if at.app.overview.gpus.chosen is not None:
            break
        await at.press("down")
    await at.go()
    await at.shows(SignalDialog)


@case("runs.new")
async def _new(at: Stage) -> None:
    await at.go()
    await at.shows(StartDialog)


@case("list.filter")
async def _filter(at: Stage) -> None:
    await at.go()
    await at.until(lambda: isinstance(at.app.focused, Input))
    await at.press(*"whisper", "enter")
    await at.until(lambda: [row.kind for row in at.app.overview.models.shown_rows].count("repo") == 1)


@case("plan.marked")
async def _plan(at: Stage) -> None:
    await at.press("space")
    await at.go()
    await at.shows(ReviewScreen)


@case("models.warm", "models.verify")
async def _task(at: Stage) -> None:
    await at.to("Qwen2.5")
    await at.go()
    await at.sees("is not in the cache any more")  # the sample's repos are on no disk


@case("models.verify.all")
async def _verify_all(at: Stage) -> None:
    await at.go()
    await at.sees("Checksums")
    await at.until(lambda: (task := at.app.overview.model_task) is not None and not task.state.going)


@case("models.drop")
async def _drop(at: Stage) -> None:
    await at.go()
    await at.shows(Confirm)


@case("models.cancel")
async def _cancel_task(at: Stage) -> None:
    task = at.app.overview.model_task = Task("verify", [])
    await at.go()
    await at.until(lambda: task.cancelled)
    at.app.overview.model_task = None


@case("models.preset", "preset.biggest", "preset.unused", "preset.superseded", "preset.partials", "preset.all")
async def _preset(at: Stage) -> None:
    if at.command.id == "preset.all":
        at.app.overview.models.set_filter("whisper")
    await at.go()
    wanted = {
        "preset.unused": "sort=accessed:asc",
        "preset.superseded": "superseded sort=reclaimable",
        "preset.partials": "partial=stale sort=size",
        "preset.all": "",
    }
    await at.until(lambda: at.app.overview.models.view.filter == wanted.get(at.command.id, "sort=size"))


@case("kernels.stale")
async def _stale(at: Stage) -> None:
    await at.go()
    await at.shows(ReviewScreen)


@case("models.superseded")
async def _superseded(at: Stage) -> None:
    await at.go()
    await at.shows(ReviewScreen)


@case("prune.undo")
async def _undo(at: Stage) -> None:
    await at.go()
    await at.until(lambda: any("No plan was executed" in str(one.message) for one in at.app._notifications))


@case("prune.trash", "prune.cancel")
async def _trash(at: Stage) -> None:
    await at.go()
    await at.until(lambda: any("The trash is empty." in str(one.message) for one in at.app._notifications))


@case("copy")
async def _copy(at: Stage) -> None:
    at.app._clipboard = ""
    await at.to("Qwen2.5")
    await at.go()
    await at.until(lambda: at.app.clipboard == "Qwen/Qwen2.5-VL-7B-Instruct")


@case("view.side")
async def _side(at: Stage) -> None:
    before = at.app.query_one("#aside").display
    await at.go()
    await at.until(lambda: at.app.query_one("#aside").display != before)


@case("view.glance")
async def _glance(at: Stage) -> None:
    assert not at.app.query_one("#aside").display
    await at.go()
    await at.until(lambda: at.app.overview.pane == "glance" and at.view().cursor is not None)
    await at.sees("CAN GO")


@case("view.jump")
async def _jump(at: Stage) -> None:
    await at.go()
    jump = await at.shows(JumpScreen)
    await at.press(*next(one.text for one in jump.query(Label) if one.target.y == at.app.overview.kernels.region.y))
    await at.until(lambda: at.app.overview.pane == "kernels")


@case("view.panel")
async def _panel(at: Stage) -> None:
    await at.go()
    await at.until(lambda: not at.app.query_one("#bottom").display)
    await at.go()
    await at.until(lambda: bool(at.app.query_one("#bottom").display))


async def _two_tabs(at: Stage) -> None:
    from cachetop_tui.workbench.opening import revision_document

    for repo in pictures.models().repos[:2]:
        at.app.overview.open_document(revision_document(repo, repo.revisions[0]))
        await at.app.overview.action_pin()
    await at.until(lambda: at.app.overview.pane == "document" and at.app.overview.tabs.front == 1)


@case("tab.next", "tab.previous", "document.leave")
async def _turn(at: Stage) -> None:
    await _two_tabs(at)
    await at.go()
    await at.until(lambda: at.app.overview.tabs.front == {"tab.previous": 0}.get(at.command.id, -1))
    assert len(at.app.overview.tabs.tabs) == 2


@case("tab.close")
async def _close(at: Stage) -> None:
    await _two_tabs(at)
    await at.go()
    await at.until(lambda: len(at.app.overview.tabs.tabs) == 1)


@case("document.pin")
async def _pin(at: Stage) -> None:
    from cachetop_tui.workbench.opening import revision_document

    repo = pictures.models().repos[0]
    at.app.overview.open_document(revision_document(repo, repo.revisions[0]))
    await at.until(lambda: at.app.overview.pane == "document")
    assert not at.app.overview.tabs.tabs[0].pinned
    await at.go()
    await at.until(lambda: at.app.overview.tabs.tabs[0].pinned)


@case("pane.maximise")
async def _maximise(at: Stage) -> None:
    await at.go()
    await at.until(lambda: at.app.overview.models.size.height > SIZE[1] - 5)


@case("scan.again")
async def _scan(at: Stage) -> None:
    before = at.source.scans
    await at.go()
    await at.until(lambda: at.source.scans == before + 1)


@case("theme.next", "theme.dark", "theme.light", "theme.contrast", "theme.ansi")
async def _theme(at: Stage) -> None:
    at.app.theme = "cachetop-light" if at.command.id == "theme.dark" else "cachetop-dark"
    before = at.app.theme
    await at.go()
    wanted = f"cachetop-{at.command.id.partition('.')[2]}"
    await at.until(lambda: at.app.theme == wanted or (at.command.id == "theme.next" and at.app.theme != before))


@case("settings.show")
async def _settings(at: Stage) -> None:
    await at.go()
    await at.sees("config.toml")


@case("settings.reset")
async def _reset_setting(at: Stage) -> None:
    file = at.app.told.path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('[app]\ntheme = "light"  # bright\n')
    await at.app._reconfigure()
    at.app.action_settings()
    await at.sees("from the file")
    await at.go()
    await at.until(lambda: file.read_text() == '[app]\n# theme = "light"  # bright\n')
    file.unlink()
    await at.app._reconfigure()


@case("settings.edit")
async def _edit_settings(at: Stage) -> None:
    await at.go()  # there is no terminal here to lend to an editor, and it says so
    await at.until(lambda: any("yourself" in one.message for one in at.app._notifications))


@case("commands.show")
async def _commands(at: Stage) -> None:
    await at.go()
    await at.shows(Palette)
    await at.sees("Kernels: Focus")


@case("keys.show")
async def _keys(at: Stage) -> None:
    await at.go()
    await at.shows(KeysScreen)


@case("menu.show")
async def _menu(at: Stage) -> None:
    await at.go()
    await at.shows(ContextMenu)
    await at.press("enter")  # the first: open what is under the cursor
    await at.until(lambda: at.app.overview.tabs.current is not None)


@case("list.open")
async def _open(at: Stage) -> None:
    await at.go()
    await at.until(lambda: at.app.overview.tabs.current is not None and not at.app.overview.tabs.tabs[0].pinned)


@case("list.mark")
async def _mark(at: Stage) -> None:
    await at.go()
    await at.until(lambda: len(at.app.overview.models.marked) == 1)


@case("list.find")
async def _find(at: Stage) -> None:
    await at.go()
    await at.press(*"bge")
    await at.until(lambda: (row := at.view().cursor) is not None and row.subject.id == "BAAI/bge-m3")


@case("list.unfold", "list.fold", "list.fold.all")
async def _fold(at: Stage) -> None:
    view = await at.to("Qwen2.5")
    if at.command.id != "list.unfold":
        await at.press("right")
        await at.until(lambda: any(row.open for row in view.shown_rows))
    await at.go()
    await at.until(lambda: any(row.open for row in view.shown_rows) == (at.command.id == "list.unfold"))


@case("list.up", "list.down", "list.pageup", "list.pagedown", "list.home", "list.end")
async def _move(at: Stage) -> None:
    view = at.view()
    keys = [row.key for row in view.shown_rows if not row.fixed]
    await at.press("down", "down", "down")
    await at.until(lambda: view.cursor is not None and view.cursor.key == keys[3])
    await at.go()
    wanted = {"list.up": keys[2], "list.down": keys[4], "list.home": keys[0], "list.end": keys[-1]}
    if at.command.id in wanted:
        await at.until(lambda: view.cursor is not None and view.cursor.key == wanted[at.command.id])
    else:
        await at.until(lambda: view.cursor is not None and view.cursor.key != keys[3])
        assert view.cursor is not None
        assert (keys.index(view.cursor.key) > 3) == (at.command.id == "list.pagedown")


@case("runs.earlier", "runs.later")
async def _step(at: Stage) -> None:
    panel = at.app.overview.panel
    await at.press("4")
    first = panel.selected_run
    if at.command.id == "runs.later":
        await at.press("[")
        await at.until(lambda: panel.selected_run is not first)
    await at.go()
    await at.until(lambda: (panel.selected_run is first) == (at.command.id == "runs.later"))


@case("runs.tab", "runs.tab.back")
async def _tab(at: Stage) -> None:
    await at.press("4")
    before = at.app.overview.panel.tab
    await at.go()
    await at.until(lambda: at.app.overview.panel.tab != before)
    if at.command.id == "runs.tab.back":
        await at.press("v")
        await at.until(lambda: at.app.overview.panel.tab == before)


@case("runs.open")
async def _report(at: Stage) -> None:
    await at.press("4", "[")
    await at.go()
    await at.until(lambda: at.app.overview.tabs.current is not None)


@case("runs.result", "runs.tree")
async def _read(at: Stage) -> None:
    await at.press("4", "[")
    await at.go()
    await at.until(lambda: at.app.overview.tabs.current is not None)


@case("runs.folder", "runs.copy", "runs.cold")
async def _of_a_run(at: Stage) -> None:
    """Of a run whose folder is not there, which they say."""
    await at.press("4", "[")
    await at.go()
    await at.until(lambda: bool(at.app._notifications))


@case("kernel.stage", "kernel.diff", *(f"kernel.stage.{n}" for n in range(1, 8)))
async def _page(at: Stage) -> None:
    from cachetop_tui.documents.kernel_page import Page
    from cachetop_tui.panes.kernel_tree import grow
    from cachetop_tui.workbench.opening import kernel_document
    from cachetop_tui.workbench.picture import Picture

    kernels = cachetop.kernels()
    entry = next(one for one in kernels.entries if one.sm == ("sm_90",))
    at.app.overview.open_document(kernel_document(entry, Picture(tree=grow(kernels, frozenset()))))
    tab = at.app.overview.tabs.tabs[0]
    await at.until(lambda: isinstance(tab.record, Page))
    page = tab.record
    assert isinstance(page, Page)
    if at.command.id == "kernel.diff":  # a difference is one of a stage
        await at.press(named("kernel.stage.1").keys[0])
        await at.until(lambda: page.text is not None)
    before = page.stage
    await at.go()
    if at.command.id.startswith("kernel.stage."):
        wanted = int(at.command.id[-1])
        assert at.app.overview.pane == "document", "the digits are the panes' elsewhere"
        if wanted > len(page.stages):
            await at.until(lambda: any(f"no stage {wanted}" in str(one.message) for one in at.app._notifications))
        else:
            await at.until(lambda: page.stage == page.stages[wanted - 1] and bool(page.text or page.problem))
    elif at.command.id == "kernel.stage":
        await at.until(lambda: page.stage != before)
    else:
        await at.until(lambda: page.against is not None)


@case("runs.cancel")
async def _cancel(at: Stage) -> None:
    await at.press("4")
    await at.go()  # it is told of a run whose folder is not there
    await at.until(lambda: any("was not cancelled" in str(one.message) for one in at.app._notifications))


@case("runs.unload")
async def _unload(at: Stage) -> None:
    await at.press("4")
    await at.go()
    await at.until(lambda: any("no worker unloaded" in str(one.message) for one in at.app._notifications))


@case("runs.up", "runs.down", "runs.pageup", "runs.pagedown")
async def _among_runs(at: Stage) -> None:
    panel = at.app.overview.panel
    await at.press("4", "v")
    down = at.command.id in ("runs.down", "runs.pagedown")
    if not down:
        await at.press("down")
        await at.until(lambda: panel._cursor == 1)
    await at.go()
    await at.until(lambda: panel._cursor == (1 if down else 0))


def _source(process: GpuProcess) -> pictures.FakeInventory:
    gpu = Gpu(
        index=0, uuid="GPU-0", name="NVIDIA H100", sm="sm_90", utilization=1, temperature=40, power=90.0,
        memory=Memory(total=80 * GIB, used=4 * GIB, free=76 * GIB, reserved=0), processes=(process.row(),),
        unattributed=0,
    )  # fmt: skip
    run, done = runs.running(), runs.done()
    before = replace(done, job=runs.job("done", "b1c2", started=runs.T0 - 600))
    jobs = runs.jobs(run, before)
    gpus = Gpus(available=True, driver="580", gpus=(gpu,), time=pictures.NOW)
    return pictures.everything(gpus=gpus, jobs=jobs, runs=(run, before))


async def _play(process: GpuProcess) -> dict[tuple[str, bool], str]:
    """What went wrong with each command, by key and by name."""
    source = _source(process)
    app = CachetopApp(source, clock=lambda: pictures.NOW, host="gpubox")
    wrong: dict[tuple[str, bool], str] = {}
    async with app.run_test(size=SIZE) as pilot:
        at = Stage(app, pilot, source)
        await until(pilot, lambda: app.overview.models.models is not None and bool(app.overview.query("#conversion")))
        await until(pilot, lambda: bool(app.overview.panel._runs) and app.overview.gpus.gpus is not None)
        for command in COMMANDS:
            for by_name in (False, True):
                if command.id not in CASES or (by_name and command.motion):
                    continue
                try:
                    await at.reset()
                    at.command, at.by_name = command, by_name
                    await CASES[command.id](at)
                except Exception:
                    wrong[command.id, by_name] = f"{traceback.format_exc()}\n{screen(app)}"
    return wrong


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, bool], str]]:
    """What went wrong, in a world of its own as `conftest.world` makes one for each test."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HOME", "HF_HUB_CACHE", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME"):
            patch.delenv(name, raising=False)
        for name, place in {"HOME": home, "TMPDIR": home, "CACHETOP_STATE_DIR": home / "state"}.items():
            patch.setenv(name, str(place))
        patch.setenv("TERM", "xterm-256color")
        library = home / "libcuda.so.1"
        write_safetensors(library)
        for sm in (80, 90):
            write_entry(home / ".triton" / "cache", key_of(hashlib.sha256(bytes([sm])).digest()), sm=sm)
        with GpuProcess() as process:
            process.map(library)
            yield asyncio.run(_play(process))


@pytest.mark.parametrize("by_name", [False, True], ids=["key", "name"])
@pytest.mark.parametrize("name", [command.id for command in COMMANDS if command.id != "app.quit"])
def test_command(name: str, by_name: bool, wrong: dict[tuple[str, bool], str]) -> None:
    assert name in CASES, f"{name} has no case here: write one that runs it and looks at what it does"
    assert (name, by_name) not in wrong, wrong[name, by_name]


async def test_quit_leaves_at_once(tmp_path: Path) -> None:
    app = CachetopApp(pictures.everything())
    async with app.run_test(size=SIZE) as pilot:
        with suppress(asyncio.CancelledError):
            await pilot.press(named("app.quit").keys[0])
    assert app.return_code == 0


def test_there_is_no_case_for_a_command_that_is_no_more() -> None:
    assert set(CASES) <= {command.id for command in COMMANDS}
