"""`cachetop kernels show KEY`: one entry in depth."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cachetop.cli.exits import DONE, FAILED, Refused

if TYPE_CHECKING:
    from cachetop.kernelcache.describe import Builder, Described
    from cachetop.kernelcache.records import Entry, Kernels
    from cachetop.kernelcache.scan import Scanner
    from cachetop.kernelcache.stages import Text

_SHOWN = 20
_BYTES = ("stack", "shared_static", "shared_dynamic")


def run(args: argparse.Namespace, found: Kernels, scanner: Scanner, sms: tuple[str, ...] | None) -> int:
    """Describe the entry, or print one of its stages; 1 when there is no such entry. `sms` are those to judge by."""
    import msgspec

    from cachetop.cli.table import emit, say
    from cachetop.kernelcache.checks import checks
    from cachetop.kernelcache.describe import describe

    entry = _named(found, args.key, args.cache)
    against = _named(found, args.against, args.cache) if args.against else None
    if entry is None or (args.against and against is None):
        missing = args.key if entry is None else args.against
        say(f"No kernel cache here has an entry {missing!r}; `cachetop kernels` lists them.")
        return FAILED
    if args.stage or against is not None:
        try:
            text = _text(args, entry, scanner)
            shown = text.lines if against is None else _difference(args, entry, text, against, scanner)
        except (ValueError, OSError) as error:
            say(str(error))
            return FAILED
        print("\n".join(shown))
        if text.cut:
            say(f"Only the beginning is shown: the whole is {text.size:,} bytes long.")
        return DONE
    described = describe(entry, scanner)
    described = msgspec.structs.replace(described, checks=checks(entry, found.entries, scanner, sms))
    if args.json:
        emit(described)
    else:
        print("\n".join(lines(described)))
    return DONE


def _named(found: Kernels, key: str, cache: str | None) -> Entry | None:
    """The one entry that `key` names, None for none. Raises Refused when it names several."""
    meant = matching(found, key, cache)
    if len(meant) > 1:
        names = ", ".join(f"{entry.cache} {entry.path}" for entry in meant[:_SHOWN])
        raise Refused(f"{key!r} names {len(meant)} entries: {names}; give more of the key, its path, or --cache")
    return meant[0] if meant else None


def matching(found: Kernels, key: str, cache: str | None) -> list[Entry]:
    """The entries that `key` names: by key or path, else by a beginning of the key of at least four characters."""
    there = [entry for entry in found.entries if not cache or cache in (entry.kind, entry.cache)]
    exact = [entry for entry in there if key in (entry.key, entry.path)]
    return exact or [entry for entry in there if len(key) >= 4 and entry.key.startswith(key)]


def _text(args: argparse.Namespace, entry: Entry, scanner: Scanner) -> Text:
    stage = args.stage or "ptx"
    if stage == "sass":
        from cachetop.kernelcache.sass import disassemble

        return disassemble(entry, scanner, args.nvdisasm)
    from cachetop.kernelcache.stages import stage_text

    return stage_text(entry, scanner, stage)


def _difference(
    args: argparse.Namespace, entry: Entry, text: Text, against: Entry, scanner: Scanner
) -> tuple[str, ...]:
    """As `diff -u` writes it, from the other entry to this one."""
    from cachetop.kernelcache.compare import difference

    changes = difference(_text(args, against, scanner), text)
    names = (" ".join(one.sm) or one.key for one in (against, entry))
    head = (f"{mark} {name}" for mark, name in zip(("---", "+++"), names, strict=True))
    return (*head, *(one.text if one.sign == "@" else one.sign + one.text for one in changes))


def lines(one: Described) -> list[str]:
    """The description for people: what it is, what it takes, its files, its verdicts."""
    from cachetop.base import units

    out = [f"{one.name or one.key}: {one.target or ' '.join(one.sm) or 'no SM named'}, {one.state}"]
    facts: list[tuple[str, str]] = [("key", one.key), ("cache", one.cache), ("path", one.location)]
    if one.source:
        facts.append(("source", f"{one.source}:{one.source_line}"))
    made = [f"{name} {value}" for name, value in one.producer.to_dict().items() if value]
    facts.append(("made by", ", ".join(made) or units.UNKNOWN))
    facts.append(("built by", _built_by(one.built_by)))
    facts.append(("made", f"{units.age(one.created)} ago" if units.age(one.created) != "now" else "now"))
    used = "never read since" if one.reused is False else units.age(one.last_used)
    facts.append(("last used", used))
    facts.append(("on disk", f"{units.size(one.size_on_disk)} in {units.many(one.files, 'file')}"))
    if one.rebuild_milliseconds is not None:
        facts.append(("rebuild", units.duration(one.rebuild_milliseconds / 1000)))
    if one.resources is not None:
        taken = one.resources.to_dict()
        facts += [
            (name.replace("_", " "), units.UNKNOWN if n is None else _taken(name, n)) for name, n in taken.items()
        ]
    else:
        facts.append(("resources", f"{units.UNKNOWN} ({one.resources_reason})"))
    width = max(len(name) for name, _ in facts)
    out += [f"  {name:{width}}  {value}" for name, value in facts]
    if one.functions:
        out.append("  functions")
        for each in one.functions:
            taken = each.resources.to_dict()
            said = ", ".join(
                f"{name.replace('_', ' ')} {_taken(name, n)}" for name, n in taken.items() if n is not None
            )
            out.append(f"    {each.name}  ({each.file}): {said}")
    if one.options:
        out.append("  options")
        out += [f"    {name} = {'none' if value is None else value}" for name, value in one.options.items()]
    if one.stages:
        out.append("  files")
        for stage in one.stages:
            took = "" if stage.milliseconds is None else f"  {units.duration(stage.milliseconds / 1000)}"
            out.append(f"    {stage.name:12} {units.size(stage.size):>9}  {stage.file}{took}")
    out += [f"  problem: {problem.message}" for problem in one.problems]
    return out + list(_verdict(one))


def _taken(name: str, count: int) -> str:
    """One of the resources with its unit: `776 B`, `32`."""
    return f"{count:,} B" if name in _BYTES else f"{count:,}"


def _verdict(one: Described) -> Iterator[str]:
    """Rule by rule why it is of no use here, or what speaks against that: `!` hit, `?` cannot be told."""
    found = [("!", verdict.rule, verdict.evidence) for verdict in one.stale]
    found += [({True: " ", False: "!", None: "?"}[check.holds], check.rule, check.evidence) for check in one.checks]
    if not found:
        return
    yield f"  {'stale' if any(mark == '!' for mark, _, _ in found) else 'not stale'}"
    width = max(len(rule) for _, rule, _ in found)
    for mark, rule, evidence in found:
        yield f"  {mark} {rule:{width}}  {evidence}"


def _built_by(who: Builder) -> str:
    """`ana, pid 4711, which has ended`."""
    told = [who.user or "?"]
    if who.pid is not None:
        ends = {True: " (still runs)", False: " (has ended)", None: ""}[who.running]
        told.append(f"pid {who.pid}{ends}")
    return ", ".join(told)
