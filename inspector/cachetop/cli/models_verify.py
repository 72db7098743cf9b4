"""`cachetop models verify [REPO]...`: are the contents what their names say? Offline."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, TextIO

from cachetop.base import units
from cachetop.cli import models_show
from cachetop.cli.exits import DONE, FAILED, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachetop.hub.checking import Checked
    from cachetop.hub.records import Repo
    from cachetop.hub.verify import Progress, Verification, Verifier

_NAMED = 5
"""Contents without a checksum that are named."""


def add(words: argparse._SubParsersAction[Any]) -> None:
    """Define `models verify`."""
    parser = words.add_parser(
        "verify",
        help="offline checksums",
        description="Compute the checksum of every content and hold it against its name: sha256 of large files, git's "
        "sha1 of small ones. Nothing is downloaded. What is wrong is told at once, and is a problem of its repo until "
        "the content changes. What was sound is not read again while its inode, time and size stay the same. "
        "Exit code 1 when something is damaged or could not be read.",
    )
    parser.add_argument("repos", nargs="*", metavar="REPO", help="default: all")
    parser.add_argument("--afresh", action="store_true", help="read again what was found sound before")
    models_show.add_roots(parser, "verify_")
    parser.add_argument("--json", dest="verify_json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the repos; what is wrong is told as it is found."""
    from cachetop import locations
    from cachetop.cli.table import emit, say
    from cachetop.hub.verify import Verifier

    scanner, wrong = models_show.scanner_of([*args.root, *args.verify_root])
    models = scanner.scan()
    for root in models.roots:
        if root.problem:
            wrong = True
            print(f"cachetop: {root.problem}", file=sys.stderr)
    repos = [repo for name in args.repos for repo in models_show.find_all(scanner, name)] or list(models.repos)
    verifier = Verifier(scanner, locations.state_dir())
    as_json = args.json or args.verify_json
    said = _Narrator(sys.stderr if as_json else sys.stdout, sys.stderr if sys.stderr.isatty() else None)
    found, interrupted = _until_interrupted(verifier, repos, said, args.afresh)
    said.clear()
    if as_json:
        emit(found)
    else:
        print("\n".join([*([""] if said.told else []), report(found, len(repos))]))
    if found.unkept:
        say(found.unkept)
    if interrupted:
        return INTERRUPTED
    return FAILED if found.damaged or found.unreadable or wrong else DONE


def _until_interrupted(
    verifier: Verifier, repos: Sequence[Repo], said: _Narrator, afresh: bool
) -> tuple[Verification, bool]:
    """Run the check; Ctrl+C ends it at the next chunk, and what was found so far is still reported."""
    import signal

    interrupted = False

    def stop(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        verifier.cancel()

    before = signal.signal(signal.SIGINT, stop)
    try:
        return verifier.run(repos, said.progress, afresh, said.tell), interrupted
    finally:
        signal.signal(signal.SIGINT, before)


class _Narrator:
    """Says what is wrong in `lines` as it is found, and how far it is on the terminal `bar`, where there is one."""

    def __init__(self, lines: TextIO, bar: TextIO | None) -> None:
        self._lines, self._bar = lines, bar
        self.told = False

    def clear(self) -> None:
        """Take the line with the progress away."""
        if self._bar:
            print("\r\x1b[K", end="", file=self._bar, flush=True)

    def progress(self, now: Progress) -> None:
        """Draw how far it is."""
        if self._bar:
            amount = f"{units.size(now.done)} of {units.size(now.total)}"
            print(
                f"\r\x1b[K{now.files:,} of {units.many(now.of, 'file')}, {amount}", end="", file=self._bar, flush=True
            )

    def tell(self, one: Checked) -> None:
        """A line on what is wrong, and one on what to run."""
        self.clear()
        self.told = True
        print(f"{one.state:<10}  {one.repo}  {one.file or one.blob}: {one.message}", file=self._lines)
        if one.fix:
            print(f"{'fix':<10}  {one.fix}", file=self._lines)
        self._lines.flush()


def report(found: Verification, repos: int) -> str:
    """The sums, for people."""
    from cachetop.hub.facts import checked

    many = units.many(repos, "repo")
    return f"{many}: {checked(found)}" + ("" if found.complete else " Interrupted.") + _unchecked(found)


def _unchecked(found: Verification) -> str:
    """Lines that name the first contents that cannot be checked offline, and say why."""
    left = [one for one in found.files if one.state == "unchecked"]
    lines = [f"\n  {one.repo}  {one.file or one.blob}: {one.message}" for one in left[:_NAMED]]
    more = f"\n  … and {len(left) - _NAMED:,} more; --json lists all" if len(left) > _NAMED else ""
    return "".join(lines) + more
