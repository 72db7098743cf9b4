"""`cachetop prune`: delete from the caches, after saying what that means; `undo` brings it back for a while."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cachetop.base.readonly import is_read_only
from cachetop.cli.exits import DONE, FAILED, INTERRUPTED, NOTHING_MATCHED, Refused

if TYPE_CHECKING:
    from cachetop.config import Config
    from cachetop.prune.records import Plan, Result
    from cachetop.prune.selection import Selection
    from cachetop.prune.work import Draft

_ABOUT = "Nothing in use, downloading or compiling is touched, and what goes comes back by cachetop undo for a while."
_LISTED = 200


def add(verbs: argparse._SubParsersAction[Any]) -> None:
    """Define the verb and its arguments."""
    parser = verbs.add_parser(
        "prune",
        help="delete models, kernels or the trash, after a preview",
        description=f"Delete from the caches, after a preview. {_ABOUT}",
    )
    parser.add_argument(
        "--policy", action="store_true", help="remove what the rules in the configuration say (prune.policy), for cron"
    )
    _common(parser, "top_")
    parser.set_defaults(run=run, what=None)
    inner = parser.add_subparsers(dest="what", metavar="kernels|models|trash")

    kernels = inner.add_parser(
        "kernels", help="kernel-cache entries", description=f"Delete kernel-cache entries. {_ABOUT}"
    )
    kernels.add_argument(
        "names", nargs="*", metavar="KEY", help="entries by their key, as `cachetop kernels` lists them"
    )
    kernels.add_argument("--stale", action="store_true", help="what a rule says is of no use here any more")
    kernels.add_argument("--sm", metavar="SM", help="made for this SM: 90, 9.0, sm_90 or sm_90a")
    kernels.add_argument(
        "--assume-sm", metavar="SM", action="append", default=[], help="judge as if the GPU were this SM"
    )
    kernels.add_argument("--cache", metavar="KIND", help="this kind of cache (triton), or one id (inductor:2)")
    kernels.add_argument("--ir-only", action="store_true", help="drop the intermediate stages, keep what Triton loads")
    _selectors(kernels, "compiles that never finished")
    _common(kernels, "")

    models = inner.add_parser(
        "models", help="repos, revisions, dead downloads", description=f"Delete from the Hugging Face cache. {_ABOUT}"
    )
    models.add_argument("names", nargs="*", metavar="REPO[@REVISION]", help="repos, or revisions by commit or ref")
    models.add_argument("--detached", action="store_true", help="revisions that no ref names")
    models.add_argument("--superseded", action="store_true", help="such, while a ref names another one of the repo")
    _selectors(models, "partial downloads that nobody works on")
    _common(models, "")

    trash = inner.add_parser(
        "trash", help="empty the trash now, or say what it holds", description="Unlink what earlier prunes still hold."
    )
    trash.add_argument(
        "--cancel", action="store_true", help="stop unlinking, and keep what is left until the trash is emptied by hand"
    )
    _common(trash, "")


def _selectors(parser: argparse.ArgumentParser, incomplete: str) -> None:
    parser.add_argument("--older-than", metavar="SPAN", help="last used longer ago than this: 30d, 12h")
    parser.add_argument("--incomplete", action="store_true", help=incomplete)
    parser.add_argument("--max-size", metavar="SIZE", help="the least recently used, down to this: 20G, 500MB")
    parser.add_argument("--filter", metavar="EXPR", action="append", default=[], help="as in the listing: size>1GB")
    parser.add_argument("--all", action="store_true", help="everything")


def _common(parser: argparse.ArgumentParser, prefix: str) -> None:
    def flag(name: str, text: str) -> None:
        parser.add_argument(f"--{name}", dest=prefix + name.replace("-", "_"), action="store_true", help=text)

    flag("dry-run", "only say what would happen")
    flag("yes", "do not ask")
    flag("now", "keep nothing for undo")
    flag("force", "also what is only in use")
    flag("json", "print one cachetop.plan/1 (with --dry-run) or cachetop.result/1 object")
    flag("read-only", "refuse to change anything")
    flag("exit-code", "exit with 4 when nothing matched")


def run(args: argparse.Namespace) -> int:
    """Plan, show, ask, execute."""
    from cachetop import config, locations
    from cachetop.cli.trash import trash

    for name in ("dry_run", "yes", "now", "force", "json", "read_only", "exit_code"):
        setattr(args, name, getattr(args, name, False) or getattr(args, f"top_{name}"))
    if args.what is None and not args.policy:
        raise Refused("say what to prune: cachetop prune kernels, models or trash, with a selector; or --policy")
    if args.what is not None and args.policy:
        raise Refused("--policy has its selectors in the configuration; leave kernels, models and trash away")
    try:
        settings = config.load(locations.config_file())
    except config.ConfigError as error:
        raise Refused(str(error)) from None
    if not args.dry_run:
        refuse_read_only(args.read_only)
        if not getattr(args, "cancel", False):  # else what is overdue would be unlinked now
            _recover()
    return trash(args) if args.what == "trash" else _prune(args, settings)


def refuse_read_only(flag: bool) -> None:
    """Raises Refused in read-only mode."""
    if flag or is_read_only():
        raise Refused("this is read-only (--read-only or CACHETOP_READ_ONLY): nothing is deleted or brought back")


def _recover() -> None:
    from cachetop import locations
    from cachetop.cli.table import say
    from cachetop.prune.recover import recover

    for sentence in recover(locations.state_dir()):
        say(sentence)


def _prune(args: argparse.Namespace, settings: Config) -> int:
    from cachetop.cli.table import emit
    from cachetop.prune.plan import plan

    try:
        draft = plan(_selections(args, settings), keep=settings.keep, force=args.force, sms=_present())
    except ValueError as error:
        raise Refused(str(error)) from None
    found = draft.plan
    if args.dry_run:
        if args.json:
            emit(found)
        else:
            _show(found, args.policy)
        return _code(draft, None, args)
    if not args.yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("this deletes, and there is nobody to ask: add --yes, or --dry-run to see the plan")
    if not args.json and not (args.policy and not found.items):
        _show(found, args.policy)
    if found.items and not args.yes and not _agreed(found):
        print("Nothing was deleted.")
        return DONE
    result = _execute(draft, args, settings)
    if args.json:
        emit(result)
    elif found.items:
        _report(result)
    return _code(draft, result, args)


def _selections(args: argparse.Namespace, settings: Config) -> list[Selection]:
    from cachetop.prune.selection import of_policy, selection

    if args.policy:
        if not settings.policy:
            raise Refused(f"{settings.path} has no [[prune.policy]]; nothing says what to remove")
        return of_policy(settings.policy)
    given: dict[str, Any] = {"names": tuple(args.names), "incomplete": args.incomplete, "older_than": args.older_than,
                             "max_size": args.max_size, "filters": tuple(args.filter), "all": args.all}  # fmt: skip
    if args.what == "kernels":
        given |= {"stale": args.stale, "sm": args.sm, "assume_sm": tuple(args.assume_sm), "cache": args.cache,
                  "ir_only": args.ir_only}  # fmt: skip
    else:
        given |= {"detached": args.detached, "superseded": args.superseded}
    chosen = selection(args.what, **given)
    if chosen.is_empty:
        raise Refused(
            f"name what to prune of the {args.what}, or give a selector such as --older-than 30d; --all means all"
        )
    return [chosen]


def _present() -> tuple[str, ...] | None:
    """The SMs of this machine's GPUs; None where that is not known."""
    from cachetop.gpu.present import sms

    return sms()


