"""What the commands do that are about conversions and a kernel's document."""

from __future__ import annotations

import cachetop
from cachetop_tui.commands.registry import named
from support.commands_stage import Stage, case


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
    if at.command.id == "runs.tab":
        await at.until(lambda: at.app.overview.panel.tab != before)
        return
    await at.until(lambda: at.app.overview.pane == "problems")
    await at.press("v")
    await at.until(lambda: at.app.overview.pane == "conversion" and at.app.overview.panel.tab == before)


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
