"""The process of a GPU in the app: signals after asking, and its document that follows the running inventory."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.screen import ModalScreen

from cachetop import locations
from cachetop.gpu.records import Gpu, Gpus, Instance, Memory, Process
from cachetop.inventory import Inventory
from cachetop_tui import app as app_module
from cachetop_tui.app import CachetopApp
from cachetop_tui.commands import registry
from cachetop_tui.commands.palette import Commands
from cachetop_tui.dialogs.keys import lines as keys_lines
from cachetop_tui.dialogs.signal import SignalDialog
from cachetop_tui.workbench import opening
from cachetop_tui.workbench.picture import Picture
from support import fake_nvml, pictures
from support.gpu_process import GpuProcess, scenario_with, write_safetensors
from support.opening import opened, screen, until
from support.running import running_job, tell

MIB = 2**20


def gpu_with(*processes: Process, **more: Any) -> Gpu:
    fields: dict[str, Any] = {
        "index": 0, "uuid": "GPU-0", "name": "NVIDIA H100", "sm": "sm_90", "utilization": 1, "temperature": 40,
        "memory": Memory(total=80 * 2**30, used=4 * 2**30, free=76 * 2**30, reserved=0), "power": 90.0,
        "processes": processes, "unattributed": 0,
    }  # fmt: skip
    return Gpu(**{**fields, **more})


def source_of(*gpus: Gpu) -> pictures.FakeInventory:
    return pictures.FakeInventory(gpus=Gpus(available=True, driver="580", gpus=gpus, time=pictures.NOW))


def cuda_user(tmp_path: Path) -> GpuProcess:
    """A process that a container, too, believes to use a GPU."""
    library = tmp_path / "libcuda.so.1"
    write_safetensors(library)
    child = GpuProcess()
    child.map(library)
    return child


def said(app: CachetopApp) -> list[str]:
    return [notification.message for notification in app._notifications]


async def to_process(app: CachetopApp, pilot: Any) -> None:
    """Put the cursor of the GPU pane on the first process."""
    await until(pilot, lambda: app.overview.gpus.gpus is not None)
    await pilot.press("3")
    await until(pilot, lambda: app.overview.pane == "gpus")
    for _ in range(12):
        if app.overview.gpus.chosen is not None:
            return
        await pilot.press("down")
    raise AssertionError("no process in the pane")


async def test_a_signal_is_sent_to_the_process_under_the_cursor_after_asking(tmp_path: Path) -> None:
    with cuda_user(tmp_path) as child:
        async with opened((120, 40), source_of(gpu_with(child.row()))) as (app, pilot):
            await to_process(app, pilot)
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, SignalDialog))
            await pilot.press("left", "enter")
            await until(pilot, lambda: not isinstance(app.screen, ModalScreen))
            assert said(app) == [f"SIGTERM was sent to process {child.pid}."]
        assert child.wait() == -signal.SIGTERM


async def test_why_no_signal_is_sent_is_said() -> None:
    row = Process(pid=4242, user="ana", command="vllm", memory=2**30, ticks=5)
    async with opened((120, 40), source_of(gpu_with(row, simulated=True))) as (app, pilot):
        await to_process(app, pilot)
        await pilot.press("s")
        await until(pilot, lambda: len(said(app)) == 1)
        assert "simulated" in said(app)[0]
        await pilot.press("1", "s")
        await until(pilot, lambda: len(said(app)) == 2)
        assert "No process" in said(app)[1]
        assert not isinstance(app.screen, ModalScreen)


async def test_in_read_only_mode_there_is_no_such_command(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Process(pid=4242, user="ana", command="vllm", memory=2**30, ticks=5)

    def listed() -> list[bool]:
        rows = keys_lines([one for one in registry.COMMANDS if one.available])
        return [
            ("s", "signal") in registry.hints("gpus"),
            any("SIGTERM" in text for text, _ in rows),
        ]

    assert listed() == [True, True]
    assert ("s", "signal") not in registry.hints("document")
    async with opened((120, 40), source_of(gpu_with(row))) as (app, pilot):
        await to_process(app, pilot)
        assert "process.signal" in {command.id for command in Commands(app.screen)._here}
        monkeypatch.setenv("CACHETOP_READ_ONLY", "1")
        assert listed() == [False, False]
        assert "process.signal" not in {command.id for command in Commands(app.screen)._here}
        for key in ("s", "alt+i"):
            await pilot.press(key)
        await pilot.pause(0.1)
        assert not isinstance(app.screen, ModalScreen) and said(app) == []
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, ModalScreen))
        assert "SIGTERM" not in screen(app)


def test_the_document_of_a_mig_process_is_its_own_and_is_found_again() -> None:
    row = Process(pid=7, user="ana", command="x", memory=MIB, ticks=5)
    whole = gpu_with(instances=1)
    part = gpu_with(row, uuid="MIG-3", mig=Instance(index=3, gpu_instance=9, compute_instance=0))
    picture = Picture()
    picture.gpus = Gpus(available=True, gpus=(whole, part))
    document = opening.process_document(part, row)
    assert document.trail[:2] == ("gpu", "GPU 0 MIG 3")
    assert opening.process_of(document, picture) == (part, row)
    later = Process(pid=7, user="ana", command="x", memory=MIB, ticks=6)
    picture.gpus = Gpus(available=True, gpus=(whole, gpu_with(later, uuid="MIG-3", mig=part.mig)))
    assert opening.process_of(document, picture) is None, "another process has that pid now"


async def shown(pilot: Any, app: CachetopApp, true: Callable[[str], bool]) -> None:
    try:
        await until(pilot, lambda: true(screen(app)))
    except AssertionError:
        raise AssertionError(screen(app)) from None


async def test_the_document_follows_the_running_inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real process on the fake driver: its course of VRAM is kept, and what is in front is read again."""
    monkeypatch.setattr(app_module, "REFRESH", 0.2)
    with cuda_user(tmp_path) as child, fake_nvml.driver(scenario_with({"pid": child.pid, "used": 1024 * MIB})) as fake:
        inventory = Inventory(hub=[locations.hub()], kernels=[], interval=0.1)
        app = CachetopApp(inventory, host="gpubox")
        async with app.run_test(size=(120, 45)) as pilot:
            await to_process(app, pilot)
            await pilot.press("enter")
            await shown(pilot, app, lambda text: "1.00 GiB all the time" in text)
            first = app.overview.tabs.tabs[0].record
            (device,) = fake.scenario["devices"]
            device["processes"] = [{"pid": child.pid, "used": 2048 * MIB}]
            await shown(pilot, app, lambda text: "peak 2.00 GiB" in text and "VRAM            2.00 GiB" in text)
            assert app.overview.tabs.tabs[0].record is not first
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, SignalDialog))
            await pilot.press("escape")
            device["processes"] = []
            await shown(pilot, app, lambda text: "not on this GPU any more" in text)


