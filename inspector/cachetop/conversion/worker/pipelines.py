"""The converter of a job: what is imported, hooked and built once, and kept by a resident worker."""

import importlib
import os
import threading
from dataclasses import dataclass, field
from typing import Any

from . import offline
from .choose import CannotRun, Pick, ocr_problem, versions
from .device import Choice
from .downloads import watch_downloads
from .hooks import ModelWatch
from .kernels import KernelWatch
from .record import Recorder
from .stages import StageWatch


@dataclass
class Engine:
    """A converter with what the worker needs to watch and to stop it."""

    pipeline: str
    device: Choice
    converter: Any
    options: list[Any]
    stop: threading.Event
    formats: list[str]
    """Values of docling's InputFormat that the pipeline's models serve; the others need none."""
    ready: bool = False
    inactive: list[dict[str, str]] = field(default_factory=list)

    def hurry(self, on: bool) -> None:
        """Make the running document end at the next page (on), or put things back before the next one.

        docling has no cancel; its document timeout is read while it works. The options are also the key of
        its pipeline cache, so they must be as they were before another document begins.
        """
        (self.stop.set if on else self.stop.clear)()
        for options in self.options:
            options.document_timeout = 1e-9 if on else None


@dataclass
class Watches:
    """The hooks, which live as long as the process."""

    recorder: Recorder
    models: ModelWatch
    stages: StageWatch
    kernels: KernelWatch


def import_docling() -> Any:
    """`docling.document_converter`, or CannotRun with the reason it cannot be imported."""
    try:
        return importlib.import_module("docling.document_converter")
    except ImportError as error:
        if error.name and error.name.split(".")[0] == "torch":
            raise CannotRun(
                f"docling {versions().get('docling-slim', '?')} cannot be imported without torch: this release imports "
                "it unguarded.",
                "Install a release that does not (pip install 'docling-slim>=2.139,!=2.143.0'), or install torch.",
            ) from error
        raise CannotRun(
            f"docling cannot be imported: {error}.", "Reinstall it, or choose another Python with --python."
        ) from error


def build(chosen: Pick, device: Choice, compiled: bool, watches: Watches) -> Engine:
    """Import what the pipeline needs, install the hooks, and make the converter; no model is loaded yet.

    Raises CannotRun. `device` must have been chosen; docling falls back to nothing else.
    """
    native = chosen.chosen == "native"
    if not native:
        _prepare(chosen, compiled, device, watches)
    module = import_docling()
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.settings import settings

    stop = threading.Event()
    unwatched: list[dict[str, str]] = []

    def watched(pipeline: Any) -> Any:
        try:
            return watches.stages.watched(pipeline)
        except Exception as error:
            unwatched.append({"name": "stages", "reason": f"{type(error).__name__}: {error}"})
            return pipeline

    if native:
        unwatched.append({"name": "stages", "reason": "the native pipeline has no model stages"})
        options = _native_options()
        formats = {InputFormat.PDF: module.NativePdfFormatOption(pipeline_options=options)}
    else:
        if compiled:
            settings.inference.compile_torch_models = True
        if chosen.chosen == "vlm":
            settings.perf.page_batch_size = 1
            pipeline, options = _vlm(device, stop)
        else:
            pipeline, options = _standard(device, chosen.chosen == "offline", watches.recorder)
        pipeline = watched(pipeline)
        formats = {
            InputFormat.PDF: module.PdfFormatOption(pipeline_cls=pipeline, pipeline_options=options),
            InputFormat.IMAGE: module.ImageFormatOption(pipeline_cls=pipeline, pipeline_options=options),
        }
    outside = ("audio", "video", "mets_gbs") + (("image",) if native else ())
    allowed = [known for known in InputFormat if known.value not in outside]
    converter = module.DocumentConverter(allowed_formats=allowed, format_options=formats)
    kept = [option.pipeline_options for option in converter.format_to_options.values() if option.pipeline_options]
    distinct = list({id(one): one for one in kept}.values())
    return Engine(
        chosen.chosen, device, converter, distinct, stop,
        [] if native else [known.value for known in formats], inactive=unwatched,
    )  # fmt: skip


def _prepare(chosen: Pick, compiled: bool, device: Choice, watches: Watches) -> None:
    """Environment, imports and hooks of the pipelines that run models."""
    if chosen.chosen == "offline" or chosen.weights:
        # everything is on disk: one network check per repo is saved, and nothing can hang on it
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if compiled:
        os.environ.setdefault("TRANSFORMERS_DISABLE_TORCH_CHECK", "1")
    for name in ("torch", "transformers"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise CannotRun(
                f"{name} cannot be imported: {error}.", "Reinstall it, or choose another Python with --python."
            ) from error
    watches.models.install("downloads", lambda: watch_downloads(watches.recorder))
    watches.models.install_torch()
    if chosen.chosen == "offline" or (chosen.chosen == "standard" and ocr_problem() is None):
        watches.models.install_onnx()
    if device.cuda or compiled:
        for name, hook in watches.kernels.hooks():
            watches.models.install(name, hook)


def _accelerator(device: Choice) -> Any:
    from docling.datamodel.accelerator_options import AcceleratorOptions

    return AcceleratorOptions(device=device.chosen)


def _native_options() -> Any:
    from docling.datamodel.pipeline_options import NativePdfPipelineOptions

    return NativePdfPipelineOptions(generate_page_images=False)


def _standard(device: Choice, without_hub: bool, recorder: Recorder) -> Any:
    from docling.datamodel.pipeline_options import PdfPipelineOptions
    from docling.pipeline.standard_pdf_pipeline import StandardPdfPipeline

    options = PdfPipelineOptions(accelerator_options=_accelerator(device))
    problem = ocr_problem()
    options.do_ocr = problem is None
    if problem:
        recorder.emit(
            "warning", message=f"OCR is off, text in images is not read: {problem}.",
            hint="Install them: pip install onnxruntime rapidocr",
        )  # fmt: skip
    if without_hub:
        options.layout_options = offline.layout_options(offline.layout_file())
        options.do_table_structure = False
    return StandardPdfPipeline, options


def _vlm(device: Choice, stop: threading.Event) -> Any:
    import torch
    from docling.datamodel.pipeline_options import VlmConvertOptions, VlmPipelineOptions
    from docling.pipeline.vlm_pipeline import VlmPipeline
    from transformers import StoppingCriteria

    class Stop(StoppingCriteria):  # type: ignore[misc]
        """Ends the generation at the next token once `stop` is set."""

        def __deepcopy__(self, memo: Any) -> "Stop":
            return self  # docling copies the generation options for every batch

        def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:
            return torch.full((ids.shape[0],), stop.is_set(), dtype=torch.bool, device=ids.device)

    convert = VlmConvertOptions.from_preset("granite_docling")
    extra = {**convert.model_spec.extra_generation_config, "custom_stopping_criteria": [Stop()]}
    convert.model_spec = convert.model_spec.model_copy(update={"extra_generation_config": extra})
    return VlmPipeline, VlmPipelineOptions(vlm_options=convert, accelerator_options=_accelerator(device))
