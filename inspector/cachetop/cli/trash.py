"""`cachetop prune trash`: what earlier prunes still hold, unlinking it now, and keeping it from being unlinked."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cachetop.cli.exits import DONE, FAILED, INTERRUPTED, NOTHING_MATCHED, Refused

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator


@contextmanager
def at_work(args: argparse.Namespace) -> Iterator[tuple[Callable[[str, int, int], None], threading.Event]]:
    """What tells on stderr how far it is, and an event that Ctrl+C sets: finish the step at hand, then stop."""
    import signal
    import threading

    cancel = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: cancel.set())
    told = sys.stderr.isatty()

    def progress(step: str, done: int, total: int) -> None:
        if told:
            print(f"\r{step} {done}{f' of {total}' if total else ' files'}\x1b[K", end="", file=sys.stderr, flush=True)

    try:
        yield progress, cancel
    finally:
        if told:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        signal.signal(signal.SIGINT, before)
        if cancel.is_set():
            args.interrupted = True


def trash(args: argparse.Namespace) -> int:
    """Empty the trash; with `--dry-run` say what it holds, with `--cancel` keep it. Returns the exit code."""
    from cachetop import locations
    from cachetop.base import units
    from cachetop.cli.table import ask, emit
    from cachetop.hub.roots import roots as hub_roots
    from cachetop.prune.records import Failed, Plan, Result
    from cachetop.prune.recover import empty_all
    from cachetop.prune.unlink import Stopped
    from cachetop.prune.waiting import look, sentences, stop
    from cachetop.prune.words import words

    roots = [one.path for one in (*hub_roots(), *locations.kernel_roots())]
    state = locations.state_dir()
    if args.dry_run or args.cancel:
        if args.cancel and (args.dry_run or args.yes or args.now):
            raise Refused("--cancel keeps what is in the trash; leave --dry-run, --yes and --now away")
        try:
            there = stop(state, roots) if args.cancel else look(state, roots)
        except OSError as error:
            raise Refused(f"the trash is not kept: {words(error)}", FAILED) from None
        said = sentences(there)
        if args.json:
            emit(Plan(notes=said))
        else:
            print("\n".join(said))
        return FAILED if args.cancel and any(one.state == "emptying" for one in there) else DONE
    if not args.yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("this deletes for good, and there is nobody to ask: add --yes")
    waiting = look(state, roots)
    if (
        waiting
        and not args.yes
        and ask(f"Empty the trash of {len(waiting)} plans for good? [y/N] ").strip().lower() not in ("y", "yes")
    ):
        return DONE
    with at_work(args) as (progress, cancel):

        def unlinking(_freed: int, names: int) -> None:
            progress("unlinking", names, 0)
            if cancel.is_set():
                raise Stopped

        try:
            gone, plans = empty_all(state, roots, unlinking)
        except Stopped:
            print("Cancelled while unlinking: `cachetop prune trash` does the rest.", file=sys.stderr)
            return INTERRUPTED
    failed = tuple(Failed(path=name, error=words(error)) for name, error in gone.errors)
    if args.json:
        emit(Result(deleted=(), failed=failed, freed=gone.freed))
    else:
        for one in failed:
            print(f"FAILED  {one.path}: {one.error}")
        count = "1 plan" if plans == 1 else f"{plans} plans"
        print(f"{count}, {units.size(gone.freed)} freed" if plans else "The trash is empty.")
    if failed:
        return FAILED
    return NOTHING_MATCHED if args.exit_code and not plans else DONE
