"""The live view in real pages: JupyterLab, Notebook 7 and marimo in a headless Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from support import hubcache, notebooks
from support.notebook_browser import CHROMIUM, Page, browser, jupyter, marimo, under_ci

pytestmark = pytest.mark.skipif(CHROMIUM is None and not under_ci(), reason="no Chromium here")

CHOOSE = "document.querySelector('.jp-Dialog .jp-mod-accept')?.click() ?? undefined"
"""Lab may ask which kernel to take: the one it proposes."""
READY = (
    "window.jupyterapp.serviceManager.kernels.refreshRunning().then(() => "
    "[...window.jupyterapp.serviceManager.kernels.running()].some((one) => one.execution_state == 'idle'))"
)
RUN = "void window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')"


def find(test: str) -> str:
    """The first element `one` for which an expression is true, in shadow roots too: marimo draws widgets in them."""
    return f"""(() => {{ const walk = (root) => {{ for (const one of root.querySelectorAll("*")) {{
      if ({test}) return one;
      const inner = one.shadowRoot && walk(one.shadowRoot);
      if (inner) return inner;
    }} return null; }}; return walk(document); }})()"""


VIEW = find("one.matches('.cachetop-live')")
HALT = find("one.matches('button') && one.textContent.includes('halt')")
BELOW = find("one.textContent == 'below'")
LOOKS = VIEW + "?.textContent.match(/at (\\d\\d:\\d\\d:\\d\\d)/)?.[1]"
HOSTILE = "evil<img src=x onerror=window.cachetop_was_here=1>"
MARIMO = """import marimo
app = marimo.App()

@app.cell
def _():
    import cachetop
    import marimo as mo
    live = cachetop.live()
    mo.ui.anywidget(live)
    return cachetop, live, mo

@app.cell
def _(mo):
    halt = mo.ui.run_button(label="halt")
    halt
    return (halt,)

@app.cell
def _(halt, live):
    if halt.value:
        live.stop()
    return

@app.cell
def _(cachetop, mo):
    with cachetop.track() as report:
        repos = cachetop.models()
    mo.vstack([repos, report, mo.Html('<div style="margin-top: 3000px">below</div>')])
    return

if __name__ == "__main__":
    app.run()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert CHROMIUM, "CI must have Chromium (apt-get install chromium)"
    with browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture(autouse=True)
def hub(world: Path) -> Path:
    cache = world / ".cache" / "huggingface" / "hub"
    hubcache.healthy(cache, "org/model")
    (cache / f"models--org--{HOSTILE}" / "blobs").mkdir(parents=True)
    return cache


def check_it_is_live_and_harmless(page: Page) -> None:
    page.until(f"{VIEW}?.textContent.includes('org/model')")
    first = page.evaluate(LOOKS)
    page.until(f"({LOOKS} ?? {first!r}) != {first!r}")  # it updates
    assert page.evaluate(f"{VIEW}.textContent.includes('evil<img')")
    assert page.evaluate(f"{VIEW}.querySelectorAll('img').length") == 0
    assert page.evaluate("window.cachetop_was_here") is None


def check_it_stands_still(page: Page) -> None:
    time.sleep(1.1)  # the look that was on its way
    last = page.evaluate(LOOKS)
    time.sleep(1.6)
    assert page.evaluate(LOOKS) == last


def check_it_goes_on(page: Page) -> None:
    last = page.evaluate(LOOKS)
    page.until(f"{LOOKS} != {last!r}")


def brightness(page: Page, element: str, what: str) -> float:
    """From 0, black, to 1, white, of a computed colour in whatever notation."""
    script = f"""(() => {{ const pen = new OffscreenCanvas(1, 1).getContext("2d");
    pen.fillStyle = getComputedStyle({element}).{what}; pen.fillRect(0, 0, 1, 1);
    const [r, g, b] = pen.getImageData(0, 0, 1, 1).data; return (r + g + b) / 765; }})()"""
    return float(page.evaluate(script))


def prefer(page: Page, scheme: str) -> None:
    """What the system wants; the page's own theme may be another."""
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def opened(page: Page, address: str, folder: Path, path: str) -> None:
    """A notebook with a live view, its first cell run."""
    notebook = notebooks.of_cells(
        "%load_ext cachetop\nview = %cachetop live\nview", "%cachetop live stop", "view.close()"
    )
    write: Any = nbformat.write
    write(notebook, folder / "live.ipynb")
    page.call("Page.navigate", url=f"{address}/{path}/live.ipynb")
    page.until("window.jupyterapp && document.querySelectorAll('.jp-Notebook .jp-Cell').length > 1")
    page.until(f"{{ {CHOOSE}; {READY} }}")
    page.evaluate(RUN)


def test_in_jupyterlab(page: Page, tmp_path: Path) -> None:
    prefer(page, "light")
    with jupyter("jupyterlab", tmp_path) as address:
        opened(page, address, tmp_path, "lab/tree")
        check_it_is_live_and_harmless(page)
        page.picture(tmp_path / "live.png")
        assert (tmp_path / "live.png").stat().st_size > 10_000
        light = brightness(page, f"{VIEW}.querySelector('.ct-note')", "color")
        page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.until("document.body.dataset.jpThemeLight == 'false'")
        dark = brightness(page, f"{VIEW}.querySelector('.ct-note')", "color")
        assert light < 0.4 and dark > 0.6  # the system still wants light
        tab = page.evaluate("[...window.jupyterapp.shell.widgets('main')].find((one) => one.context).id")
        page.evaluate("void window.jupyterapp.commands.execute('launcher:create')")  # another tab over it
        check_it_stands_still(page)
        page.evaluate(f"window.jupyterapp.shell.activateById({tab!r})")
        check_it_goes_on(page)
        page.evaluate(RUN)
        page.until(f"{VIEW}.textContent.includes('stopped')")
        check_it_stands_still(page)
        page.evaluate(RUN)  # closed
        page.until(f"!{VIEW}")


def test_in_notebook_7(page: Page, tmp_path: Path) -> None:
    prefer(page, "dark")
    with jupyter("notebook", tmp_path) as address:
        opened(page, address, tmp_path, "notebooks")
        check_it_is_live_and_harmless(page)
        assert brightness(page, f"{VIEW}.querySelector('.ct-note')", "color") < 0.4  # Notebook is light all the same
        other = page.call("Target.createTarget", url="about:blank")  # a tab of the browser over it
        check_it_stands_still(page)
        page.call("Target.closeTarget", **other)
        page.call("Page.bringToFront")
        check_it_goes_on(page)
        page.evaluate(RUN)
        page.until(f"{VIEW}.textContent.includes('stopped')")


def test_in_marimo(page: Page, tmp_path: Path) -> None:
    prefer(page, "dark")
    (tmp_path / "live.py").write_text(MARIMO)
    with marimo(tmp_path / "live.py") as address:
        page.call("Page.navigate", url=address)
        check_it_is_live_and_harmless(page)
        shown = page.evaluate("document.body.innerText")
        assert "org/model" in shown and "nothing compiled" in shown  # what `models()` and `track()` gave
        page.evaluate(f"{BELOW}.scrollIntoView()")
        check_it_stands_still(page)
        page.evaluate(f"{VIEW}.scrollIntoView()")
        check_it_goes_on(page)
        page.evaluate(f"{HALT}.click()")
        page.until(f"{VIEW}.textContent.includes('stopped')")
