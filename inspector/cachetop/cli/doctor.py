"""`cachetop doctor`: which variable decides which folder; file systems, limits, versions, driver; a fix for each."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cachetop.cli.exits import DONE, FAILED

if TYPE_CHECKING:
    from cachetop.doctor.records import Doctor

_MARKS = {"ok": "  ", "note": "- ", "warning": "! ", "error": "X "}


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb."""
    verb = verbs.add_parser("doctor", help="folders, limits, versions, driver; a fix for each", description=__doc__)
    verb.add_argument("--json", action="store_true", help="print cachetop.doctor/1")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 when one of them is an error, 0 with warnings."""
    from cachetop.cli import table
    from cachetop.doctor.examine import examine

    doctor = examine()
    if args.json:
        table.emit(doctor)
    else:
        print("\n".join(report(doctor)))
    return FAILED if any(finding.severity == "error" for finding in doctor.findings) else DONE


def report(doctor: Doctor) -> list[str]:
    """The findings as lines, by area: `-` a note, `!` a warning, `X` an error, each with its fix."""
    lines: list[str] = []
    area = ""
    width = max((len(finding.subject) for finding in doctor.findings), default=0)
    width = min(width, 30)
    for finding in doctor.findings:
        if finding.area != area:
            area = finding.area
            lines += [""] * bool(lines) + [area.capitalize()]
        reason = f"  ({finding.reason})" if finding.reason else ""
        lines.append(f"{_MARKS[finding.severity]}{finding.subject:<{width}}  {finding.value}{reason}")
        if finding.fix:
            lines.append(f"      fix: {finding.fix}")
    counts = {name: sum(f.severity == name for f in doctor.findings) for name in ("error", "warning", "note")}
    summary = ", ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items() if count)
    return [*lines, "", summary or "Nothing to remark."]