async def test_what_a_worker_reports_stands_in_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the events of a running job through the inventory to the document."""
    monkeypatch.setattr(app_module, "REFRESH", 0.2)
    with cuda_user(tmp_path) as child, running_job(child.pid) as events:
        scenario = scenario_with({"pid": child.pid, "used": 3072 * MIB})
        uuid = scenario["devices"][0]["uuid"]
        loaded = {"event": "model-loaded", "repo": "org/m", "path": None, "bytes": MIB, "seconds": 1.0}
        tell(events, {"event": "job-started", "files": ["/a.pdf"], "start": "cold"},
             {"event": "device", "chosen": "cuda:0", "checks": []},
             {"event": "vram", "gpu": 0, "used": 1, "allocated": 1536 * MIB, "reserved": 2048 * MIB,
              "uuid": uuid})  # fmt: skip
        with fake_nvml.driver(scenario):
            app = CachetopApp(Inventory(hub=[locations.hub()], kernels=[], interval=0.1), host="gpubox")
            async with app.run_test(size=(120, 45)) as pilot:
                await to_process(app, pilot)
                await pilot.press("enter")
                await shown(pilot, app, lambda text: part(text, "weights") == "? of 1.50 GiB")
                text = screen(app)
                assert part(text, "activations").startswith("? ")
                assert part(text, "cache").startswith("512 MiB")
                assert part(text, "CUDA context").startswith("1.00 GiB")
                tell(events, {**loaded, "device": "cuda:0", "vram": 1024 * MIB})
                await shown(pilot, app, lambda text: part(text, "weights").startswith("1.00 GiB in"))
                assert part(screen(app), "activations").startswith("512 MiB")


def part(text: str, label: str) -> str:
    """The first words after a label of the document."""
    found = next((line for line in text.splitlines() if f"  {label}  " in line), "")
    return " ".join(found.partition(f"  {label}  ")[2].split()[:4])
