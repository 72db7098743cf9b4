"""A job once more: the same files with the same options, cold."""

from __future__ import annotations

from typing import Any

from cachetop.conversion.folder import find
from cachetop.conversion.options import make
from cachetop.conversion.values import mapping, sequence


def cold(job: str) -> dict[str, Any]:
    """The arguments of `convert` that run `job` again, cold, outputs into its own folder; a password is not kept.

    Raises LookupError for a job that is not there, ValueError for one that cannot be run again.
    """
    spec: dict[str, Any] = find(job).spec()
    asked = mapping(spec.get("docling"))
    switches = {name: value for name, value in asked.items() if isinstance(value, bool)}
    pages = sequence(spec.get("page_range"))
    options = make(
        switches,
        ocr_lang=[str(one) for one in sequence(asked.get("ocr_lang"))],
        vlm_preset=asked.get("vlm_preset"),
        compile_torch_models=spec.get("compile") is True,
        page_range=(int(pages[0]), int(pages[1])) if len(pages) == 2 else None,
        cold=True,
    )
    return {
        "files": [str(file) for file in sequence(spec.get("files"))],
        "pipeline": str(spec.get("pipeline", "auto")),
        "device": str(spec.get("device", "auto")),
        "to": [str(name) for name in sequence(spec.get("to"))] or ("md",),
        "python": spec.get("python") if isinstance(spec.get("python"), str) else None,
        "options": options,
    }
