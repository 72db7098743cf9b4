"""A job's events folded into one picture, event by event.

Feeding an event costs the same whether it is the first or the ten-thousandth, and `run` reuses every part
that has not changed since the last call, so that a view may ask ten times a second. Events come from a file
that another program wrote: what is missing or of the wrong type counts as unknown, and an event that makes
no sense is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cachetop.base.hostile import clean
from cachetop.conversion import parts
from cachetop.conversion.events import Event
from cachetop.conversion.growing import Grown
from cachetop.conversion.loads import LoadFold
from cachetop.conversion.records import (
    PHASES,
    STARTS,
    Document,
    Download,
    Job,
    KernelSeen,
    Notice,
    Phase,
    Run,
    Stage,
    Tokens,
)
from cachetop.conversion.usage import VramFold
from cachetop.conversion.values import STATES, count, mapping, number, sentence, sequence, text


class Fold:
    """One job's picture. `job` may be replaced by a newer listing of the same job at any time."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._run: Run | None = None
        self._last = job.started
        self._facts: dict[str, Any] = {}
        self._spans: dict[str, list[tuple[float, float | None]]] = {}
        self._seconds: dict[str, float] = {}
        self._progress: dict[str, tuple[int, int | None, str]] = {}
        self._documents: Grown[Document] = Grown()
        self._index: dict[str, int] = {}
        self._loads = LoadFold()
        self._kernels: Grown[KernelSeen] = Grown()
        self._downloads: Grown[Download] = Grown()
        self._fetched: dict[tuple[str, str], int] = {}
        self._stages: Grown[Stage] = Grown()
        self._pages: Grown[tuple[int, float, bool]] = Grown()
        self._vram = VramFold()
        self._inactive: Grown[tuple[str, str]] = Grown()
        self._notices: Grown[Notice] = Grown()
        self._tokens: Grown[Tokens] = Grown()
        for file in job.files:
            self._document(file)

    @property
    def job(self) -> Job:
        """The job this is the picture of."""
        return self._job

    @job.setter
    def job(self, job: Job) -> None:
        if job != self._job:
            self._job, self._run = job, None

    @property
    def ended(self) -> bool:
        """Whether `job-finished` has come."""
        return "status" in self._facts

    def feed(self, event: Event) -> None:
        """Take in one event. Never raises for what is in it."""
        take = _TAKERS.get(str(event.get("event")))
        if take is None:
            return
        moment = number(event.get("time"))
        self._last = moment = self._last if moment is None else moment
        if event["event"] != "vram":
            self._facts["heard"] = moment
        take(self, event, moment)
        self._run = None

    def run(self) -> Run:
        """The picture as it stands now."""
        if self._run is None:
            self._run = self._build()
        return self._run

    def _build(self) -> Run:
        facts = self._facts
        job = self._job
        if "status" in facts:
            job = msgspec.structs.replace(
                job, state=STATES[facts["status"]], status=facts["status"], seconds=facts["seconds"]
            )
        over = job.state not in ("queued", "running")
        return Run(
            job=job,
            start=facts.get("start"),
            start_reason=facts.get("start_reason"),
            status=facts.get("status"),
            python=facts.get("python"),
            versions=facts.get("versions", {}),
            phases=tuple(self._phase(name, over) for name in PHASES if name in self._spans or name in self._seconds),
            progress=dict(self._progress),
            documents=self._documents.frozen(),
            loads=self._loads.frozen(),
            kernels=self._kernels.frozen(),
            downloads=self._downloads.frozen(),
            stages=self._stages.frozen(),
            pages=self._pages.frozen(),
            tokens=self._tokens.frozen(),
            waiting=facts.get("waiting"),
            dropped=facts.get("dropped"),
            vram=self._vram.samples.frozen(),
            phase_vram=self._vram.phases(),
            allocators=self._vram.allocators(),
            hooks_inactive=self._inactive.frozen(),
            notices=self._notices.frozen(),
            compile_note=facts.get("compile_note"),
            finished=facts.get("finished"),
            device=facts.get("device"),
            checks=facts.get("checks", ()),
            gpu=facts.get("gpu"),
            queued=facts.get("queued"),
            pipeline=facts.get("pipeline"),
            pipeline_reason=facts.get("pipeline_reason"),
            reason=facts.get("reason"),
            heard=facts.get("heard"),
            step=facts.get("step"),
        )

    def _phase(self, name: str, over: bool) -> Phase:
        spans = tuple(self._spans.get(name, ()))
        if over and spans and spans[-1][1] is None:  # whoever would have closed it has ended
            spans = (*spans[:-1], (spans[-1][0], max(spans[-1][0], self._last)))
        return Phase(name=name, spans=spans, seconds=self._seconds.get(name))

    def _document(self, file: str) -> int:
        if file not in self._index:
            self._index[file] = len(self._documents.items)
            self._documents.append(Document(file=file))
        return self._index[file]

    def _update(self, file: Any, change: Callable[[Document], Document]) -> None:
        name = text(file)
        if name:
            index = self._document(name)
            self._documents.replace(index, change(self._documents.items[index]))

    def _started(self, event: Event, moment: float) -> None:
        self._facts["python"] = text(event.get("python"))
        self._facts["versions"] = {clean(str(k)): clean(str(v)) for k, v in mapping(event.get("versions")).items()}
        self._start(event)
        files = [clean(str(file)) for file in sequence(event.get("files"))]
        if files and not any(document.pages_done or document.status for document in self._documents.items):
            self._documents, self._index = Grown(), {}  # the worker's own spelling: its events use it
        for file in files:
            self._document(file)

    def _start(self, event: Event) -> None:
        if event.get("start") in STARTS:
            self._facts["start"] = event["start"]
        if event.get("start_reason"):
            self._facts["start_reason"] = sentence(event["start_reason"])

    def _finished(self, event: Event, moment: float) -> None:
        status = text(event.get("status"))
        self._facts["status"] = status if status in STATES else "failed"
        self._facts["seconds"] = number(event.get("seconds"))
        self._facts["finished"] = moment
        self._facts["reason"] = text(event.get("reason"))
        self._start(event)
        for name, seconds in mapping(event.get("phases")).items():
            if name in PHASES and (known := number(seconds)) is not None and (known > 0 or name in self._spans):
                self._seconds[name] = known

    def _phase_started(self, event: Event, moment: float) -> None:
        name = event.get("phase")
        if name in PHASES:
            spans = self._spans.setdefault(name, [])
            if not spans or spans[-1][1] is not None:
                spans.append((moment, None))

    def _phase_finished(self, event: Event, moment: float) -> None:
        name, seconds = event.get("phase"), number(event.get("seconds"))
        if name not in PHASES:
            return
        spans = self._spans.setdefault(name, [])
        if spans and spans[-1][1] is None:
            spans[-1] = (spans[-1][0], max(moment, spans[-1][0]))
        else:
            spans.append((moment - (seconds or 0.0), moment))
        if seconds is not None:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def _progressed(self, event: Event, moment: float) -> None:
        done = count(event.get("done"))
        if event.get("phase") in PHASES and done is not None:
            total = count(event.get("total"))
            self._progress[event["phase"]] = (done, total, text(event.get("unit")) or "")

    def _downloaded(self, event: Event, moment: float) -> None:
        key = (text(event.get("repo")) or "?", text(event.get("file")) or "?")
        got = count(event.get("bytes")) or 0
        first = self._downloads.items[self._fetched[key]].since if key in self._fetched else (moment, got)
        now = Download(repo=key[0], file=key[1], bytes=got, total=count(event.get("total")), since=first, time=moment)
        if key in self._fetched:
            self._downloads.replace(self._fetched[key], now)
        else:
            self._fetched[key] = len(self._downloads.items)
            self._downloads.append(now)

    def _kernel(self, event: Event, moment: float) -> None:
        self._kernels.append(parts.kernel(event, moment))

    def _generated(self, event: Event, moment: float) -> None:
        now = parts.tokens(event, moment)
        last = self._tokens.items[-1] if self._tokens.items else None
        if last is not None and not last.done and last.pages == now.pages:
            self._tokens.replace(len(self._tokens.items) - 1, now)
        else:
            self._tokens.append(now)

    def _waited(self, event: Event, moment: float) -> None:
        self._facts["waiting"] = parts.waiting(event, moment)
        if event.get("stage") == "gpu":
            self._facts["queued"] = sentence(event.get("message"))

    def _stepped(self, event: Event, moment: float) -> None:
        self._facts["step"] = parts.step(event, moment)

    def _given(self, event: Event, moment: float) -> None:
        self._facts["gpu"] = parts.gpu(event)
        self._facts.pop("waiting", None)

    def _dropped(self, event: Event, moment: float) -> None:
        self._facts["dropped"] = count(event.get("bytes"))

    def _stage(self, event: Event, moment: float) -> None:
        seconds = number(event.get("seconds"))
        if seconds is not None:
            stage = text(event.get("stage")) or "?"
            batch = count(event.get("batch")) or 1
            page = count(event.get("page"))
            self._stages.append(Stage(stage=stage, page=page, end=moment, seconds=seconds, batch=batch))
            self._facts.pop("waiting", None)

    def _page(self, event: Event, moment: float) -> None:
        page = count(event.get("page"))
        if page is not None:
            self._pages.append((page, moment, event.get("success") is not False))
        total = count(event.get("pages"))
        self._update(
            event.get("file"),
            lambda document: msgspec.structs.replace(
                document,
                pages_done=document.pages_done + 1,
                pages=document.pages if total is None else total,
            ),
        )

    def _document_done(self, event: Event, moment: float) -> None:
        pages = count(event.get("pages"))
        self._update(
            event.get("file"),
            lambda document: msgspec.structs.replace(
                document,
                status=text(event.get("status")) or "?",
                pages=document.pages if pages is None else pages,
                seconds=number(event.get("seconds")),
                outputs=tuple(clean(str(path)) for path in sequence(event.get("outputs"))),
            ),
        )

    def _used(self, event: Event, moment: float) -> None:
        self._vram.feed(event, moment, [name for name, spans in self._spans.items() if spans[-1][1] is None])

    def _notice(self, event: Event, moment: float) -> None:
        self._notices.append(parts.notice(event, moment))

    def _hooks(self, event: Event, moment: float) -> None:
        for hook in sequence(event.get("inactive")):
            found = mapping(hook)
            self._inactive.append((text(found.get("name")) or "?", sentence(found.get("reason")) or ""))

    def _device(self, event: Event, moment: float) -> None:
        self._facts["device"] = text(event.get("chosen"))
        self._facts["checks"] = parts.checks(event)

    def _pipeline(self, event: Event, moment: float) -> None:
        self._facts["pipeline"] = text(event.get("chosen"))
        self._facts["pipeline_reason"] = sentence(event.get("reason"))

    def _compile_note(self, event: Event, moment: float) -> None:
        self._facts["compile_note"] = sentence(event.get("message"))


_TAKERS: dict[str, Callable[[Fold, Event, float], None]] = {
    "job-started": Fold._started,
    "job-finished": Fold._finished,
    "hooks": Fold._hooks,
    "phase-started": Fold._phase_started,
    "phase-finished": Fold._phase_finished,
    "progress": Fold._progressed,
    "download": Fold._downloaded,
    "model-loading": lambda fold, event, moment: fold._loads.loading(event, moment),
    "model-read": lambda fold, event, moment: fold._loads.part(event, "read"),
    "model-moved": lambda fold, event, moment: fold._loads.part(event, "moved"),
    "model-loaded": lambda fold, event, moment: fold._loads.loaded(event, moment),
    "kernel-compiled": Fold._kernel,
    "kernel-hit": Fold._kernel,
    "stage-finished": Fold._stage,
    "page-finished": Fold._page,
    "tokens": Fold._generated,
    "waiting": Fold._waited,
    "step": Fold._stepped,
    "dropped": Fold._dropped,
    "document-finished": Fold._document_done,
    "vram": Fold._used,
    "warning": Fold._notice,
    "error": Fold._notice,
    "device": Fold._device,
    "gpu": Fold._given,
    "pipeline": Fold._pipeline,
    "compile-note": Fold._compile_note,
}