def _execute(draft: Draft, args: argparse.Namespace, settings: Config) -> Result:
    from cachetop import locations
    from cachetop.base.hostile import clean
    from cachetop.cli.trash import at_work
    from cachetop.prune.execute import execute

    state = locations.state_dir()
    with at_work(args) as (progress, cancel):
        try:
            return execute(
                draft, state, undo=settings.undo, now=args.now or settings.undo == 0, progress=progress, cancel=cancel
            )
        except OSError as error:
            raise Refused(
                f"nothing was deleted: the journal below {clean(state)} cannot be written: {error.strerror}", FAILED
            ) from None


def _code(draft: Draft, result: Result | None, args: argparse.Namespace) -> int:
    if getattr(args, "interrupted", False):
        return INTERRUPTED
    if draft.plan.missing or draft.plan.unreadable or draft.named_blocked:
        return FAILED
    if result is not None and (result.failed or len(result.deleted) < len(draft.plan.items)):
        return FAILED
    return NOTHING_MATCHED if args.exit_code and not draft.plan.items else DONE


def _show(plan: Plan, brief: bool) -> None:
    from cachetop.base import units
    from cachetop.cli.table import table

    if brief and not (plan.items or plan.blocked or plan.missing):
        return
    if plan.items:
        rows = [
            (
                item.name or item.key,
                " ".join(item.sm) or item.kind,
                units.size(item.frees),
                "; ".join(item.reasons),
                _again(item),
            )
            for item in plan.items[:_LISTED]
        ]
        print("\n".join(table(("WILL GO", "", "FREES", "WHY", "TO GET IT BACK"), rows, "<<><<")))
        if len(plan.items) > _LISTED:
            print(f"and {len(plan.items) - _LISTED} more (--json lists them all)")
        print()
    if plan.blocked:
        listed = plan.blocked[:_LISTED]
        print(
            "\n".join(
                table(
                    ("STAYS", "HOLDS", "WHY"),
                    [(one.path, units.size(one.size_on_disk), one.reason) for one in listed],
                    "<>",
                )
            )
        )
        print()
    if plan.kept:
        protected = [(one.key, units.size(one.size_on_disk), f"matches {one.pattern}") for one in plan.kept[:_LISTED]]
        print("\n".join(table(("KEPT BY YOUR KEEP LIST", "HOLDS", ""), protected, "<>")))
        print()
    for note in plan.notes:
        print(note)
    for sentence in plan.unreadable:
        print(sentence)
    for name in plan.missing:
        print(f"{name} is in no cache.")
    if plan.uninspectable:
        several = units.many(plan.uninspectable, "process", "processes")
        print(f"{several} could not be inspected: `not in use` says nothing of them.")
    if not plan.items:
        print("Nothing to delete.")
        return
    print(f"{units.many(len(plan.items), 'item')}, frees {units.size(plan.frees)} ({plan.frees:,} bytes on disk); "
          f"{plan.cost.sentence if plan.cost else ''}.")  # fmt: skip


