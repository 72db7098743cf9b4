"""`cachetop models show REPO`: what one repo is, what is missing of it, how much of it is in RAM."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from cachetop.base import units
from cachetop.cli.exits import DONE, FAILED, Refused

if TYPE_CHECKING:
    from cachetop.hub.about import About
    from cachetop.hub.records import Repo
    from cachetop.hub.scan import Scanner

_TENSORS = 12
_STATES = {True: "complete", False: "{} missing", None: ""}


def add(words: argparse._SubParsersAction[Any]) -> None:
    """Define `models show`."""
    parser = words.add_parser(
        "show",
        help="one repo in depth",
        description="What a repo is, from config.json and the headers of its weights: architecture, parameters, "
        "tensors, the VRAM it needs as stored; and how complete and how warm in RAM it is.",
    )
    parser.add_argument("repo", metavar="REPO[@REVISION]", help="as `cachetop models` names it, for example org/name")
    add_roots(parser, "show_")
    parser.add_argument("--json", dest="show_json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def add_roots(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Define `--root`, which a verb and its words share."""
    parser.add_argument(
        "--root",
        dest=f"{prefix}root",
        action="append",
        default=[],
        metavar="DIR",
        help="look at this hub cache, too, instead of those that CACHETOP_HUB_ROOTS or models.roots of the "
        "configuration name; may be given several times",
    )


def run(args: argparse.Namespace) -> int:
    """Describe one repo."""
    import msgspec

    from cachetop.cli.table import emit
    from cachetop.hub.about import describe
    from cachetop.hub.roots import roots
    from cachetop.hub.scan import Scanner

    scanner = Scanner(roots([*args.root, *args.show_root]))
    name, _, revision = args.repo.partition("@")
    repo = find(scanner, name)
    try:
        about = describe(repo, scanner, revision or None)
    except LookupError as error:
        raise Refused(f"{error.args[0]}; `cachetop models show {name}` lists them.", FAILED) from None
    if about.memory is not None:
        about = msgspec.structs.replace(about, gpu_free=_free())
    if args.json or args.show_json:
        emit(about)
    else:
        for line in report(about):
            print(line)
    return DONE


def find(scanner: Scanner, name: str) -> Repo:
    """The repo called `name`, also `dataset/org/name` where several types share a name. Raises Refused."""
    return find_all(scanner, name)[0]


def find_all(scanner: Scanner, name: str) -> list[Repo]:
    """The same, with its copies in other cache roots. Raises Refused."""
    repos = scanner.scan().repos
    found = [repo for repo in repos if repo.id == name] or [repo for repo in repos if f"{repo.type}/{repo.id}" == name]
    if not found:
        raise Refused(f"No repo {name!r} is in the cache. `cachetop models` lists those that are.", FAILED)
    if len({repo.type for repo in found}) > 1:
        raise Refused(f"Several repos are called {name}: {', '.join(f'{repo.type}/{repo.id}' for repo in found)}.")
    return found


def _free() -> Any:
    from cachetop.api import gpus
    from cachetop.hub.about import GpuFree

    return tuple(GpuFree(index=gpu.index, free=gpu.memory.free) for gpu in gpus(timeout=2).gpus if gpu.memory)


def report(about: About) -> list[str]:
    """The lines for people."""
    from cachetop.cli.table import table
    from cachetop.hub.facts import count, facts

    lines = [f"{about.id}  ({about.type})", *(f"  {label:<14}{text}" for label, text in facts(about, time.time()))]
    head = ("REVISION", "REFS", "FILES", "SIZE", "STATE")
    rows = [
        (
            revision.commit[:12],
            ", ".join(revision.refs) or "detached",
            str(len(revision.files)),
            units.size(revision.size),
            "superseded" if revision.superseded else _STATES[revision.complete].format(len(revision.missing)),
        )
        for revision in about.revisions
    ]
    if rows:
        lines += ["", *table(head, rows, "<<>><")]
    if about.weights:
        sets = [
            (
                weights.name,
                units.size(weights.size),
                count(weights.parameters),
                ", ".join(weights.dtypes),
                weights.problem or ("" if weights.chosen else "another variant"),
            )
            for weights in about.weights
        ]
        lines += ["", *table(("WEIGHTS", "SIZE", "PARAMETERS", "TYPES", ""), sets, "<>><<")]
    if about.tensors:
        tensors = [
            (tensor.name, tensor.dtype, " x ".join(map(str, tensor.shape)), units.size(tensor.size))
            for tensor in about.tensors[:_TENSORS]
        ]
        lines += ["", *table(("TENSOR", "TYPE", "SHAPE", "SIZE"), tensors, "<<<>")]
        if len(about.tensors) > _TENSORS:
            lines.append(f"… and {len(about.tensors) - _TENSORS} more; --json lists all")
    if about.problems:
        lines += ["", "Problems", *(f"  {problem.message}" for problem in about.problems)]
    return lines
