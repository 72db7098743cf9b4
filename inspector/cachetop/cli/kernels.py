"""`cachetop kernels`: what the kernel caches hold, by cache, SM and kernel."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING

from cachetop.cli.exits import DONE, FAILED, NOTHING_MATCHED, Refused

if TYPE_CHECKING:
    from cachetop.kernelcache.records import Cache, Entry, Kernels

_KEY_SHOWN = 12
_ALWAYS_SAID = ("triton", "inductor", "nvrtc", "cuda-driver", "torch-extensions")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb and its arguments."""
    parser = verbs.add_parser(
        "kernels",
        help="kernel caches by SM and kernel: sizes, states, what is stale and why",
        description="What the Triton, Inductor, NVRTC, CUDA driver and torch extension caches hold.",
    )
    parser.add_argument(
        "action",
        nargs="?",
        choices=("ls", "show"),
        default="ls",
        metavar="ls|show",
        help="list (the default), or show one entry in depth",
    )
    parser.add_argument("key", nargs="?", metavar="KEY", help="for show: the entry's key, or a beginning of it")
    parser.add_argument(
        "--json", action="store_true", help="print one cachetop.kernels/1 object, or for show a cachetop.kernel/1"
    )
    parser.add_argument("--sm", metavar="SM", help="only entries for this SM: 90, 9.0, sm_90 or sm_90a")
    parser.add_argument("--cache", metavar="KIND", help="only this kind of cache (nvrtc), or one id (inductor:2)")
    parser.add_argument("--stale", action="store_true", help="only entries with a rule that says they are of no use")
    parser.add_argument(
        "--assume-sm",
        metavar="SM",
        action="append",
        help="judge as if the GPU were this SM (may be given several times)",
    )
    parser.add_argument(
        "--filter",
        metavar="EXPR",
        action="append",
        default=[],
        help="size>1MB, created>30d, accessed>7d, name=add_*, state=orphan, rule=foreign-sm, ... (joined with AND)",
    )
    parser.add_argument(
        "--unused-after",
        metavar="SPAN",
        default="30d",
        help="call an entry unused when it was last used longer ago than this (30d)",
    )
    parser.add_argument(
        "--stage", metavar="STAGE", help="for show: print this stage: source, ttir, ttgir, llir, ptx, json, or sass"
    )
    parser.add_argument(
        "--against", metavar="KEY", help="for show: how its stage (ptx by default) differs from that of this entry"
    )
    parser.add_argument("--exit-code", action="store_true", help="exit with 4 when no entry matched")
    parser.add_argument("--nvdisasm", metavar="PATH", help="for show --stage sass: the disassembler to run")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the caches; 1 when one of them could not be read."""
    from cachetop import locations
    from cachetop.base.filters import compile_filters
    from cachetop.base.units import parse_span
    from cachetop.cli.table import emit, say
    from cachetop.kernelcache import sm
    from cachetop.kernelcache.choose import FILTERS
    from cachetop.kernelcache.detail import with_detail
    from cachetop.kernelcache.scan import Scanner

    try:
        keep = compile_filters(args.filter, FILTERS)
        wanted = sm.normalize(args.sm) if args.sm else None
        assumed = tuple(sm.normalize(one) for one in args.assume_sm or ())
        unused_after = parse_span(args.unused_after)
    except ValueError as error:
        raise Refused(str(error)) from None
    if (args.action == "show") != (args.key is not None):
        raise Refused("`kernels show` takes the KEY of one entry, and only that: `cachetop kernels show KEY`")
    roots = locations.kernel_roots()
    if args.cache and args.cache.partition(":")[0] not in {root.kind for root in roots}:
        kinds = ", ".join(dict.fromkeys(root.kind for root in roots))
        raise Refused(f"{args.cache!r} is no kind of kernel cache; there are {kinds}")
    scanner = Scanner(roots)
    here = assumed or _present()
    found = with_detail(scanner.scan(), scanner, here, unused_after)
    if args.action == "show":
        from cachetop.cli import kernel_show

        return kernel_show.run(args, found, scanner, here)

    def meant(entry: Entry) -> bool:
        return (
            (wanted is None or any(sm.asked(one, wanted) for one in (*entry.sm, entry.target or "")))
            and (not args.cache or _is_cache(args.cache, entry.kind, entry.cache))
            and (not args.stale or bool(entry.stale))
            and keep(entry)
        )

    shown = _narrowed(found, args.cache, meant)
    if args.json:
        emit(shown)
    else:
        _print(shown, filtered=bool(wanted or args.stale or args.filter))
    if not here and (args.stale or not args.json):
        say(
            "No GPU is known here, so the rules foreign-sm and sm-alias say nothing; "
            "--assume-sm SM says which GPU to judge by."
        )
    if any(not cache.readable for cache in shown.caches):
        return FAILED
    return NOTHING_MATCHED if args.exit_code and not shown.entries else DONE


def _present() -> tuple[str, ...] | None:
    """The SMs of this machine's GPUs; None where that is not known."""
    try:
        from cachetop.gpu.present import sms
    except ImportError:
        return None
    return sms()


