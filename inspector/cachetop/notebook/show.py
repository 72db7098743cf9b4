"""How a notebook shows a record: a sheet for each kind of snapshot, and any other record field by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cachetop.base.record import Record
from cachetop.conversion.records import JobReport, Jobs, Run
from cachetop.gpu.records import Gpus
from cachetop.hub.records import Models
from cachetop.kernelcache.records import Kernels
from cachetop.notebook import conversion_sheet, markup, plain, prune_sheet, report_sheet, snapshots
from cachetop.notebook.records import Report
from cachetop.notebook.sheet import Sheet
from cachetop.prune.records import Plan, Result, Undone
from cachetop.summary import Status

_SHEETS: dict[type, Callable[[Any], Sheet]] = {
    Models: snapshots.models,
    Kernels: snapshots.kernels,
    Gpus: snapshots.gpus,
    Status: snapshots.status,
    Jobs: conversion_sheet.jobs,
    Run: conversion_sheet.run,
    JobReport: conversion_sheet.report,
    Report: report_sheet.sheet,
    Plan: prune_sheet.plan,
    Result: prune_sheet.result,
    Undone: prune_sheet.undone,
}
REPORT_TYPE = "application/vnd.cachetop.report.v1+json"


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
    shown = sheet(record)
    found: dict[str, Any] = {"text/plain": plain.text(shown), "text/html": markup.html(shown)}
    if isinstance(record, Report):
        found[REPORT_TYPE] = record.to_dict()
    return found


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
