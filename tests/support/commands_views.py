"""What the commands do that are about bars, tabs, themes, settings and dialogs."""

from __future__ import annotations

from cachetop_tui.commands.palette import Palette
from cachetop_tui.dialogs.jump import JumpScreen, Label
from cachetop_tui.dialogs.keys import KeysScreen
from cachetop_tui.dialogs.menu import ContextMenu
from support import pictures
from support.commands_stage import SIZE, Stage, case


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


@case("document.find")
async def _find_in_document(at: Stage) -> None:
    from cachetop_tui.workbench.opening import revision_document

    repo = pictures.models().repos[0]
    at.app.overview.open_document(revision_document(repo, repo.revisions[0]))
    await at.until(lambda: at.app.overview.pane == "document")
    await at.go()
    await at.press(*"frees")
    await at.sees("1 of ")


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


@case("quit.how")
async def _how_to_quit(at: Stage) -> None:
    await at.go()
    await at.until(lambda: any("q leaves" in one.message for one in at.app._notifications))


@case("menu.show")
async def _menu(at: Stage) -> None:
    await at.go()
    await at.shows(ContextMenu)
    await at.press("enter")  # the first: open what is under the cursor
    await at.until(lambda: at.app.overview.tabs.current is not None)
