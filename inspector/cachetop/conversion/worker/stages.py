"""See every stage of every page: pipelines whose models are wrapped in callables that report.

The subclass goes through docling's public `FormatOption.pipeline_cls`; the attributes it wraps are those
of StandardPdfPipeline and VlmPipeline in docling 2.139 to 2.143.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from .record import Recorder

_STAGES = {
    "preprocess": "preprocessing_model",
    "layout": "layout_model",
    "ocr": "ocr_model",
    "layout_postprocess": "layout_postprocessing_model",
    "table": "table_model",
    "form_field": "form_field_model",
    "assemble": "assemble_model",
}


_PATIENCE = 4.0
"""Seconds that one call of a stage may take before it is said that others wait for it."""


class StageWatch:
    """Reports `stage-finished`, and remembers what each page of the document at hand has cost."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.file = ""
        self.spent: defaultdict[int, float] = defaultdict(float)
        """Seconds of stages by page of the current document."""
        self.after: Callable[[str], None] = lambda stage: None
        """Called when a stage is through with a batch."""
        self._calls: dict[int, tuple[str, list[int], float]] = {}
        self._lock = threading.Lock()

    def open(self, file: str) -> None:
        """Begin a document."""
        self.file = file
        self.spent = defaultdict(float)

    def run(self, stage: str, model: Any, conv_res: Any, pages: Iterable[Any]) -> list[Any]:
        """Run one stage on a batch of pages; each page is told its equal share of the batch's seconds."""
        batch = list(pages)
        job, file, spent = self._recorder.job, self.file, self.spent
        began = time.monotonic()
        with self._lock:
            self._calls[id(batch)] = stage, [page.page_no for page in batch], began
        try:
            done = list(model(conv_res, batch))
        finally:
            with self._lock:
                self._calls.pop(id(batch), None)
        share = (time.monotonic() - began) / max(len(batch), 1)
        if self._recorder.job != job:
            return done  # the call outlived the job that was cancelled around it
        self.after(stage)
        for page in batch:
            spent[page.page_no] += share
            self._recorder.emit(
                "stage-finished", file=file, page=page.page_no, stage=stage, seconds=round(share, 6), batch=len(batch)
            )
        return done

    @property
    def at_work(self) -> tuple[str, list[int], float] | None:
        """(stage, pages, since) of the call that has lasted longest; None when no stage works."""
        with self._lock:
            return min(self._calls.values(), key=lambda call: call[2], default=None)

    def watch(self, done: threading.Event) -> None:
        """Until `done`, say which call lasts long, so that others wait for it: `waiting`, after 4, 8, 16 ... s."""

        def look() -> None:
            told, patience = 0.0, _PATIENCE
            while not done.wait(_PATIENCE / 4):
                call = self.at_work
                if call is None:
                    continue
                stage, pages, since = call
                if since != told:
                    told, patience = since, _PATIENCE
                lasted = time.monotonic() - since
                if lasted >= patience:
                    patience *= 2  # said ever more rarely of one call
                    self._recorder.emit("waiting", file=self.file, stage=stage, pages=pages, seconds=round(lasted, 3))

        threading.Thread(target=look, name="stall", daemon=True).start()

    def watched(self, base: Any) -> Any:
        """`base`, a pipeline class, with its stages reporting."""
        watch = self

        class Watched(base):  # type: ignore[misc]
            """The pipeline, its stages reported."""

            def __init__(self, pipeline_options: Any) -> None:
                super().__init__(pipeline_options)
                found = False
                for stage, attribute in _STAGES.items():
                    if hasattr(self, attribute):
                        setattr(self, attribute, _Stage(watch, stage, getattr(self, attribute)))
                        found = True
                if not found:
                    models: Any = getattr(self, "build_pipe", [])
                    self.build_pipe = [_Stage(watch, "vlm", model) for model in models]

        Watched.__name__ = Watched.__qualname__ = base.__name__
        return Watched


class _Stage:
    """A page model as docling calls it; everything else about it is the model's own."""

    def __init__(self, watch: StageWatch, stage: str, model: Any) -> None:
        self.__dict__.update(_watch=watch, _stage=stage, _model=model)

    def __call__(self, conv_res: Any, pages: Iterable[Any]) -> list[Any]:
        return self._watch.run(self._stage, self._model, conv_res, pages)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_model"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_model"], name, value)
