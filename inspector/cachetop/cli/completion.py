"""`cachetop completion bash|zsh`: a script for the shell, made from the same parsers as the help."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any

from cachetop.cli.exits import DONE

_ABOUT = """Print a completion script. For bash write it to ~/.local/share/bash-completion/completions/cachetop, for zsh
to a file named _cachetop in a folder of $fpath. Verbs, options and their choices are in the script; repos, SMs and jobs
are asked for when they are needed."""
_ASKED = ("repos", "sms", "jobs")
_ASK = {
    "bash": '_cachetop_%s() { compgen -W "$(cachetop completion %s 2>/dev/null)" -- "$1"; }',
    "zsh": '_cachetop_%s() { local -a found; found=(${(f)"$(cachetop completion %s 2>/dev/null)"}); compadd -a found }',
}
_BY_METAVAR = {"REPO": "repos", "REPO[@REVISION]": "repos", "SM": "sms", "JOB": "jobs"}
_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
"""What may be offered: bash expands the words of a list, `$(...)` in them too, and names on disk are anybody's."""


def add(verbs: argparse._SubParsersAction[Any]) -> None:
    """Define the verb."""
    verb = verbs.add_parser("completion", help="a completion script for bash or zsh", description=_ABOUT)
    verb.add_argument("what", choices=("bash", "zsh", *_ASKED), help="the shell; or the words that it asks for")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script, or the words."""
    if args.what in _ASKED:
        for word in {"repos": _repos, "sms": _sms, "jobs": _jobs}[args.what]():
            if _HARMLESS.fullmatch(word):
                print(word)
        return DONE
    import shtab

    from cachetop.cli import parser

    whole = parser(whole=True)
    meant: dict[str, Any] = {"FILE": shtab.FILE, "PATH": shtab.FILE, "DIR": shtab.DIRECTORY}
    meant |= {metavar: dict.fromkeys(_ASK, f"_cachetop_{words}") for metavar, words in _BY_METAVAR.items()}
    for action in _actions(whole):
        if action.metavar in meant and not action.choices:
            setattr(action, "complete", meant[str(action.metavar)])  # noqa: B010  shtab reads it
    preamble = {shell: "\n".join(line % (words, words) for words in _ASKED) for shell, line in _ASK.items()}
    print(shtab.complete(whole, args.what, preamble=preamble))
    return DONE


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of those below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in dict.fromkeys(action.choices.values()):
                yield from _actions(inner)
        else:
            yield action


def _repos() -> list[str]:
    from cachetop import api

    return [repo.id for repo in api.models().repos]


def _jobs() -> list[str]:
    from cachetop import api

    return [job.id for job in api.jobs().jobs]


def _sms() -> list[str]:
    from cachetop import api
    from cachetop.kernelcache.sm import order

    return sorted({sm for entry in api.kernels().entries for sm in entry.sm}, key=order)
