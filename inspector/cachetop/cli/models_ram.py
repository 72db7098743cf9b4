"""`cachetop models warm REPO...` and `models drop REPO...`: into RAM, and out of it, with what was there before."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cachetop.base import units
from cachetop.cli import models_show
from cachetop.cli.exits import DONE, FAILED, INTERRUPTED, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachetop.hub.records import Repo
    from cachetop.hub.scan import Scanner

_ABOUT = {
    "warm": "Read repos so that their content is in RAM and the next start finds it there. Refused above the available "
    "memory.",
    "drop": "Ask the kernel to let go of what of repos is in RAM, so that the next start is cold. Nothing on disk "
    "changes; what a running process has mapped stays. Asks first.",
}


def add(words: argparse._SubParsersAction[Any]) -> None:
    """Define both words."""
    for word, about in _ABOUT.items():
        summary = "read repos into RAM" if word == "warm" else "let go of repos in RAM"
        parser = words.add_parser(word, help=summary, description=about)
        parser.add_argument("repos", nargs="+", metavar="REPO[@REVISION]", help="as `cachetop models` names it")
        if word == "drop":
            parser.add_argument("--yes", action="store_true", help="do not ask")
        models_show.add_roots(parser, "ram_")
        parser.add_argument("--json", dest="ram_json", action="store_true", help="one JSON object on stdout")
        parser.set_defaults(run=run, action=word)


def run(args: argparse.Namespace) -> int:
    """Do it, and say what was in RAM before and is now."""
    import signal

    from cachetop.base.readonly import is_read_only
    from cachetop.cli.table import emit
    from cachetop.hub import ram
    from cachetop.hub.facts import moved

    if is_read_only():
        raise Refused("read-only: what is in RAM is left as it is")
    scanner, wrong = models_show.scanner_of([*args.root, *args.ram_root])
    chosen = [one for name in args.repos for one in _find(scanner, name)]
    as_json = args.json or args.ram_json
    if args.action == "drop" and not args.yes and not _agreed(chosen, as_json):
        return DONE
    act = ram.warm if args.action == "warm" else ram.drop
    bar = sys.stderr if sys.stderr.isatty() else None
    outcomes, refused = [], []
    interrupted: list[bool] = []

    def progress(done: int, total: int) -> bool:
        if bar:
            print(f"\r\x1b[K{units.size(done)} of {units.size(total)}", end="", file=bar, flush=True)
        return not interrupted

    before = signal.signal(signal.SIGINT, lambda *_: interrupted.append(True))  # what was done so far is still said
    try:
        for repo, commit in chosen:
            if interrupted:
                break
            try:
                outcomes.append(act(repo, scanner, confirmed=True, progress=progress, commit=commit))
            except ram.Refused as reason:
                refused.append(str(reason))
    finally:
        signal.signal(signal.SIGINT, before)
        if bar:
            print("\r\x1b[K", end="", file=bar, flush=True)
    if as_json:
        emit(ram.Moved(action=args.action, outcomes=tuple(outcomes), refused=tuple(refused)))
    else:
        print("\n".join(map(moved, outcomes)), end="\n" if outcomes else "")
    for sentence in refused:
        print(f"cachetop: {sentence}", file=sys.stderr)
    if interrupted:
        return INTERRUPTED
    return FAILED if refused or wrong or any(one.skipped for one in outcomes) else DONE


def _find(scanner: Scanner, name: str) -> list[tuple[Repo, str | None]]:
    """The repos so called, each with the commit that was named, if one was."""
    from cachetop.hub.about import described

    name, _, revision = name.partition("@")
    found: list[tuple[Repo, str | None]] = []
    for repo in models_show.find_all(scanner, name):
        try:
            chosen = described(repo, revision) if revision else None
        except LookupError as error:
            raise Refused(f"{error.args[0]}; `cachetop models show {name}` lists them.", FAILED) from None
        found.append((repo, None if chosen is None else chosen.commit))
    return found


def _agreed(chosen: Sequence[tuple[Repo, str | None]], as_json: bool) -> bool:
    """Whether the person agrees. Raises Refused where there is nobody to ask."""
    from cachetop.cli.table import ask

    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("this makes the next start slow, and there is nobody to ask: add --yes")
    whom = chosen[0][0].id if len(chosen) == 1 else units.many(len(chosen), "repo")
    print("Nothing on disk changes; what a running process has mapped stays. The next start reads from disk.")
    return ask(f"Let go of {whom} in RAM? [y/N] ").strip().lower() in ("y", "yes")
