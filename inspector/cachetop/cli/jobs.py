"""`cachetop jobs`: conversions past and present, and the workers that stay resident."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING

from cachetop.cli.exits import DONE, FAILED, Refused

if TYPE_CHECKING:
    from cachetop.conversion.verdicts import JobReport


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb and its own verbs; without one it lists."""
    verb = verbs.add_parser("jobs", help="conversions, their verdicts, resident workers", description=__doc__)
    verb.add_argument("--json", action="store_true", help="one JSON object")
    verb.set_defaults(run=run, action="ls", job=None, against=None, worker=None)
    actions = verb.add_subparsers(metavar="ACTION")
    _action(actions, "ls", "list jobs and workers (the default)")
    show = _action(actions, "show", "where a job's time went, and why")
    show.add_argument("job", nargs="?", metavar="JOB", help="an id or a part of one (default: the newest)")
    show.add_argument(
        "--against", metavar="JOB", help="compare with this job (default: the last one of the same files)"
    )
    attach = _action(actions, "attach", "follow a running job, or see a finished one again")
    attach.add_argument("job", metavar="JOB")
    cancel = _action(actions, "cancel", "stop a job")
    cancel.add_argument("job", metavar="JOB")
    unload = _action(actions, "unload", "end a resident worker, or all of them")
    unload.add_argument("worker", nargs="?", metavar="WORKER")


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=words, description=words)
    # no default of its own: it would undo a --json written before the action
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object")
    action.set_defaults(action=name)
    return action


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; returns the exit code."""
    from cachetop.conversion.cancel import CannotCancel

    try:
        code: int = {"ls": _ls, "show": _show, "attach": _attach, "cancel": _cancel, "unload": _unload}[args.action](
            args
        )
    except (LookupError, ValueError) as error:
        raise Refused(str(error)) from error
    except CannotCancel as error:
        raise Refused(str(error), FAILED) from error
    return code


def _ls(args: argparse.Namespace) -> int:
    from cachetop.api import jobs
    from cachetop.base import units
    from cachetop.cli.table import emit, say, table

    found = jobs()
    if args.json:
        emit(found)
        return DONE
    if not found.jobs:
        say("There is no job yet; `cachetop convert FILE` starts one.")
    else:
        rows = [
            (_names(job.files), job.id, job.state, job.pipeline, job.device, units.duration(job.seconds))
            for job in found.jobs
        ]
        print("\n".join(table(("FILES", "JOB", "STATE", "PIPELINE", "DEVICE", "TIME"), rows, "     >")))
    if found.workers:
        rows = [
            (
                worker.id,
                str(worker.pid),
                worker.pipeline,
                worker.device,
                units.memory(worker.memory),
                "busy" if worker.busy else units.duration(worker.idle_seconds),
            )
            for worker in found.workers
        ]
        print()
        print("\n".join(table(("RESIDENT WORKER", "PID", "PIPELINE", "DEVICE", "RAM", "IDLE"), rows, " >  >>")))
    return DONE


def _show(args: argparse.Namespace) -> int:
    from cachetop.cli.table import emit
    from cachetop.conversion.report import job

    report = job(args.job, args.against)
    if args.json:
        emit(report)
    else:
        print("\n".join(_told(report)))
    return DONE


def _told(report: JobReport) -> Iterator[str]:
    from cachetop.base import units

    yield f"{report.id}  {report.state}  {_names(report.files)}"
    yield f"{report.pipeline} on {report.device}, {units.duration(report.seconds)}, {report.pages} pages"
    yield ""
    for verdict in report.verdict:
        yield f"- {verdict.message}"
    yield ""
    yield from _compared(report) if report.comparison else _alone(report)
    if report.advice:
        yield ""
    for advice in report.advice:
        yield f"> {advice.message}"
    for document in report.documents:
        yield from document.outputs


def _alone(report: JobReport) -> Iterator[str]:
    from cachetop.base import units

    for name, seconds in report.phases.items():
        yield f"  {name:<9}{units.duration(seconds):>10}"


_LETTERS = {"import": "i", "load": "A", "compile": "B", "convert": "C", "export": "e", "": "."}


def _compared(report: JobReport) -> Iterator[str]:
    """The two bars on one scale, then the phases with the reason for each difference."""
    from cachetop.base import units

    other = report.comparison
    assert other is not None
    lead = 24
    room = max(10, min(100, shutil.get_terminal_size().columns) - lead - 12)
    longest = max(sum(seconds for _, seconds in bar) for bar in other.bars) or 1.0
    names = ("this run", f"run {other.against.rpartition('-')[2]}")
    for name, start, bar, seconds in zip(names, other.start, other.bars, other.seconds, strict=True):
        yield f"  {name:<10}{start or '?':<12}{_bar(bar, longest, room)}  {units.duration(seconds)}"
    yield f"  {'':<22}i import  A load  B compile  C pages  e export  . not in a phase"
    yield ""
    yield f"  {'PHASE':<9}{'THIS':>10}{'THEN':>10}{'SAVED':>10}  WHY"
    for name, (this, that) in other.phases.items():
        times = [units.duration(seconds) if seconds is not None else "-" for seconds in (this, that)]
        gain = (that or 0.0) - (this or 0.0)
        saved = f"{'-' if gain < 0 else ''}{units.duration(abs(gain))}"
        yield f"  {name:<9}{times[0]:>10}{times[1]:>10}{saved:>10}  {other.reasons.get(name, '')}".rstrip()


def _bar(parts: tuple[tuple[str, float], ...], longest: float, room: int) -> str:
    """Letters in proportion; what happened has at least one."""
    return "".join(_LETTERS.get(name, "?") * max(1, round(seconds / longest * room)) for name, seconds in parts)


def _attach(args: argparse.Namespace) -> int:
    from cachetop.cli.follow import follow
    from cachetop.conversion.launch import attach

    return follow(attach(args.job), args.json, cancels=False)


def _cancel(args: argparse.Namespace) -> int:
    from cachetop.cli.table import emit, say
    from cachetop.conversion.launch import attach
    from cachetop.conversion.records import Jobs
    from cachetop.conversion.workers import workers

    handle = attach(args.job)
    before = handle.job()
    job = handle.cancel() or before
    if args.json:
        emit(Jobs(jobs=(job,), workers=workers()))
    elif before.state not in ("queued", "running"):
        say(f"job {job.id} has ended already: {before.state}")
    else:
        say(f"job {job.id}: {job.state}")
    return DONE


def _unload(args: argparse.Namespace) -> int:
    from cachetop.api import jobs
    from cachetop.cli.table import emit, say
    from cachetop.conversion.workers import unload

    gone = unload(args.worker)
    if args.json:
        emit(jobs())
    elif gone:
        say(f"unloaded {', '.join(gone)}")
    else:
        say("there is no resident worker")
    return DONE


def _names(files: tuple[str, ...]) -> str:
    """The first file's name, and how many more there are."""
    if not files:
        return "?"
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return PurePath(files[0]).name + more
