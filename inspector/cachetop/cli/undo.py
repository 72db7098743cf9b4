"""`cachetop undo`: bring back what the newest prune deleted, while the trash holds it."""

from __future__ import annotations

import argparse
from typing import Any

from cachetop.cli.exits import DONE, FAILED, Refused


def add(verbs: argparse._SubParsersAction[Any]) -> None:
    """Define the verb and its arguments."""
    parser = verbs.add_parser(
        "undo",
        help="bring back what the newest prune deleted, while the trash holds it",
        description="Bring back the newest executed plan, or PLAN. What exists again meanwhile is left alone.",
    )
    parser.add_argument("plan", nargs="?", metavar="PLAN", help="a plan's id, as prune printed it")
    parser.add_argument("--json", action="store_true", help="print one cachetop.undo/1 object")
    parser.add_argument("--read-only", action="store_true", help="refuse to change anything")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Bring it back; 1 when there is nothing to bring back or not all of it came."""
    from cachetop import locations
    from cachetop.base.hostile import clean
    from cachetop.cli.prune import refuse_read_only
    from cachetop.cli.table import emit, say
    from cachetop.prune.recover import recover
    from cachetop.prune.undo import NothingToUndo, undo

    refuse_read_only(args.read_only)
    state = locations.state_dir()
    for sentence in recover(state):
        say(sentence)
    try:
        done = undo(state, args.plan)
    except NothingToUndo as nothing:
        raise Refused(str(nothing), FAILED) from None
    except OSError as error:
        raise Refused(f"the journals below {clean(state)} cannot be used: {error.strerror}", FAILED) from None
    if args.json:
        emit(done)
    else:
        for failed in done.failed:
            print(f"FAILED  {failed.path}: {failed.error}")
        for skipped in done.skipped:
            print(f"left    {skipped.path}: {skipped.reason}")
        count = "1 item is" if len(done.restored) == 1 else f"{len(done.restored)} items are"
        print(f"{count} back (plan {done.id})")
    return FAILED if done.failed else DONE
