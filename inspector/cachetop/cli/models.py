"""`cachetop models`: what is in the Hugging Face cache, what is warm in RAM, what is half downloaded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cachetop.base import units
from cachetop.cli import models_show, models_verify
from cachetop.cli.exits import DONE, FAILED, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachetop.hub.records import Models, Partial, Repo, Root

_HEAD = ("REPO", "TYPE", "REVISIONS", "SIZE", "IN RAM", "USED", "REMARKS")


def add(verbs: argparse._SubParsersAction[Any]) -> None:
    """Define `models` and `models ls`, which is the same."""
    parser = verbs.add_parser(
        "models",
        help="what is in the Hugging Face cache",
        description="List the repos of the Hugging Face cache: sizes, what is warm in RAM, last use, "
        "partial downloads, problems.",
    )
    _options(parser, "")
    parser.set_defaults(run=run)
    words = parser.add_subparsers(dest="what", metavar="")
    ls = words.add_parser("ls", help="the same as without a word", description=parser.description)
    _options(ls, "ls_")
    ls.set_defaults(run=run)
    models_show.add(words)
    models_verify.add(words)


def _options(parser: argparse.ArgumentParser, prefix: str) -> None:
    # `models --json ls --sort size` is one set of options: the inner ones go to names of their own and are joined
    parser.add_argument("--json", dest=f"{prefix}json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--filter",
        dest=f"{prefix}filter",
        action="append",
        default=[],
        metavar="EXPR",
        help="keep repos by size, reclaimable, accessed, modified, type, refs, name, resident, partial, detached or "
        "problem, for example size>1GB, accessed>7d, type=model, refs=main, name=org/*, resident>50%%, partial=stale; "
        "or by one word: resident, partial, detached, superseded, incomplete, problem; several join with AND",
    )
    parser.add_argument(
        "--sort",
        dest=f"{prefix}sort",
        metavar="KEY[:asc|:desc]",
        help="by size, reclaimable, accessed, modified, resident, name, type or refs; default: size",
    )
    parser.add_argument(
        "--preset",
        dest=f"{prefix}preset",
        choices=("biggest", "longest-unused", "superseded", "stale-partials"),
        help="filters and an order that are asked for often",
    )
    models_show.add_roots(parser, prefix)
    parser.add_argument("--limit", dest=f"{prefix}limit", type=_count, metavar="N", help="at most N repos")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of repos; write for example 10")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """List the repos. Filters and the limit choose repos; the totals stay those of the whole cache."""
    from cachetop.hub import beside, choose
    from cachetop.hub.detail import with_detail
    from cachetop.hub.roots import roots, trouble
    from cachetop.hub.scan import Scanner

    inner = args.what == "ls"
    preset = choose.PRESETS["biggest"]
    if name := (args.ls_preset if inner else None) or args.preset:
        preset = choose.PRESETS[name]
    filters = [*preset.filters, *args.filter, *(args.ls_filter if inner else [])]
    order = (args.ls_sort if inner else None) or args.sort or preset.sort
    try:
        keep, arrange = choose.keep(filters), choose.arrange(order)
    except ValueError as error:
        raise Refused(str(error)) from None
    limit = (args.ls_limit if inner else None) or args.limit

    import msgspec

    named = [*args.root, *(args.ls_root if inner else [])]
    scanner, wrong = Scanner(roots(named)), trouble(named)
    models = scanner.scan()
    total = len(models.repos)
    detailed = choose.needs_detail(filters, order)
    if detailed:
        models = with_detail(models, scanner)
    chosen = arrange([repo for repo in models.repos if keep(repo)])[:limit]
    shown = msgspec.structs.replace(models, repos=tuple(chosen), beside=beside.look(), problems=models.problems + wrong)
    if not detailed:
        shown = with_detail(shown, scanner)
    if args.json or (inner and args.ls_json):
        from cachetop.cli.table import emit

        emit(shown)
    else:
        for line in report(shown, total):
            print(line)
    return FAILED if wrong or any(root.problem for root in models.roots) else DONE


def report(models: Models, total: int) -> list[str]:
    """The lines for people: a row per repo, what is wrong, the totals, where that is. `total`: repos in all."""
    from cachetop.cli.table import table

    lines = table(_HEAD, [_row(repo, models.roots) for repo in models.repos], "<<>>>><") if models.repos else []
    wrong = [(f"{repo.id}: ", problem) for repo in models.repos for problem in repo.problems]
    wrong += [("", problem) for problem in models.problems]
    if wrong:
        lines += ["", "Problems", *(line for whose, problem in wrong for line in models_show.wrong(problem, whose))]
    if lines:
        lines.append("")
    if total:
        filtered = "" if len(models.repos) == total else f"{len(models.repos)} shown of "
        repos = "1 repo" if total == 1 else f"{total} repos"
        lines.append(f"{filtered}{repos}, {units.size(models.size)}, on disk {units.size(models.size_on_disk)}")
    lines += [_where(root.path, root.reason, root.exists, root.problem, total) for root in models.roots]
    if models.beside:
        rows = [(row.kind, units.size(row.size), row.path, row.problem or row.reason) for row in models.beside]
        lines += ["", *table(("BESIDE THE HUB", "SIZE", "PATH", ""), rows, "<><<")]
    return lines


def _where(path: str, reason: str, exists: bool, problem: str | None, total: int) -> str:
    if problem:
        return problem
    if total:
        return f"In {path} ({reason})."
    state = "holds no repos" if exists else "is not there yet"
    return (
        f"No models: {path} {state} ({reason}). "
        "Whatever huggingface_hub, transformers or docling download will appear there."
    )


def _row(repo: Repo, roots: Sequence[Root]) -> tuple[str, ...]:
    return (
        repo.id,
        repo.type,
        str(len(repo.revisions)),
        units.size(repo.size),
        _warm(repo),
        units.age(repo.last_used),
        _remarks(repo, roots),
    )


def _warm(repo: Repo) -> str:
    """The share of the repo's bytes that is in RAM; unknown when it is for any of its files."""
    from cachetop.hub.choose import resident

    found = resident(repo)
    if found is None:
        return units.UNKNOWN
    return f"{100 * found[0] / found[1]:.0f} %" if found[1] else "0 %"


def _remarks(repo: Repo, roots: Sequence[Root]) -> str:
    found = [f"in {repo.root}"] if roots and repo.root != roots[0].path else []
    found += [_partial(partial) for partial in repo.partials]
    missing = sum(len(revision.missing) for revision in repo.revisions if revision.complete is False)
    if missing:
        found.append("1 file missing" if missing == 1 else f"{missing} files missing")
    detached = sum(revision.detached for revision in repo.revisions)
    if detached:
        found.append(f"{detached} detached")
    if repo.problems:
        found.append("1 problem" if len(repo.problems) == 1 else f"{len(repo.problems)} problems")
    return ", ".join(found)


def _partial(partial: Partial) -> str:
    amount = units.size(partial.bytes)
    if partial.expected is not None:
        amount += f" of {units.size(partial.expected)}"
    if partial.live:
        return f"downloading {amount}" + (f" (pid {partial.pid})" if partial.pid is not None else "")
    return f"cut off at {amount}" if partial.live is False else f"unfinished, {amount}"
