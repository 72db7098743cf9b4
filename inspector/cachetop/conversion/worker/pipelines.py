"""The converter of a job: what is imported, hooked and built once, and kept by a resident worker."""

import importlib
import os
import threading
from dataclasses import dataclass, field
from typing import Any

from . import offline
from .choose import ENRICHMENTS, CannotRun, Pick, ocr_problem, versions
from .device import Choice
from .downloads import watch_downloads, watch_rapidocr
from .hooks import ModelWatch
from .job import Job
from .kernels import KernelWatch
from .record import Recorder
from .stages import StageWatch
from .stopping import stoppable
from .tokens import TokenWatch, criterion


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
    """Whether the models are loaded; a pipeline without models is ready once it is built."""
    inactive: list[dict[str, str]] = field(default_factory=list)

    def unlock(self, password: str | None) -> None:
        """Open the PDFs of the next job with this password."""
        for option in self.converter.format_to_options.values():
            kept = option.backend_options
            if hasattr(kept, "password") or (kept is None and password is not None and _reads_pdf(option)):
                option.backend_options = _with_password(kept, password)

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


def _reads_pdf(option: Any) -> bool:
    from docling.document_converter import PdfFormatOption

    return isinstance(option, PdfFormatOption)


def _with_password(kept: Any, password: str | None) -> Any:
    from docling.datamodel.backend_options import ThreadedDoclingParseBackendOptions
    from pydantic import SecretStr

    made = kept.model_copy() if kept is not None else ThreadedDoclingParseBackendOptions()
    made.password = None if password is None else SecretStr(password)
    return made


def build(chosen: Pick, device: Choice, job: Job, watches: Watches) -> Engine:
    """Import what the pipeline needs, install the hooks, and make the converter; no model is loaded yet.

    Raises CannotRun. `device` must have been chosen; docling falls back to nothing else.
    """
    compiled = job.compile
    native = chosen.chosen == "native"
    if not native:
        _prepare(chosen, compiled, device, watches)
    watches.recorder.emit("step", phase="import", what="docling")
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
        option = module.NativePdfFormatOption(pipeline_options=options)
        option.pipeline_cls = stoppable(option.pipeline_cls, stop, assembles=True)
        formats = {InputFormat.PDF: option}
    else:
        if compiled:
            settings.inference.compile_torch_models = True
        if chosen.chosen == "vlm":
            settings.perf.page_batch_size = 1
            pipeline, options = _vlm(device, stop, watches, job)
        else:
            pipeline, options = _standard(device, chosen.chosen == "offline", watches.recorder, job)
        pipeline = watched(stoppable(pipeline, stop, assembles=False))
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
        [] if native else [known.value for known in formats], ready=native, inactive=unwatched,
    )  # fmt: skip


def _prepare(chosen: Pick, compiled: bool, device: Choice, watches: Watches) -> None:
    """Environment, imports and hooks of the pipelines that run models."""
    if chosen.chosen == "offline" or chosen.weights:
        # everything is on disk: one network check per repo is saved, and nothing can hang on it
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if compiled:
        os.environ.setdefault("TRANSFORMERS_DISABLE_TORCH_CHECK", "1")
    for name in ("torch", "transformers"):
        watches.recorder.emit("step", phase="import", what=name)
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
        watches.models.install("ocr-downloads", lambda: watch_rapidocr(watches.recorder))
    if device.cuda or compiled:
        for name, hook in watches.kernels.hooks():
            watches.models.install(name, hook)


def _accelerator(device: Choice) -> Any:
    from docling.datamodel.accelerator_options import AcceleratorOptions

    return AcceleratorOptions(device=device.chosen)


def _native_options() -> Any:
    from docling.datamodel.pipeline_options import NativePdfPipelineOptions

    return NativePdfPipelineOptions(generate_page_images=False)


def _standard(device: Choice, without_hub: bool, recorder: Recorder, job: Job) -> Any:
    from docling.datamodel.pipeline_options import PdfPipelineOptions
    from docling.pipeline.standard_pdf_pipeline import StandardPdfPipeline

    options = PdfPipelineOptions(accelerator_options=_accelerator(device))
    asked = job.docling
    problem = ocr_problem() if asked.get("do_ocr", True) else None
    options.do_ocr = asked.get("do_ocr", True) and problem is None
    for name in _PLAIN:
        if name in asked:
            setattr(options, name, asked[name])
    _ocr(options, asked)
    if problem:
        recorder.emit(
            "warning", message=f"OCR is off, text in images is not read: {problem}.",
            hint="Install them: pip install onnxruntime rapidocr",
        )  # fmt: skip
    if without_hub:
        _need_nothing_else(asked)
        options.layout_options = offline.layout_options(offline.layout_file())
        options.do_table_structure = False
    return StandardPdfPipeline, options


_PLAIN = ("do_table_structure", *ENRICHMENTS)


def _ocr(options: Any, asked: dict[str, Any]) -> None:
    """Languages and full pages, on the options docling picks its OCR engine by."""
    if asked.get("ocr_lang"):
        # docling checks the languages when the options are made, not when they are set
        try:
            options.ocr_options = type(options.ocr_options)(lang=list(asked["ocr_lang"]))
        except ValueError as error:
            said = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise CannotRun(
                f"docling takes no OCR in {', '.join(asked['ocr_lang'])}: {said[min(2, len(said) - 1)]}",
                "Write languages as tags (en, de, zh-Hans) or as the OCR engine names them.",
            ) from error
    if asked.get("force_full_page_ocr"):
        from docling.datamodel import pipeline_options

        mode = getattr(pipeline_options, "OcrMode", None)
        if mode is not None:
            options.ocr_options.mode = mode.FULL_PAGE
        else:
            options.ocr_options.force_full_page_ocr = True


def _need_nothing_else(asked: dict[str, Any]) -> None:
    """Raise CannotRun where a switch asks the offline pipeline for a model from the hub."""
    enrichments = [name for name in ENRICHMENTS if asked.get(name)]
    if enrichments:
        raise CannotRun(
            f"The offline pipeline has no model for {', '.join(enrichments)}.", "Use --pipeline standard for it."
        )


def _vlm(device: Choice, stop: threading.Event, watches: Watches, job: Job) -> Any:
    from docling.datamodel.pipeline_options import VlmConvertOptions, VlmPipelineOptions
    from docling.pipeline.vlm_pipeline import VlmPipeline

    preset = job.docling.get("vlm_preset", "granite_docling")
    try:
        convert = VlmConvertOptions.from_preset(preset)
    except (KeyError, ValueError) as error:
        raise CannotRun(
            f"docling {versions().get('docling', '?')} has no VLM preset {preset}: {str(error).splitlines()[0]}",
            "Use granite_docling, smoldocling, or another of docling's presets.",
        ) from error
    tokens = TokenWatch(watches.recorder, watches.stages)
    watches.stages.after = lambda stage: tokens.done()
    extra = {
        **convert.model_spec.extra_generation_config, "custom_stopping_criteria": [criterion(tokens, stop)],
    }  # fmt: skip
    convert.model_spec = convert.model_spec.model_copy(update={"extra_generation_config": extra})
    return VlmPipeline, VlmPipelineOptions(vlm_options=convert, accelerator_options=_accelerator(device))
