"""Walk the tour and take its pictures: six things at 80x24, by keyboard alone, on the sandbox of `cachetop demo`.

    python docs/tour.py [docs/tour]

Nothing is drawn by hand, and a step that does not come about stops the walk. `tests/app/test_app_tasks.py` walks the
same steps.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cachetop.demo.sandbox import Sandbox, build

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from cachetop_tui.app import CachetopApp

SIZE = (80, 24)
PATIENCE = 60.0
"""Seconds that a step may take; a conversion on a busy machine is the slowest."""


@dataclass
class Hands:
    """Somebody at the keyboard. `pressed` is what was pressed so far."""

    app: CachetopApp
    pilot: Pilot[None]
    pressed: list[str] = field(default_factory=list)

    async def press(self, *keys: str) -> None:
        """Press keys by Textual's names."""
        self.pressed += keys
        await self.pilot.press(*keys)

    async def sees(self, *texts: str) -> str:
        """Wait until all these texts are on the screen; returns the screen. Raises AssertionError."""
        until = time.monotonic() + PATIENCE
        while True:
            shown = self.screen()
            if all(text in shown for text in texts):
                return shown
            assert time.monotonic() < until, f"not on the screen: {texts}\n{shown}"
            await self.pilot.pause(0.05)

    def screen(self) -> str:
        """The characters on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def fullness(at: Hands) -> None:
    """Models in the first header, with `2` a line for each kernel cache."""
    await at.sees("on disk")
    await at.press("2")
    await at.sees("▎2 KERNELS", "ON DISK")


async def biggest(at: Hands) -> None:
    """The side bar lists the biggest first; typing goes to a name; Enter opens its card, again to go in."""
    await at.press("b")
    await at.sees("b hides")
    models = at.app.overview.picture.models
    assert models is not None
    name = max((repo for repo in models.repos if repo.type == "model"), key=lambda repo: repo.size).id
    await at.press(*name.rpartition("/")[2], "enter", "enter")
    await at.sees("REVISIONS")


async def stale(at: Hands) -> None:
    """Filter by an SM; a kernel's document begins with what is wrong with it."""
    await at.press("2", "f", *"sm_90", "enter")
    await at.sees("filter: sm_90", "foreign-sm")
    await at.press("end", "enter")
    await at.sees("foreign-sm", "sm_89")


async def vram(at: Hands) -> None:
    """`3` and `z`: every process with its models and how that is known."""
    await at.press("3", "z")
    await at.sees("unattributed", "reported")


async def convert(at: Hands) -> None:
    """`n`, a file, Enter; the panel follows the run; `e` reads what it wrote."""
    await at.press("n")
    await at.sees("demo.pdf")
    await at.press("enter")
    await at.sees("✓ demo.pdf", "1 file")
    await at.press("enter")
    await at.sees("✓ done")
    await at.press("4", "e")
    await at.sees("› demo.pdf ›")


async def prune(at: Hands) -> None:
    """`P` plans the stale kernels; nothing goes before it is confirmed; `U` brings all of it back."""
    await at.sees("stale")
    await at.press("P")
    await at.sees("Prune plan", "foreign-sm")
    await at.press("tab", "enter")
    await at.sees("0 failed")
    await at.press("escape")
    await at.sees("1 Models")
    await at.press("U")
    await at.sees(" back.")


STEPS: dict[str, Callable[[Hands], Awaitable[None]]] = {
    "1-how-full": fullness,
    "2-biggest-repo": biggest,
    "3-stale-kernels": stale,
    "4-who-holds-vram": vram,
    "5-convert": convert,
    "6-prune-and-undo": prune,
}
"""The steps by the names of their pictures."""


async def walk(sandbox: Sandbox, name: str, take: Callable[[Hands], None]) -> None:
    """Open the app on a sandbox that was entered, take one step, and hand what is then on the screen to `take`."""
    from cachetop.inventory import Inventory
    from cachetop_tui.app import CachetopApp

    app = CachetopApp(Inventory(gpu=sandbox.gpu()), note="DEMO", host="gpubox")
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        app.theme = "cachetop-dark"
        hands = Hands(app, pilot)
        await hands.sees("on disk", "▲")
        await STEPS[name](hands)
        await pilot.pause(0.3)
        take(hands)


def main(out: Path) -> None:
    """Build the sandbox, take every step, write the pictures, and take the sandbox away again."""
    folder = Path(tempfile.gettempdir()) / "cachetop-demo"
    sandbox = build(folder, print)
    sandbox.enter()
    out.mkdir(exist_ok=True)
    try:
        for name in STEPS:
            picture = out / f"{name}.svg"
            asyncio.run(walk(sandbox, name, lambda at, to=picture: _keep(at, to)))  # type: ignore[misc]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(at: Hands, picture: Path) -> None:
    picture.write_text(at.app.export_screenshot(title="cachetop demo"), encoding="utf-8")
    print(f"{picture.name}: {' '.join(at.pressed)}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "tour"))
