"""`cachetop demo`: a sandbox that it builds itself, with real small models and kernels and a PDF to convert.

In a terminal the app opens on it; without one, or with `--once`, this module prints what the sandbox holds. The
app calls `prepare` and then opens.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cachetop.cli.exits import DONE, FAILED, Refused

if TYPE_CHECKING:
    from cachetop.demo.sandbox import Sandbox


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb."""
    verb = verbs.add_parser("demo", help="the app on a sandbox that it builds itself", description=__doc__)
    verb.add_argument(
        "--folder",
        metavar="DIR",
        help="where the sandbox lies: a new or empty folder, or a sandbox from before "
        "(default: demo, in the state folder). It stays there and is used again; remove it when you like",
    )
    verb.add_argument("--once", action="store_true", help="print what the sandbox holds instead of opening the app")
    verb.set_defaults(run=run)


def prepare(args: argparse.Namespace) -> Sandbox:
    """Build or complete the sandbox, narrating on stderr, and move this process into it.

    Raises Refused when the folder cannot be used.
    """
    from cachetop.cli.table import say
    from cachetop.demo.sandbox import build

    try:
        sandbox = build(Path(args.folder) if args.folder else None, lambda line: say(f"DEMO  {line}"))
    except ValueError as error:
        raise Refused(str(error)) from error
    sandbox.enter()
    return sandbox


def run(args: argparse.Namespace) -> int:
    """Print what the sandbox holds; 1 when a part of it could not be made."""
    from cachetop import api
    from cachetop.base.hostile import show
    from cachetop.cli import status
    from cachetop.gpu.sampler import sample_once

    sandbox = prepare(args)
    gpus = sample_once(sandbox.gpu())
    print(f"DEMO  Everything below is in {show(sandbox.folder)}; nothing outside it is touched.")
    for note in (*sandbox.notes, "GPUs that do not exist: simulated, as in the app"):
        print(f"DEMO  {note}")
    print("\n".join(f"DEMO  {line}" for line in status.report(api.status(gpus_now=gpus))))
    return DONE if sandbox.whole else FAILED
