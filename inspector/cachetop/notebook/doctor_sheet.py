"""What the doctor found, as it is shown."""

from __future__ import annotations

from cachetop.doctor.records import Doctor
from cachetop.notebook.sheet import Cell, Sheet, count

_TONES = {"ok": "", "note": "note", "warning": "warning", "error": "error"}


def doctor(found: Doctor) -> Sheet:
    """The findings by area; then what is to be done about those that are not as they should be."""
    counts = {tone: sum(one.severity == tone for one in found.findings) for tone in ("error", "warning", "note")}
    said = ", ".join(count(number, tone) for tone, number in counts.items() if number)
    made = Sheet(f"Doctor: {said or 'nothing to remark'}")
    for area in dict.fromkeys(one.area for one in found.findings):
        rows: list[tuple[Cell, ...]] = [
            (one.subject, one.value, one.reason or "", _TONES[one.severity])
            for one in found.findings
            if one.area == area
        ]
        made.table(area.capitalize(), "SUBJECT|VALUE|WHY|", rows)
    for one in found.findings:
        if one.fix:
            made.remark(_TONES[one.severity] or "note", f"{one.subject}: {one.fix}")
    return made
