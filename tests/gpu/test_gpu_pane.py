"""The GPU pane: memory that adds up, MIG instances, marks on the history line, where a process runs."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from cachetop import locations
from cachetop.conversion.records import Job, KernelSeen, Run
from cachetop.gpu.peaks import Peaks
from cachetop.gpu.processes import Processes
from cachetop.gpu.records import Allocator, Gpu, Gpus, HeldModel, Instance, Memory, Process
from cachetop.gpu.source import NvmlSource
from cachetop.gpu.xid import describe
from cachetop.inventory import Inventory
from cachetop_tui.paint import Canvas
from cachetop_tui.panes import gpu, gpu_data, gpu_marks
from cachetop_tui.workbench.status import _gpu
from support import fake_nvml, pictures
from support.opening import opened, screen, until
from support.stage_app import StageApp

NOW = 1_000_000.0
MIB = 2**20
GIB = 2**30


def model(repo: str, evidence: str = "mapped", seen: float = NOW) -> HeldModel:
    return HeldModel(repo=repo, revision=None, bytes=300 * MIB, evidence=evidence, seen=seen)


def device(*processes: Process, **more: Any) -> Gpu:
    used = 8 * GIB
    known = sum(process.memory or 0 for process in processes)
    fields: dict[str, Any] = {
        "index": 0, "uuid": "GPU-0", "name": "NVIDIA H100", "sm": "sm_90", "utilization": 61, "temperature": 54,
        "memory": Memory(total=80 * GIB, used=used, free=71 * GIB, reserved=1 * GIB), "power": 312.0,
        "processes": processes, "unattributed": used - known, "peak": 20 * GIB, "throttle": (),
    }  # fmt: skip
    return Gpu(**{**fields, **more})


def process(pid: int = 7, **more: Any) -> Process:
    return Process(**{"pid": pid, "user": "ana", "command": "vllm serve", "memory": 5 * GIB, **more})


def sample(*gpus: Gpu, moment: float = NOW) -> Gpus:
    return Gpus(available=True, driver="580", gpus=gpus, time=moment)


def texts(gpus: Gpus, width: int = 78, height: int = 60, view: gpu.View | None = None) -> list[str]:
    out = []
    for _, line in gpu.lines(gpus, width, height, view or gpu.View(), NOW):
        canvas = Canvas(width, 1)
        line.paint(canvas)
        out.append(canvas.text()[0])
    return out


def one(lines: list[str], part: str) -> str:
    found = [line for line in lines if part in line]
    assert found, f"{part!r} is in none of\n" + "\n".join(lines)
    return found[0]


def fake(scenario: Any) -> Gpus:
    with fake_nvml.driver(scenario):
        source = NvmlSource(None, Processes(False), pci="/nonexistent")
        source.open()
        return msgspec.structs.replace(source.sample(), time=NOW)


def test_free_peak_reserved_and_why_the_clocks_are_held_down() -> None:
    lines = texts(sample(device(process(), throttle=("power-cap", "thermal"))), width=100)
    assert re.search(r"free 71\.0 GiB  peak 20\.0 GiB  reserved 1\.00 GiB", one(lines, "free 71"))
    assert one(lines, "free 71").rstrip().endswith("held down: power-cap, thermal")
    short = texts(sample(device(process(), throttle=("power-cap",))), height=5)
    assert "power-cap" in one(short, "busy")
    assert "held down" not in "".join(texts(sample(device(process()))))


def test_the_parts_and_the_rest_add_up_to_what_is_used() -> None:
    one_gpu = device(process(1, memory=5 * GIB), process(2, memory=2 * GIB))
    lines = texts(sample(one_gpu))
    numbers = [float(found) for line in lines if "free" not in line for found in re.findall(r" ([\d.]+) GiB *$", line)]
    assert one_gpu.memory is not None and sum(numbers) == one_gpu.memory.used / GIB
    silent = device(
        process(memory=None), unattributed=None, unavailable={"unattributed": "the driver does not say how much"}
    )
    shown = texts(sample(silent))
    assert one(shown, "unattributed").rstrip().endswith("?") and one(shown, "does not say how much")


def test_a_process_says_its_container_or_slurm_job_and_its_allocator() -> None:
    row = process(
        container="0123456789ab", memory=3 * GIB, context=512 * MIB,
        allocator=Allocator(allocated=2 * GIB, reserved=int(2.5 * GIB), seen=NOW),
    )  # fmt: skip
    lines = texts(sample(device(row, process(8, container="slurm job 4711"))))
    assert one(lines, "container 0123456789ab") and one(lines, "└ slurm job 4711")
    assert one(lines, "tensors 2.00 GiB of 2.50 GiB allocated  CUDA context 512 MiB")


def test_how_many_processes_cannot_be_inspected_stands_in_the_header() -> None:
    gpus = sample(device(process(1, inspectable=False), process(2)), device(process(1, inspectable=False), index=1))
    assert "1 process not inspectable" in gpu.headers(gpus, 80, False)[0].text
    assert "not inspectable" not in gpu.headers(sample(device(process())), 80, False)[0].text


def test_mig_instances_are_parts_of_their_gpu_and_rows_of_their_own() -> None:
    lines = texts(fake("mig"))
    assert "2 MIG instances" in one(lines, "GPU 0  A100")
    assert one(lines, "GPU 0 MIG 3  A100-SXM4-40GB MIG 1g.5gb") and one(lines, "2.00 of 4.75 GiB")
    assert re.match(r" █0█.?█", lines[2])
    keys = [key for key, _ in gpu.lines(fake("mig"), 78, 60, gpu.View(), NOW)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("height", range(1, 40, 3))
@pytest.mark.parametrize("scenario", ["mig", "unified_memory", "two_gpus", "lost_from_start"])
def test_every_gpu_is_there_at_every_height_and_width(scenario: str, height: int) -> None:
    gpus = fake(scenario)
    for width in (40, 58, 78, 158):
        lines = gpu.lines(gpus, width, height, gpu.View(), NOW)
        assert len({key for key, _ in lines}) == len(lines)
        assert {key.partition("\0")[0] for key, _ in lines} >= {gpu_data.place(one) for one in gpus.gpus}


def test_a_gpu_without_memory_of_its_own_shows_the_ram_it_shares() -> None:
    lines = texts(fake("unified_memory"))
    assert re.search(r"512 MiB of [\d.]+ GiB RAM", one(lines, "RAM"))
    assert one(lines, "shares the system's RAM")


def test_a_model_that_comes_is_marked_and_one_that_was_there_is_not() -> None:
    view = gpu.View()
    old = process(1, models=(model("org/old"),))
    for moment, row in (
        (NOW - 40, old),
        (NOW - 20, msgspec.structs.replace(old, models=(model("org/old"), model("org/new")))),
        (NOW, msgspec.structs.replace(old, models=(model("org/new", "seen-loading"), model("x/y", "command-line")))),
    ):
        gpus = sample(device(row), moment=moment)
        view.history.note(gpus)
        view.marks.note(gpus)
    assert [(event.time, event.kind, event.text) for event in view.marks.events] == [(NOW - 20, "model", "new")]
    marks = one(texts(gpus, view=view), "▲")
    assert "new loaded" in marks and marks.index("▲") == 1 + int(40 / 60 * (78 - 14))
    later = sample(device(row), moment=NOW + 61)
    view.marks.note(later)
    assert view.marks.events == ()


def test_kernels_that_a_run_compiled_on_a_gpu_are_marked() -> None:
    job = Job(id="1", state="running", files=(), pipeline="auto", device="cuda", started=NOW, seconds=None, folder="")
    kernels = tuple(
        KernelSeen(cache="triton", key="K", name=name, sm="sm_90", milliseconds=5, hit=hit, time=NOW - 5)
        for name, hit in (("fused_mm", False), ("fused_add", True))
    )
    run = Run(job=job, device="cuda:0", kernels=kernels)
    on_cpu = Run(job=job, device="cpu", kernels=kernels)
    assert [event.text for event in gpu_marks.compiled_in([run, on_cpu])] == ["fused_mm"]
    view = gpu.View()
    view.marks.add(gpu_marks.compiled_in([run]), NOW)
    assert not view.marks.add(gpu_marks.compiled_in([run]), NOW)
    assert "fused_mm compiled" in one(texts(sample(device()), view=view), "●")


async def test_the_pane_knows_the_process_under_the_cursor() -> None:
    pane = gpu.GpuPane(lambda: NOW)
    async with StageApp(pane).run_test(size=(80, 30)) as pilot:
        pane.show(sample(device(process(7, models=(model("a/b"),)), process(9, memory=GIB))))
        pane.focus()
        seen = []
        for _ in range(20):
            await pilot.press("down")
            chosen = pane.chosen
            seen.append(chosen[1].pid if chosen else None)
        assert [pid for pid in dict.fromkeys(seen) if pid] == [7, 9] and seen.count(7) == 2


def test_instances_have_keys_and_labels_of_their_own() -> None:
    row = device(mig=Instance(index=3, gpu_instance=9, compute_instance=0), uuid=None)
    assert (row.label, row.key, gpu_data.place(row)) == ("GPU 0 MIG 3", "GPU 0 MIG 3", "0.3")


def test_little_memory_is_not_zero_gib() -> None:
    little = device(memory=Memory(total=24 * GIB, used=4 * MIB, free=20 * GIB, reserved=0), unattributed=4 * MIB)
    assert gpu_data.amount(little) == "4 MiB of 24.0 GiB"


async def test_mig_instances_have_their_own_branch_and_are_not_counted_as_gpus() -> None:
    with fake_nvml.driver("mig"):
        inventory = Inventory(hub=[locations.hub()], kernels=[], interval=0.05)
        async with opened((160, 45), inventory) as (app, pilot):
            await until(pilot, lambda: app.overview.gpus.gpus is not None)
            await pilot.press("3")
            await until(pilot, lambda: any("GPU 0 MIG 3" in line[:36] for line in screen(app).splitlines()))
            lines = screen(app).splitlines()
    side = [line[:36] for line in lines]
    assert [line for line in side if "GPU 0 MIG 0" in line] and [line for line in side if "GPU 0 MIG 3" in line]
    assert lines[-1].count("GPU 0") == 1 and lines[-1].count("GPU 1") == 1


def test_a_gpu_that_is_lost_says_so_in_the_status_bar() -> None:
    assert "no answer" in _gpu(device(problem="GPU 0 does not answer: it has fallen off the bus."), long=True)


def test_the_newest_error_stands_on_its_gpu_with_what_to_do() -> None:
    errors = tuple(describe(code, NOW) for code in (31, 79))
    wide = texts(sample(device(process(), xids=errors)), width=100)
    assert "and 1 error before it" in one(wide, "Xid 79") and "Reboot" in "".join(wide)
    assert "Reboot" not in "".join(texts(sample(device(process(), xids=errors)), width=100, height=6))


def test_a_kernel_is_marked_on_the_gpus_that_it_runs_on() -> None:
    view = gpu.View()
    entries = [pictures.entry("triton", name, sm, age=5) for name, sm in (("mine", "sm_90a"), ("other", "sm_75"))]
    view.marks.add(gpu_marks.compiled(entries), pictures.NOW)
    assert [event.text for event in view.marks.of("GPU-0", "sm_90")] == ["mine"]
    assert [event.text for event in view.marks.of("GPU-1", "sm_75")] == ["other"]
    assert len(view.marks.of("GPU-2", None)) == 2, "of a GPU whose SM is unknown nothing can be left out"


def test_the_history_of_a_gpu_that_shares_the_ram_is_that_of_its_processes() -> None:
    view = gpu.View()
    with fake_nvml.driver("unified_memory") as driver:
        source, peaks = NvmlSource(None, Processes(False), pci="/nonexistent"), Peaks()
        source.open()
        for moment, held in ((NOW - 30, 512 * MIB), (NOW - 10, 900 * MIB), (NOW, 700 * MIB)):
            driver.scenario["devices"][0]["processes"][0]["used"] = held
            gpus = msgspec.structs.replace(peaks.note(source.sample()), time=moment)
            view.history.note(gpus)
    lines = texts(gpus, view=view, width=120)
    assert "peak 900 MiB" in one(lines, "shares the system's RAM")
    assert one(lines, "700 MiB of") and one(lines, "900 MiB ") and one(lines, "512 MiB")
    assert "700 MiB of" in "".join(_gpu(gpus.gpus[0], long=True))
    unknown = msgspec.structs.replace(
        gpus.gpus[0], processes=(), unavailable={"processes": "the driver does not let this user read it"}
    )
    assert unknown.in_use is None and "?" in "".join(_gpu(unknown, long=True))


def test_where_a_mark_has_little_room_the_name_goes_before_the_word() -> None:
    view = gpu.View()
    events = [gpu_marks.Event(NOW - ago, "kernel", "gelu_forward") for ago in (1, 20)]
    view.history.note(sample(device()))
    view.marks.add(events, NOW)
    assert "gelu_forward compiled" in "".join(texts(sample(device()), width=100, view=view))
    narrow = one(texts(sample(device()), width=60, view=view), "●")
    assert "gelu_forward" in narrow and "compiled" not in narrow


def test_the_short_bars_of_several_gpus_end_below_each_other() -> None:
    full, idle = device(), device(index=1, uuid="GPU-1", utilization=None, peak=None, unattributed=12 * MIB,
                                  memory=Memory(total=80 * GIB, used=12 * MIB, free=80 * GIB, reserved=0))  # fmt: skip
    first, second = (line for line in texts(sample(full, idle), height=4) if " of 80.0 GiB" in line)
    assert first.index(" of 80.0 GiB") == second.index(" of 80.0 GiB")
