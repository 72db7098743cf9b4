"""`cachetop watch`: what happens in the caches, on the GPUs and in conversions, as it happens."""

from __future__ import annotations

import argparse
import json
import queue
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cachetop.inventory import Update


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb."""
    verb = verbs.add_parser("watch", help="events as they happen", description=__doc__)
    verb.add_argument("--json", action="store_true", help="JSON Lines, one event a line")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print events until interrupted, which is the only end: the code is then 130."""
    from cachetop.cli.table import say
    from cachetop.inventory import Inventory
    from cachetop.inventory.changes import Changes

    updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
    inventory = Inventory()
    inventory.subscribe(updates.put)
    inventory.start()
    changes = Changes()
    say("Watching. Ctrl-C ends it; conversions go on.")
    seq = 0
    try:
        while True:
            for event in changes.of(updates.get()):
                seq += 1
                # a job's own events keep their time and job; `seq` counts this stream's lines
                whole = {**event, "seq": seq, "time": event.get("time", time.time())}
                print(json.dumps(whole) if args.json else line(whole), flush=True)
    finally:
        inventory.stop()


def line(event: dict[str, Any]) -> str:
    """One event for people."""
    from cachetop.base.hostile import clean
    from cachetop.base.units import clock

    told = " ".join(
        f"{name}={clean(str(value), 200)}"
        for name, value in event.items()
        if name not in ("event", "seq", "time") and value not in (None, [], {})
    )
    return f"{clock(event['time'])}  {event['event']:<18} {told}"
