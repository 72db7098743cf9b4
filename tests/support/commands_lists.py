"""What the commands do that are about panes, their rows, and plans for them."""

from __future__ import annotations

from textual.widgets import Input

from cachetop_tui.commands.quick import QuickOpen
from cachetop_tui.dialogs.confirm import Confirm
from cachetop_tui.dialogs.signal import SignalDialog
from cachetop_tui.dialogs.start import StartDialog
from cachetop_tui.model_tasks import Task
from cachetop_tui.prune.review import ReviewScreen
from support.commands_stage import Stage, case


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
