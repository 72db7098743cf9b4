"""What the doctor found, as frozen records (`cachetop.doctor/1`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cachetop.base.record import Record

SCHEMA = "cachetop.doctor/1"
Severity = Literal["ok", "note", "warning", "error"]


class Finding(Record, frozen=True):
    """One fact. `reason`: what decided it, or what it means. `fix`: what to do, where there is something to do."""

    area: str
    subject: str
    value: str
    reason: str | None = None
    severity: Severity = "ok"
    fix: str | None = None


class Doctor(Record, frozen=True):
    """Everything that was examined, in the order in which it is shown."""

    schema: str = SCHEMA
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Area:
    """Makes the findings of one area."""

    name: str

    def ok(self, subject: str, value: str, reason: str | None = None) -> Finding:
        """Nothing to remark."""
        return self.of("ok", subject, value, reason)

    def note(self, subject: str, value: str, reason: str, fix: str | None = None) -> Finding:
        """Worth knowing; nothing is wrong."""
        return self.of("note", subject, value, reason, fix)

    def warning(self, subject: str, value: str, reason: str, fix: str | None) -> Finding:
        """Something works worse than it could."""
        return self.of("warning", subject, value, reason, fix)

    def error(self, subject: str, value: str, reason: str, fix: str | None) -> Finding:
        """Something does not work."""
        return self.of("error", subject, value, reason, fix)

    def of(self, severity: Severity, subject: str, value: str, reason: str | None, fix: str | None = None) -> Finding:
        """A finding of a severity known only at run time."""
        return Finding(area=self.name, subject=subject, value=value, reason=reason, severity=severity, fix=fix)
