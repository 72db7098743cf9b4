"""`%cachetop convert FILE`: a conversion with its phases in the cell's output, and what came out of it."""

from __future__ import annotations

import argparse
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError

from cachetop import api
from cachetop.base.hostile import show
from cachetop.conversion.launch import JobHandle
from cachetop.conversion.records import Run
from cachetop.conversion.report import report
from cachetop.conversion.verdicts import JobReport
from cachetop.notebook.output import Output
from cachetop.notebook.show import Shown, bundle

_EVERY = 0.25
"""Seconds between two updates of the output."""
_ALWAYS = ("md", "json")


class Conversion(Shown):
    """A finished conversion of one or more documents. It shows itself as its report."""

    def __init__(self, run: Run) -> None:
        self.run = run
        """The whole picture: phases, loads, kernels, notices."""
        self.report: JobReport = report(run)
        """What its time went into, and why."""

    @property
    def outputs(self) -> list[Path]:
        """The files that were written."""
        return [Path(path) for document in self.run.documents for path in document.outputs]

    @property
    def markdown(self) -> str:
        """The text of the only document, or of all of them one after the other. Raises ValueError without one."""
        return "\n\n".join(path.read_text(encoding="utf-8") for path in self._of(".md"))

    @property
    def document(self) -> Any:
        """The only document as docling's own `DoclingDocument`.

        Raises ValueError when there is none or there are several (see `documents`), ImportError with a sentence
        where docling is not installed in this environment: the conversion may run under another one.
        """
        found = self.documents
        if len(found) != 1:
            raise ValueError(f"there are {len(found)} documents; `documents` has all of them")
        return found[0]

    @property
    def documents(self) -> list[Any]:
        """All documents as docling's own `DoclingDocument`. Raises as `document` does."""
        try:
            kind = import_module("docling_core.types.doc").DoclingDocument
        except ImportError as error:
            raise ImportError(
                "docling-core is not installed in this environment; `markdown` and `outputs` do not need it"
            ) from error
        return [kind.load_from_json(path) for path in self._of(".json")]

    def __repr__(self) -> str:
        return f"<Conversion {self.run.job.id}: {self.run.status or self.run.job.state}>"

    def shown(self) -> JobReport:
        """The report."""
        return self.report

    def _of(self, ending: str) -> list[Path]:
        found = [path for path in self.outputs if path.suffix == ending]
        if not found:
            why = "; ".join(notice.message for notice in self.run.notices if notice.level == "error")
            raise ValueError(f"the conversion wrote no {ending} file" + (f": {why}" if why else ""))
        return found


def convert(asked: argparse.Namespace, output: Output) -> Conversion:
    """Start the job, show its phases until it ends, give the result. Interrupting the cell cancels the job.

    Raises ValueError with a sentence where it cannot be started, UsageError for a file that is not there.
    """
    for file in asked.file:
        if not Path(file).expanduser().is_file():
            raise UsageError(f"{show(file)} is not a file")
    handle = api.convert(
        [Path(file).expanduser() for file in asked.file],
        pipeline=asked.pipeline,
        device=asked.device,
        to=tuple(dict.fromkeys((*_ALWAYS, *asked.to))),
        output=asked.output,
        force=asked.force,
        python=asked.python,
        keep_warm=asked.keep_warm,
    )
    return Conversion(follow(handle, output))


def follow(handle: JobHandle, output: Output) -> Run:
    """Show a job in the cell's output until it ends."""
    last = 0.0
    try:
        for _ in handle.events():
            now = time.monotonic()
            if output.lively and now - last >= _EVERY:
                last = now
                output.show(bundle(handle.run()))
    except KeyboardInterrupt:
        handle.cancel()
        for _ in handle.events(timeout=10):
            pass
        output.show(bundle(handle.run()))
        raise
    run = handle.run()
    output.show(bundle(run))
    return run
