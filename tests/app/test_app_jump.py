"""Jump mode: labels on what is in sight, and where typing one leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from cachetop_tui.app import CachetopApp
from cachetop_tui.dialogs.jump import JumpScreen, Label
from cachetop_tui.workbench.jumping import LETTERS, labels
from support.opening import opened, screen, until


@given(st.integers(0, len(LETTERS) ** 2))
def test_no_label_begins_another(count: int) -> None:
    made = labels(count)
    assert len(made) == len(set(made)) == count
    assert not any(a != b and b.startswith(a) for a in made for b in made if len(a) == 1)
    assert count > len(LETTERS) or all(len(one) == 1 for one in made)


async def shown(pilot: Pilot[None], app: CachetopApp) -> dict[tuple[int, int], str]:
    """The labels by their places, once they are on the screen."""
    await pilot.press("g")
    await until(pilot, lambda: isinstance(app.screen, JumpScreen) and app.screen.is_mounted)
    await pilot.pause()
    return {(one.target.x, one.target.y): one.text for one in app.screen.query(Label)}


@pytest.mark.parametrize("size", [(160, 45), (120, 30), (80, 24), (60, 20)])
async def test_a_row_of_another_pane_is_reached_by_its_label(size: tuple[int, int]) -> None:
    async with opened(size) as (app, pilot):
        models, gpus = app.overview.models, app.overview.gpus
        found = await shown(pilot, app)
        y, key = models.in_sight()[3]
        label = found[models.region.x, models.region.y + y]
        assert screen(app).splitlines()[models.region.y + y][models.region.x :].startswith(label)
        await pilot.press(*label)
        await until(pilot, lambda: models.cursor is not None and models.cursor.key == key)
        assert app.screen is app.overview and app.focused is models
        found = await shown(pilot, app)
        await pilot.press(*found[gpus.region.x, gpus.region.y])
        await until(pilot, lambda: app.overview.pane == "gpus")


async def test_tabs_are_reached_and_escape_or_another_letter_leaves_all_as_it_was() -> None:
    async with opened((120, 30)) as (app, pilot):
        panel = app.overview.panel
        found = await shown(pilot, app)
        await pilot.press(*found[panel.region.x + panel.tab_places[2][0], panel.region.y + 1])
        await until(pilot, lambda: app.overview.pane == "conversion" and panel.tab == 2)
        found = await shown(pilot, app)
        await pilot.press(*found[panel.region.x + panel.tab_places[4][0], panel.region.y + 1])
        await until(pilot, lambda: app.overview.pane == "problems")
        await pilot.press("4", "1", "enter")
        await until(pilot, lambda: app.overview.tabs.current is not None and app.overview.pane == "document")
        for key in ("escape", "1"):
            await shown(pilot, app)
            await pilot.press(key)
            await until(pilot, lambda: app.screen is app.overview)
            assert app.overview.pane == "document"
        strip = app.query_one("#tabs")
        found = await shown(pilot, app)
        await pilot.press(*found[strip.region.x, strip.region.y])
        await until(pilot, lambda: app.overview.tabs.current is None)
        assert app.overview.pane == "models"
