"""Export the README's picture from the running app: the demo sandbox, in the middle of a conversion.

    python docs/picture.py [docs/overview.svg]

Nothing in it is drawn: the models, kernels and pages are the sandbox's own, only the GPU is simulated.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from cachetop.demo.sandbox import build

PAGES_SEEN = 3


async def main(out: Path) -> None:
    """Open the app, convert, wait until some pages are through, export."""
    folder = Path(tempfile.gettempdir()) / "cachetop-demo"
    sandbox = build(folder, print)
    sandbox.enter()
    from cachetop import api
    from cachetop.inventory import Inventory
    from cachetop_tui.app import CachetopApp

    compiling = sandbox.start_compiling()
    app = CachetopApp(Inventory(gpu=sandbox.gpu()), note="DEMO, GPU simulated", host="gpubox")
    try:
        async with app.run_test(size=(160, 45)) as pilot:
            app.theme = "cachetop-dark"
            job = api.convert([sandbox.document])
            for _ in range(1200):
                await pilot.pause(0.1)
                if len(job.run().pages) >= PAGES_SEEN:
                    break
            await pilot.press("right")
            await pilot.pause(0.5)
            out.write_text(app.export_screenshot(title="cachetop demo"))
            job.cancel()
    finally:
        if compiling is not None:
            compiling.terminate()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "overview.svg")))
