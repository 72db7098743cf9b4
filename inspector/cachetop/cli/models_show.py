"""`cachetop models show REPO`: what one repo is, what is missing of it, how much of it is in RAM."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.cli.exits import DONE, FAILED, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachetop.base.record import Problem
    from cachetop.hub.about import About, GpuFree
    from cachetop.hub.records import Repo
    from cachetop.hub.scan import Scanner
    from cachetop.hub.weights import Tensor

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
    parser.add_argument(
        "--file", metavar="NAME", help="one file of it: where it lies, its checksum, tensors or the head of its text"
    )
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
    """Describe one repo, and its copies in other cache roots."""
    import msgspec

    from cachetop.cli.table import emit
    from cachetop.hub.about import describe

    scanner, _ = scanner_of([*args.root, *args.show_root])
    name, _, revision = args.repo.partition("@")
    if args.file is not None:
        from cachetop.cli import model_file

        return model_file.run(find_all(scanner, name), revision or None, args.file, args.json or args.show_json)
    found, missing = [], None
    for repo in find_all(scanner, name):
        try:
            found.append(describe(repo, scanner, revision or None))
        except LookupError as error:  # another copy may have it
            missing = missing or error
    if missing and not found:
        raise Refused(f"{missing.args[0]}; `cachetop models show {name}` lists them.", FAILED)
    if any(about.memory is not None for about in found):
        free, reason = _free()
        told = {"gpu_free": free, "gpu_free_reason": reason}
        found = [msgspec.structs.replace(about, **told) if about.memory is not None else about for about in found]
    first = msgspec.structs.replace(found[0], copies=tuple(found[1:]))
    if args.json or args.show_json:
        emit(first)
    else:
        print("\n\n".join("\n".join(report(about, len(found) > 1)) for about in found))
    return DONE


def scanner_of(named: Sequence[str]) -> tuple[Scanner, bool]:
    """What scans the cache roots, `named` on the command line among them; and whether some may be left out, which is
    said."""
    from cachetop.hub.roots import roots, trouble
    from cachetop.hub.scan import Scanner

    wrong = trouble(named)
    for problem in wrong:
        print(f"cachetop: {problem.message}", file=sys.stderr)
    return Scanner(roots(named)), bool(wrong)


def find_all(scanner: Scanner, name: str) -> list[Repo]:
    """The repos called `name`, also `dataset/org/name` where several types share a name: one in each cache root that
    has it, in the order of the roots. Raises Refused."""
    models = scanner.scan()
    order = {root.path: number for number, root in enumerate(models.roots)}
    repos = sorted(models.repos, key=lambda repo: order.get(repo.root, 0))
    found = [repo for repo in repos if repo.id == name] or [repo for repo in repos if f"{repo.type}/{repo.id}" == name]
    if not found:
        wrong = " ".join(root.problem for root in models.roots if root.problem)
        said = f"No repo {clean(name)!r} is in the cache. {_meant(name, [repo.id for repo in repos])}"
        raise Refused(f"{said} {wrong}".strip(), FAILED)
    if len({repo.type for repo in found}) > 1:
        names = ", ".join(f"{repo.type}/{repo.id}" for repo in found)
        raise Refused(f"Several repos are called {clean(name)}: {names}.")
    return found


def _meant(name: str, known: Sequence[str]) -> str:
    """What to type instead of `name`."""
    from difflib import get_close_matches

    short = name.rpartition("/")[2].casefold()
    found = [each for each in known if each.rpartition("/")[2].casefold() == short]
    found = found or get_close_matches(name, known, 3)
    return f"Is it {' or '.join(dict.fromkeys(found[:3]))}?" if found else "`cachetop models` lists those that are."


def _free() -> tuple[tuple[GpuFree, ...], str | None]:
    """What is free on each GPU, and why that is not known."""
    from cachetop.api import gpus
    from cachetop.hub.about import GpuFree

    found = gpus(timeout=2)
    free = tuple(GpuFree(index=gpu.index, free=gpu.memory.free) for gpu in found.gpus if gpu.memory)
    return free, None if free else found.reason or "No GPU here reports its memory."


def report(about: About, several: bool = False) -> list[str]:
    """The lines for people; where there are `several` copies, with the root of this one."""
    from cachetop.cli.table import table
    from cachetop.hub.facts import count, facts

    where = f", in {about.root}" if several else ""
    lines = [
        f"{about.id}  ({about.type}{where})",
        *(f"  {label:<14}{text}" for label, text in facts(about, time.time())),
    ]
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
        lines += ["", *tensor_lines(about.tensors)]
    if about.problems:
        lines += ["", "Problems", *(line for problem in about.problems for line in wrong(problem))]
    return lines


def tensor_lines(tensors: Sequence[Tensor]) -> list[str]:
    """A table of the first tensors, and how many more there are."""
    from cachetop.cli.table import table

    rows = [
        (tensor.name, tensor.dtype, " x ".join(map(str, tensor.shape)), units.size(tensor.size))
        for tensor in tensors[:_TENSORS]
    ]
    lines = table(("TENSOR", "TYPE", "SHAPE", "SIZE"), rows, "<<<>")
    more = len(tensors) - len(rows)
    return [*lines, f"… and {more:,} more; --json lists all"] if more else lines


def wrong(problem: Problem, whose: str = "") -> list[str]:
    """The lines on one problem: the sentence, and what to run."""
    return [f"  {whose}{problem.message}", *([f"      fix: {problem.fix}"] if problem.fix else [])]
