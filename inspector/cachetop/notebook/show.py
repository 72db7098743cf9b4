"""How a notebook shows a record: a sheet for each kind of snapshot, and any other record field by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cachetop.base.record import Record
from cachetop.conversion.records import Jobs, Run
from cachetop.conversion.verdicts import JobReport
from cachetop.doctor.records import Doctor
from cachetop.gpu.records import Gpus
from cachetop.hub.about import About
from cachetop.hub.records import Asked, Models
from cachetop.kernelcache.records import Kernels
from cachetop.notebook import conversion_sheet, doctor_sheet, markup, plain, prune_sheet, report_sheet, snapshots
from cachetop.notebook.records import Report
from cachetop.notebook.sheet import Sheet
from cachetop.prune.records import Plan, Result, Undone
from cachetop.summary import Status

_SHEETS: dict[type, Callable[[Any], Sheet]] = {
    Models: snapshots.models,
    Asked: snapshots.models,
    About: snapshots.repo,
    Kernels: snapshots.kernels,
    Gpus: snapshots.gpus,
    Status: snapshots.status,
    Doctor: doctor_sheet.doctor,
    Jobs: conversion_sheet.jobs,
    Run: conversion_sheet.run,
    JobReport: conversion_sheet.report,
    Report: report_sheet.sheet,
    Plan: prune_sheet.plan,
    Result: prune_sheet.result,
    Undone: prune_sheet.undone,
}
REPORT_TYPE = "application/vnd.cachetop.report.v1+json"


class Shown:
    """What shows itself as a sheet or as a record, in every notebook: `shown` gives it, None where there is nothing."""

    def shown(self) -> Sheet | Record | None:
        """What is shown."""
        raise NotImplementedError

    def _repr_html_(self) -> str | None:
        return self._repr_mimebundle_().get("text/html")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        what = self.shown()
        if what is None:
            return {}
        return bundle(what) if isinstance(what, Record) else drawn(what)


def sheet(record: Record) -> Sheet:
    """What is shown of a record."""
    build = _SHEETS.get(type(record), _fields)
    return build(record)


def html(record: Record) -> str:
    """A record as self-contained HTML."""
    return markup.html(sheet(record))


def text(record: Record) -> str:
    """A record as plain text."""
    return plain.text(sheet(record))


def bundle(record: Record) -> dict[str, Any]:
    """Both, by MIME type; of a report its JSON as well."""
    found = drawn(sheet(record))
    if isinstance(record, Report):
        found[REPORT_TYPE] = record.to_dict()
    return found


def drawn(made: Sheet) -> dict[str, Any]:
    """A sheet as plain text and as HTML, by MIME type."""
    return {"text/plain": plain.text(made), "text/html": markup.html(made)}


def _fields(record: Record) -> Sheet:
    """A record without a sheet of its own: its plain fields as facts, its lists of records as tables."""
    made = Sheet(str(getattr(record, "schema", type(record).__name__)))
    for name, value in msgspec.structs.asdict(record).items():
        if isinstance(value, tuple) and value and isinstance(value[0], Record):
            columns = [field.name for field in msgspec.structs.fields(value[0])][:6]
            rows = [tuple(_said(getattr(one, column, None)) for column in columns) for one in value]
            made.table(name, "|".join(columns), rows)
        elif name != "schema":
            made.fact(name, _said(value))
    return made


def _said(value: object) -> str:
    if value is None:
        return "?"
    if isinstance(value, str):
        return value
    return str(msgspec.to_builtins(value))
