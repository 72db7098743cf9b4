"""`cachetop models verify [REPO]...`: are the contents what their names say? Offline."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cachetop.base import units
from cachetop.cli import models_show
from cachetop.cli.exits import DONE, FAILED, INTERRUPTED

if TYPE_CHECKING:
    from cachetop.hub.verify import Progress, Verification


def add(words: argparse._SubParsersAction[Any]) -> None:
    """Define `models verify`."""
    parser = words.add_parser(
        "verify",
        help="offline checksums",
        description="Compute the checksum of every content and hold it against its name: sha256 of large files, git's "
        "sha1 of small ones. Nothing is downloaded. What was sound is not read again while its inode, time and size "
        "stay the same. Exit code 1 when something is damaged or could not be read.",
    )
    parser.add_argument("repos", nargs="*", metavar="REPO", help="default: all")
    parser.add_argument("--afresh", action="store_true", help="read again what was found sound before")
    models_show.add_roots(parser, "verify_")
    parser.add_argument("--json", dest="verify_json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the repos."""
    from cachetop import locations
    from cachetop.cli.table import emit
    from cachetop.hub.roots import roots
    from cachetop.hub.scan import Scanner
    from cachetop.hub.verify import Verifier

    scanner = Scanner(roots([*args.root, *args.verify_root]))
    models = scanner.scan()
    repos = [repo for name in args.repos for repo in models_show.find_all(scanner, name)] or list(models.repos)
    verifier = Verifier(scanner, locations.state_dir() / "verified.json")
    live = sys.stderr.isatty()
    found, interrupted = _until_interrupted(verifier, repos, _draw if live else None, args.afresh)
    if live:
        print("\r\x1b[K", end="", file=sys.stderr)
    if args.json or args.verify_json:
        emit(found)
    else:
        for line in report(found, len(repos)):
            print(line)
    if interrupted:
        return INTERRUPTED
    unreadable = any(root.problem for root in models.roots)
    return FAILED if found.damaged or found.unreadable or unreadable else DONE


def _until_interrupted(verifier: Any, repos: Any, progress: Any, afresh: bool) -> tuple[Verification, bool]:
    """Run the check; Ctrl+C ends it at the next chunk, and what was found so far is still reported."""
    import signal

    interrupted = False

    def stop(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        verifier.cancel()

    before = signal.signal(signal.SIGINT, stop)
    try:
        return verifier.run(repos, progress, afresh), interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _draw(progress: Progress) -> None:
    print(
        f"\r\x1b[K{progress.files} of {progress.of} files, {units.size(progress.done)} of {units.size(progress.total)}",
        end="",
        file=sys.stderr,
        flush=True,
    )


def report(found: Verification, repos: int) -> list[str]:
    """The lines for people: what is wrong, then the sums."""
    wrong = [one for one in found.files if one.state in ("damaged", "unreadable")]
    lines = [f"{one.state:<10}  {one.repo}  {one.file or one.blob}: {one.message}" for one in wrong]
    if lines:
        lines.append("")
    before = sum(one.remembered for one in found.files)
    parts = [f"{found.sound} sound" + (f" ({before} of them checked earlier)" if before else "")]
    parts += [f"{found.damaged} damaged"] if found.damaged else []
    parts += [f"{found.unreadable} unreadable"] if found.unreadable else []
    parts += [f"{found.unchecked} that cannot be checked offline"] if found.unchecked else []
    took = f" {units.size(found.bytes)} read in {units.duration(found.seconds)}."
    lines.append(f"{repos} repos: {', '.join(parts)}.{took}" + ("" if found.complete else " Interrupted."))
    return lines
