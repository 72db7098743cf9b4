"""`cachetop gpus`: memory, load and processes of every GPU, and the models they hold with the evidence."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cachetop.cli.exits import DONE

if TYPE_CHECKING:
    from cachetop.gpu.records import Gpu, Gpus, HeldModel, Process

TIMEOUT = 10.0
"""Seconds to wait for a driver that does not answer."""


def add(verbs: Any) -> None:
    """Define the verb and its arguments."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "gpus",
        help="GPUs, VRAM, the processes on them, and which models those hold",
        description="Shows every GPU with its memory, load and processes, and which cached models those hold. "
        "`mapped`: the process has the weights mapped or open now; `seen-loading`: it had; `reported`: it is a worker "
        "of cachetop and said so; `command-line`: the model is named there. Without a driver it says why and exits 0.",
    )
    parser.add_argument("--json", action="store_true", help="print one cachetop.gpus/1 object")
    parser.add_argument("--pcie", action="store_true", help="also measure the throughput of the bus (40 ms a GPU)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one sample; the exit code is 0 with a driver or without."""
    from cachetop import api
    from cachetop.cli.table import emit

    gpus = api.gpus(timeout=TIMEOUT, pcie=args.pcie)
    if args.json:
        emit(gpus)
        return DONE
    if not gpus.available:
        print(gpus.reason or "The GPUs cannot be read.")
        return DONE
    print("\n".join(_report(gpus)))
    return DONE


def _report(gpus: Gpus) -> Iterator[str]:
    from cachetop.base import units

    yield f"driver {gpus.driver or '?'}"
    for gpu in gpus.gpus:
        yield ""
        yield from _gpu(gpu)
    hidden = {p.pid for gpu in gpus.gpus for p in gpu.processes if not p.inspectable}
    if hidden:
        some = units.many(len(hidden), "process", "processes")
        yield ""
        yield f"{some} not inspectable: other models than those shown may be held. Their owner or root sees more."


def _gpu(gpu: Gpu) -> Iterator[str]:
    from cachetop.base import units
    from cachetop.base.hostile import clean
    from cachetop.cli.table import table

    yield "  ".join(filter(None, (gpu.label, clean(gpu.name) if gpu.name != gpu.label else "", gpu.sm)))
    if gpu.problem:
        yield f"  problem      {gpu.problem}"
        if gpu.uuid is None:  # it never answered: there are no values, not even old ones
            return
    memory = gpu.memory
    if memory:
        kept = f", {units.memory(memory.reserved)} reserved" if memory.reserved is not None else ""
        yield (
            f"  memory       {units.memory(memory.used)} of {units.memory(memory.total)} used, "
            f"{units.memory(memory.free)} free{kept}"
        )
    else:
        yield f"  memory       ? ({gpu.unavailable.get('memory', 'not read')})"
        if gpu.shared and gpu.processes and gpu.in_use is not None:
            yield f"               of it {units.memory(gpu.in_use)} are held by the processes below"
    if gpu.mig is None:
        yield from _whole(gpu)
    if "processes" in gpu.unavailable:
        yield f"  processes    ? ({gpu.unavailable['processes']})"
    elif not gpu.processes:
        yield "  processes    none"
    else:
        head = ("COMMAND", "PID", "USER", "MEMORY", "MODELS")
        yield from ("  " + line for line in table(head, map(_row, gpu.processes), "<><><"))
    if gpu.unattributed is None:
        yield f"  other        ? ({gpu.unavailable.get('unattributed', 'not read')})"
    else:
        what = "process or MIG instance" if gpu.instances else "process"
        yield f"  other        {units.memory(gpu.unattributed)} in use that no listed {what} accounts for"


def _whole(gpu: Gpu) -> Iterator[str]:
    """What the driver reports of a whole GPU and not of its MIG instances."""
    from cachetop.base import units
    from cachetop.gpu.reasons import NOT_SHOWN

    yield f"  utilization  {_number(gpu, 'utilization', '%')}"
    yield f"  temperature  {_number(gpu, 'temperature', 'C')}"
    limit = f" of {gpu.power_limit:.0f} W" if gpu.power_limit is not None else ""
    yield f"  power        {_number(gpu, 'power', 'W')}{limit if gpu.power is not None else ''}"
    if gpu.throttle is None:
        yield f"  clocks       ? ({gpu.unavailable.get('throttle', 'not read')})"
    elif gpu.throttle:
        yield f"  clocks       held down: {', '.join(gpu.throttle)}"
    if gpu.pcie is not None:
        yield f"  PCIe         {units.size(gpu.pcie.rx)}/s to the GPU, {units.size(gpu.pcie.tx)}/s from it"
    elif gpu.unavailable.get("pcie") != NOT_SHOWN:
        yield f"  PCIe         ? ({gpu.unavailable.get('pcie', 'not read')})"
    if gpu.instances is not None:
        yield f"  MIG          on, {gpu.instances} instance{'' if gpu.instances == 1 else 's'}"


def _number(gpu: Gpu, name: str, unit: str) -> str:
    value = getattr(gpu, name)
    return f"? ({gpu.unavailable.get(name, 'not read')})" if value is None else f"{value:.0f} {unit}"


def _row(process: Process) -> tuple[str, ...]:
    from cachetop.base import units

    about = ", ".join(filter(None, (process.note, _where(process.container))))
    command = process.command or "?"
    models = "; ".join(map(_model, process.models)) or ("none seen" if process.inspectable else "?")
    return (
        f"{command} ({about})" if about else command,
        str(process.pid),
        process.user or "?",
        units.memory(process.memory),
        models,
    )


def _where(container: str | None) -> str:
    """The container or Slurm job of a process in words, empty without one."""
    return "" if not container else container if container.startswith("slurm ") else f"container {container}"


def _model(model: HeldModel) -> str:
    from cachetop.base import units

    revision = f"@{model.revision[:8]}" if model.revision else ""
    size = f" {units.size(model.bytes)}" if model.bytes is not None else ""
    age = units.age(model.seen)
    when = f" {age} ago" if model.evidence in ("seen-loading", "reported") and age != "now" else ""
    return f"{model.repo}{revision}{size} ({model.evidence}{when})"
