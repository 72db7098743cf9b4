"""`cachetop models`: what is in the Hugging Face cache, what is warm in RAM, what is half downloaded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cachetop.cli import models_ram, models_show, models_verify
from cachetop.cli.exits import DONE, FAILED, NOTHING_MATCHED, Refused

if TYPE_CHECKING:
    from cachetop.hub.records import Models


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
    models_ram.add(words)


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
    parser.add_argument(
        "--revisions", dest=f"{prefix}revisions", action="store_true", help="a row for each revision of the repos"
    )
    parser.add_argument(
        "-q",
        "--quiet",
        dest=f"{prefix}quiet",
        action="store_true",
        help="only names, one a line, as `models show` and `prune models` take them; with --revisions TYPE/REPO@COMMIT",
    )
    parser.add_argument("--limit", dest=f"{prefix}limit", type=_count, metavar="N", help="at most N repos")
    parser.add_argument(
        "--exit-code", dest=f"{prefix}exit_code", action="store_true", help="exit with 4 when nothing matched"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of repos; write for example 10")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """List the repos. Filters and the limit choose repos; the totals stay those of the whole cache."""
    from cachetop.base import units
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
    ages = [one for one in filters if one.strip().lower().startswith("accessed")]
    if ages and (unknown := sum(repo.last_used is None for repo in models.repos)):
        from cachetop.cli.table import say

        say(f"Of {units.many(unknown, 'repo')} the last use is not known: {ages[0].strip()} does not match them.")
    if args.json or (inner and args.ls_json):
        from cachetop.cli.table import emit

        emit(shown)
    else:
        _print(shown, total, args.revisions or (inner and args.ls_revisions), args.quiet or (inner and args.ls_quiet))
    if wrong or any(root.problem for root in models.roots):
        return FAILED
    return NOTHING_MATCHED if (args.exit_code or (inner and args.ls_exit_code)) and not chosen else DONE


def _print(shown: Models, total: int, revisions: bool, quiet: bool) -> None:
    from cachetop.cli import models_table

    if quiet:
        for line in models_table.names(shown.repos, revisions):
            print(line)
        return
    for line in models_table.report(shown, total, revisions):
        print(line)
