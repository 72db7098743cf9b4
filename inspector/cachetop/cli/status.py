"""`cachetop status`: one snapshot of models, kernels and GPUs, with what needs attention."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cachetop.base import units
from cachetop.cli.exits import DONE, FAILED

if TYPE_CHECKING:
    from cachetop.summary import Status


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb."""
    verb = verbs.add_parser("status", help="one snapshot of all three, with problems", description=__doc__)
    verb.add_argument("--json", action="store_true", help="print cachetop.status/1")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the snapshot; 1 when a cache folder could not be read."""
    from cachetop import api
    from cachetop.cli import table

    status = api.status()
    if args.json:
        table.emit(status)
    else:
        print("\n".join(report(status)))
    return FAILED if any(problem.rule == "unreadable" for problem in status.problems) else DONE


def report(status: Status) -> list[str]:
    """The snapshot as lines of plain text."""
    models, kernels, gpus = status.models, status.kernels, status.gpus
    repos = units.many(models.repos, "repo")
    lines = [
        f"cachetop on {status.host}",
        f"Models   {repos}, {units.size(models.size)} ({units.size(models.size_on_disk)} on disk)",
        f"Kernels  {units.many(kernels.entries, 'entry', 'entries')}, {units.size(kernels.size_on_disk)} on disk",
    ]
    for sm, share in kernels.by_sm.items():
        count = units.many(share.entries, "entry  " if share.entries == 1 else "entries")  # both as wide
        lines.append(f"           {sm:<10} {count:>14}  {units.size(share.size_on_disk):>9}")
    if not gpus.available:
        lines.append(f"GPU      {gpus.reason or 'not available'}")
    elif gpus.memory:
        used, total = units.memory(gpus.memory.used), units.memory(gpus.memory.total)
        lines.append(f"GPU      {gpus.count} x, {used} of {total} VRAM in use")
    else:
        lines.append(f"GPU      {gpus.count} x, memory not reported by all of them")
    for job in status.jobs:
        lines.append(
            f"Job      {job.id} {job.state}, {units.many(len(job.files), 'file')}, {job.pipeline} on {job.device}"
        )
    if status.problems:
        lines.append(f"Problems {len(status.problems)}")
        for problem in status.problems:
            lines.append(f"  {problem.rule}: {problem.subject}: {problem.message}")
            if problem.fix:
                lines.append(f"      fix: {problem.fix}")
    return lines
