"""The headless twin of the app: every verb, with `--json`.

Data goes to stdout, narration to stderr. Each verb is a module with `add(verbs)`, which defines its
arguments, and a `run(args)` set as its default, which returns the exit code and imports what it needs.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from cachetop._version import __version__
from cachetop.cli.exits import FAILED, INTERRUPTED, USAGE, Refused

VERBS = {
    "status": "one snapshot of all three, with problems",
    "models": "what is in the Hugging Face cache",
    "kernels": "kernel caches by SM and kernel: sizes, states, what is stale and why",
    "gpus": "GPUs, VRAM, the processes on them, and which models those hold",
    "prune": "delete models, kernels or the trash, after a preview",
    "undo": "bring back what the newest prune deleted, while the trash holds it",
    "convert": "convert documents, every phase shown",
    "jobs": "conversions, their verdicts, resident workers",
    "watch": "events as they happen",
    "doctor": "folders, limits, versions, driver; a fix for each",
    "config": "settings: where, which, whether they hold",
    "explain": "model or kernel: what they are and how they differ",
    "keys": "which chords this terminal sends; snippets for tmux and VS Code",
    "demo": "the app on a sandbox that it builds itself",
    "completion": "a completion script for bash or zsh",
}
"""Every verb with its one line of help, kept here so that `--help` need not load ten modules. A test compares."""

APP_OPTIONS = {
    "--no-mouse": "the app: do not listen to the mouse",
    "--ascii": "the app: ASCII only (CACHETOP_ASCII=1)",
    "--read-only": "delete nothing and bring nothing back (CACHETOP_READ_ONLY=1)",
}
"""Options without a verb, or in front of one."""

_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class _Parser(argparse.ArgumentParser):
    """argparse with this program's exit code for usage errors (2) and no abbreviation of options."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]


def parser(only: str | None = None, *, whole: bool = False) -> argparse.ArgumentParser:
    """The command line with the arguments of one verb, of every verb (`whole`), or with their names alone.

    Completion and the man page are generated from the whole one; a run loads the module of its own verb only.
    """
    top = _Parser(
        prog="cachetop",
        description="What is in the model caches, the kernel caches and VRAM, live; and why a conversion was slow "
        "or fast. Without a verb it opens the app.",
        epilog="`cachetop VERB --help` says more about a verb. `python -m cachetop` runs the verbs without the app.",
    )
    top.add_argument("--version", action="version", version=f"cachetop {__version__}")
    for option, line in APP_OPTIONS.items():
        top.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=line)
    verbs = top.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    for name, line in VERBS.items():
        if whole or name == only:
            __import__(f"cachetop.cli.{name}")
            sys.modules[f"cachetop.cli.{name}"].add(verbs)
        else:
            verbs.add_parser(name, help=line, add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code (see `cachetop.cli.exits`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    _write_anything()
    if words == ["--version"]:
        print(f"cachetop {__version__}")
        return 0
    while words and words[0] in APP_OPTIONS:
        if words.pop(0) == "--read-only":
            os.environ["CACHETOP_READ_ONLY"] = "1"
    try:
        words = words or ["status"]
        args = parser(words[0]).parse_args(words)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except Refused as refused:
        print(f"cachetop: {refused}", file=sys.stderr)
        return refused.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader left: nothing more to say, and no traceback at exit
        return 0
    except OSError as error:
        print(f"cachetop: {_told(error)}", file=sys.stderr)
        return FAILED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE


def _told(error: OSError) -> str:
    """What the system refused, and of which file."""
    from cachetop.base.hostile import clean
    from cachetop.base.record import why

    if error.filename:
        return f"{clean(str(error.filename))}: {why(error)}"
    if error.errno in _UNWRITTEN:  # verbs tell of the files that they write themselves
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the rest is tried once more at exit
        return f"standard output could not be written: {why(error)}"
    return why(error)


def _write_anything() -> None:
    """Let no character on stdout end a verb: a name that is no UTF-8 goes out as its own bytes, and what another
    encoding lacks as `?`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "replace")