def _again(item: Any) -> str:
    from cachetop.base import units

    if item.rebuild is None:
        return "?"
    if item.rebuild.note:
        return str(item.rebuild.note)
    if item.rebuild.download is not None:
        return f"download {units.size(item.rebuild.download)}"
    return f"compile {units.duration(None if item.rebuild.milliseconds is None else item.rebuild.milliseconds / 1000)}"


def _agreed(plan: Plan) -> bool:
    from cachetop.base import units
    from cachetop.cli.table import ask
    from cachetop.prune.confirm import THRESHOLD, agrees

    if plan.frees > THRESHOLD:
        answer = ask(f"Type the size that will be freed, {units.size(plan.frees)}, to confirm: ")
        return agrees(answer, plan.frees)
    return ask("Delete? [y/N] ").strip().lower() in ("y", "yes")


def _report(result: Result) -> None:
    from cachetop.base import units

    for failed in result.failed:
        print(f"FAILED  {failed.path}: {failed.error}")
    for skipped in result.skipped:
        print(f"left    {skipped.path}: {skipped.reason}")
    for note in result.notes:
        print(note)
    line = f"{len(result.deleted)} deleted, {units.size(result.freed)} freed"
    if result.undo_until is not None:
        line += f", {units.size(result.held)} in the trash until {units.clock(result.undo_until)}"
        line += f": cachetop undo {result.id}"
    print(line)
