"""Every command of the registry is run once by its key and once by name, and what it does is looked at.

One app for all of them, brought back to where it began between two; a command without a case here fails its test.
"""

from __future__ import annotations

import asyncio
import hashlib
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from cachetop.gpu.records import Gpu, Gpus, Memory
from cachetop_tui.app import CachetopApp
from cachetop_tui.commands.registry import COMMANDS, named
from support import commands_lists, commands_runs, commands_views, pictures, runs
from support.commands_stage import CASES, SIZE, Stage
from support.gpu_process import GpuProcess, write_safetensors
from support.opening import screen, until
from support.triton_cache import key_of, write_entry

GIB = 2**30
AREAS = (commands_lists, commands_views, commands_runs)
"""Importing them fills `CASES`."""


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