def _is_cache(asked: str, kind: str, cache_id: str) -> bool:
    return asked in (kind, cache_id)


def _narrowed(found: Kernels, cache: str | None, meant: Callable[[Entry], bool]) -> Kernels:
    """`found` with the entries and caches asked for; a cache's own size stays that of all it holds."""
    import msgspec

    caches = tuple(one for one in found.caches if not cache or _is_cache(cache, one.kind, one.id))
    return msgspec.structs.replace(
        found,
        caches=caches,
        size_on_disk=sum(one.size_on_disk for one in caches),
        entries=tuple(entry for entry in found.entries if meant(entry)),
    )


def _print(shown: Kernels, filtered: bool) -> None:
    from cachetop.base import units

    there = [cache for cache in shown.caches if cache.exists]
    entries = {cache.id: [entry for entry in shown.entries if entry.cache == cache.id] for cache in there}
    for cache in there:
        print("\n".join(_cache_lines(cache, entries[cache.id], filtered)))
        print()
    missing = [cache for cache in shown.caches if not cache.exists]
    for cache in missing:
        if cache.kind in _ALWAYS_SAID or len(missing) == 1:
            print(f"{cache.id}: nothing at {cache.path} ({cache.reason})")
    others = [cache.id for cache in missing if cache.kind not in _ALWAYS_SAID]
    if len(missing) > 1 and others:
        print(f"not here: {', '.join(others)}")
    total = sum(entry.size_on_disk for entry in shown.entries)
    match = "" if not filtered else " matches" if len(shown.entries) == 1 else " match"
    print(f"{units.many(len(shown.entries), 'entry', 'entries')}, {units.size(total)}{match}")


def _cache_lines(cache: Cache, entries: list[Entry], filtered: bool) -> list[str]:
    from cachetop.base import units

    about = f"{cache.id}: {cache.path} ({cache.reason}"
    about += f", on {cache.filesystem}), " if cache.filesystem else "), "
    lines = [about + (units.size(cache.size_on_disk) if cache.readable else units.UNKNOWN)]
    if cache.problem:
        lines.append(f"  problem: {cache.problem}")
    if not entries:
        return [*lines, "  no entry matches" if filtered else "  no entries"] if cache.readable else lines
    return lines + _entry_lines(entries)


def _entry_lines(entries: list[Entry]) -> list[str]:
    """One aligned table, a heading line before each SM."""
    import sys

    from cachetop.base import units
    from cachetop.base.cells import shorten
    from cachetop.cli.table import table
    from cachetop.kernelcache import sm

    ordered = sorted(entries, key=lambda entry: ([sm.order(one) for one in entry.sm] or [(99_999, "")], _label(entry)))
    cut = _KEY_SHOWN if sys.stdout.isatty() else 10_000
    rows = [
        (
            _label(entry),
            units.size(entry.size_on_disk),
            units.age(entry.created),
            "-" if entry.reused is False else units.age(entry.last_used),
            f"{entry.state} ({entry.stage})" if entry.stage else entry.state,
            entry.key[: cut - 1] + "…" if len(entry.key) > cut else entry.key,
            "; ".join(f"{one.rule}: {one.evidence}" for one in entry.stale)
            or "; ".join(problem.message for problem in entry.problems),
        )
        for entry in ordered
    ]
    head, *body = table(("KERNEL", "SIZE", "MADE", "REUSED", "STATE", "KEY", "VERDICT"), rows, " >>>")
    lines = ["    " + head]
    place = 0
    for sms, group in groupby(ordered, key=lambda entry: entry.sm):
        members = list(group)
        size = units.size(sum(entry.size_on_disk for entry in members))
        title = " ".join(sms) or "no SM"
        lines.append(f"  {shorten(title, 60)}: {len(members)} {'entry' if len(members) == 1 else 'entries'}, {size}")
        lines += ["    " + line for line in body[place : place + len(members)]]
        place += len(members)
    return lines


def _label(entry: Entry) -> str:
    if entry.name:
        return entry.name
    return f"({entry.part})" if entry.part and entry.kind != "nvrtc" else "?"
