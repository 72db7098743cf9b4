"""Convert the documents of a job, one after the other, and say how far each of them is."""

import os
import time
from pathlib import Path
from typing import Any

from .complaints import count_pages, out_of_memory, refused, unreadable
from .control import Control
from .exports import Exists, Outputs
from .job import Job
from .pipelines import Engine, Watches
from .record import Recorder

_NAME_ONE = "Name an existing, readable document."


def refuse(job: Job, sound: dict[str, str | None], recorder: Recorder) -> str:
    """Say of every file why it cannot be converted at all; returns the job's status."""
    for path in job.files:
        recorder.emit("error", message=sound[path], hint=_NAME_ONE)
        recorder.emit("document-finished", file=path, status="failure", pages=0, seconds=0.0, outputs=[])
    return "failed"


class Conversion:
    """The document loop of one job."""

    def __init__(
        self, job: Job, engine: Engine, watches: Watches, control: Control, password: str | None = None
    ) -> None:
        self._job = job
        self._password = password
        self._engine = engine
        self._watches = watches
        self._recorder = watches.recorder
        self._control = control
        self._outputs = Outputs(job)
        self._pages_before = 0
        self._done = 0
        self._total: int | None = None
        self.statuses: list[str] = []
        self.exhausted = False
        """Whether memory ran out: such a process is not kept."""

    def run(self, sound: dict[str, str | None]) -> str:
        """Convert every file; `sound` maps a file to its problem. Returns the job's status."""
        counts = [
            count_pages(path, self._password)
            for path in self._job.files
            if not sound[path] and path.lower().endswith(".pdf")
        ]
        first, last = self._job.page_range or (1, max((count or 0 for count in counts), default=0))
        self._total = None if None in counts else sum(max(0, min(count or 0, last) - first + 1) for count in counts)
        for path in self._job.files:
            if self._control.cancelled:
                break
            self.statuses.append(self._one(path, sound[path]))
        if self._control.cancelled:
            return "cancelled"
        good = sum(status == "success" for status in self.statuses)
        some = good + sum(status == "partial_success" for status in self.statuses)
        return "success" if good == len(self.statuses) else "partial" if some else "failed"

    def _one(self, path: str, trouble: str | None) -> str:
        began = time.monotonic()
        if trouble:
            self._error(trouble, _NAME_ONE)
            return self._finished(path, "failure", 0, began, [])
        try:
            planned = self._outputs.plan(path)
        except Exists as error:
            self._error(str(error), "Use --force to overwrite it, or --output for another folder.")
            return self._finished(path, "failure", 0, began, [])
        with self._recorder.phase("convert"):
            results = self._convert(path)
        if self._control.cancelled:
            return self._finished(path, "cancelled", self._done, began, self._rescue(path, results, planned))
        if not results:
            self._error(*refused(path, self._engine.pipeline))
            return self._finished(path, "failure", 0, began, [])
        return self._export(path, results, planned, began)

    def _convert(self, path: str) -> list[Any]:
        self._watches.stages.open(path)
        seen = _Progress(self, path)
        try:
            return list(
                self._engine.converter.convert_all(
                    [Path(path)], raises_on_error=False, progress_callback=seen.event, **self._pages()
                )
            )
        finally:
            self._control.leave(self._engine)
            self._watches.models.settle()
            self._pages_before += seen.pages
            self._done = seen.good

    def _pages(self) -> dict[str, Any]:
        return {"page_range": self._job.page_range} if self._job.page_range else {}

    def _export(self, path: str, results: list[Any], planned: dict[str, str], began: float) -> str:
        outputs: list[str] = []
        statuses: list[str] = []
        for number, result in enumerate(results):
            status = str(result.status.value)
            self._explain(path, status, result.errors)
            if status in ("success", "partial_success"):
                try:
                    names = planned if not number else self._outputs.plan(str(result.input.file))
                    with self._recorder.phase("export"):
                        for to, output in names.items():
                            self._outputs.write(result.document, to, output)
                            outputs.append(output)
                except (Exists, OSError) as error:
                    self._error(f"The output of {path} was not written: {error}", "Check the folder, or use --output.")
                    status = "failure"
            statuses.append(status)
        pages = _pages_of(results)
        if len(set(statuses)) > 1 and set(statuses) & {"success", "partial_success"}:
            return self._finished(path, "partial_success", pages, began, outputs)
        return self._finished(path, statuses[0], pages, began, outputs)

    def _rescue(self, path: str, results: list[Any], planned: dict[str, str]) -> list[str]:
        """Write the pages that were finished before the cancel, under a name that says they are not all."""
        outputs: list[str] = []
        if len(results) != 1 or not results[0].document.pages:
            return outputs
        with self._control.saving(), self._recorder.phase("export"):
            for to, output in planned.items():
                stem, extension = os.path.splitext(output)
                try:
                    self._outputs.write(results[0].document, to, f"{stem}.partial{extension}")
                    outputs.append(f"{stem}.partial{extension}")
                except (Exists, OSError) as error:
                    message = f"The finished pages of {path} were not written: {error}"
                    self._recorder.emit("warning", message=message, hint=None)
        return outputs

    def _explain(self, path: str, status: str, errors: list[Any]) -> None:
        """docling's errors as sentences: an error where nothing came out, a warning for each page that failed."""
        texts = [str(error.error_message).strip() for error in errors]
        self.exhausted = self.exhausted or any(out_of_memory(text) for text in texts)
        if status == "skipped":
            self._error(*refused(path, self._engine.pipeline))
        elif status not in ("success", "partial_success"):
            self._error(*unreadable(path, "\n".join(texts), self._password))
        for error, text in zip(errors, texts, strict=True):
            page = getattr(error, "page_no", None)
            if status == "partial_success":
                where = f"Page {page} of {path}" if page else path
                message, hint = unreadable(path, text) if out_of_memory(text) else (f"{where}: {text[:1000]}", None)
                self._recorder.emit("warning", message=message, hint=hint)

    def _error(self, message: str, hint: str | None) -> None:
        self._recorder.emit("error", message=message, hint=hint)

    def _finished(self, path: str, status: str, pages: int, began: float, outputs: list[str]) -> str:
        self._recorder.emit(
            "document-finished", file=path, status=status, pages=pages, seconds=round(time.monotonic() - began, 6),
            outputs=outputs,
        )  # fmt: skip
        return status

    def page(self, path: str, told: Any, done: int) -> None:
        """One page is through."""
        spent = self._watches.stages.spent.get(told.page_no)
        self._recorder.emit(
            "page-finished", file=path, page=told.page_no, pages=told.total_pages,
            seconds=None if spent is None else round(spent, 6), success=told.success,
        )  # fmt: skip
        self._recorder.emit(
            "progress", phase="convert", done=self._pages_before + done, total=self._total, unit="pages"
        )

    def enriched(self, path: str, step: str, done: int, total: int, items: int, seconds: float) -> None:
        """Some items, pictures or formulas, are through an enrichment."""
        self._recorder.emit(
            "stage-finished", file=path, page=None, stage=step, seconds=round(seconds, 6), batch=items, done=done,
            total=total,
        )  # fmt: skip

    def building(self) -> None:
        """docling has fetched the pipeline and now works on pages: from here it can be hurried."""
        self._control.enter(self._engine)


def _pages_of(results: list[Any]) -> int:
    return sum(len(one.document.pages) for one in results)


class _Progress:
    """docling's progress events of one document."""

    def __init__(self, conversion: Conversion, path: str) -> None:
        self._conversion = conversion
        self._path = path
        self.pages = 0
        self.good = 0
        self._enriched: tuple[str, int, float] | None = None

    def event(self, told: Any) -> None:
        kind = told.kind.value
        if kind == "page_completed":
            self.pages += 1
            self.good += bool(told.success)
            self._conversion.page(self._path, told, self.pages)
        elif kind == "phase_started" and told.phase.value == "build":
            self._conversion.building()
        elif kind == "enrichment_progress":
            self._enrich(told)

    def _enrich(self, told: Any) -> None:
        """Items of one enrichment, which follow the pages: the first word on it says none, the others how many."""
        step, done, now = str(told.step.value), int(told.completed_items), time.monotonic()
        before, self._enriched = self._enriched, (step, done, now)
        if before is not None and before[0] == step and done > before[1]:
            self._conversion.enriched(self._path, step, done, int(told.total_items), done - before[1], now - before[2])
