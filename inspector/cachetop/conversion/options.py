"""What a conversion may be asked for besides its files: docling's switches, pages, a password, a cold start.

The names are docling's own (PdfPipelineOptions, settings.inference), so that its documentation holds here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cachetop.base.hostile import clean
from cachetop.base.readonly import is_read_only

SWITCHES: dict[str, str] = {
    "do_ocr": "read text in images (on)",
    "force_full_page_ocr": "read every page as an image",
    "do_table_structure": "rebuild tables cell by cell (on)",
    "do_code_enrichment": "recognise code blocks with a model of its own",
    "do_formula_enrichment": "recognise formulas with a model of its own",
    "do_picture_classification": "say what kind of picture each one is",
    "do_picture_description": "describe pictures with a vision model",
}
"""docling's options that are on or off, and what they do."""
FRESH = {
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "CUDA_CACHE_PATH": "cuda",
    "PYTORCH_KERNEL_CACHE_PATH": "nvrtc",
    "TORCH_EXTENSIONS_DIR": "extensions",
}
"""Variable -> name of the fresh folder that a cold run gets instead of the kernel cache."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:.-]{0,63}\Z")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one conversion. `docling` holds only what was asked for, the rest is docling's default."""

    docling: dict[str, Any] = {}
    compile_torch_models: bool = False
    page_range: tuple[int, int] | None = None
    """First and last page, counted from 1."""
    password: str | None = None
    """For encrypted PDFs; it is handed over in a file that the worker deletes, and kept nowhere."""
    cold: bool = False
    """Drop the weights from RAM first and use fresh kernel folders: measures a cold start."""

    def spec(self) -> dict[str, Any]:
        """Its part of `job.json`: everything but the password."""
        return {
            "docling": self.docling,
            "compile": self.compile_torch_models,
            "page_range": None if self.page_range is None else list(self.page_range),
            "cold": self.cold,
        }


def make(
    switches: Mapping[str, bool] | None = None,
    *,
    ocr_lang: Sequence[str] = (),
    vlm_preset: str | None = None,
    compile_torch_models: bool = False,
    page_range: tuple[int, int] | None = None,
    password: str | None = None,
    cold: bool = False,
    env: Mapping[str, str] | None = None,
) -> Options:
    """Check what was asked for. Raises ValueError with a sentence."""
    docling: dict[str, Any] = {}
    for name, value in (switches or {}).items():
        if name not in SWITCHES:
            raise ValueError(f"docling has no switch {clean(name)!r}; there are {', '.join(SWITCHES)}")
        docling[name] = bool(value)
    for language in ocr_lang:
        if not _NAME.match(language):
            raise ValueError(f"{clean(language)!r} is not the name of a language; write en, de, zh-Hans")
    if ocr_lang:
        docling["ocr_lang"] = list(ocr_lang)
    if vlm_preset is not None:
        if not _NAME.match(vlm_preset):
            raise ValueError(f"{clean(vlm_preset)!r} is not the name of a VLM preset")
        docling["vlm_preset"] = vlm_preset
    if page_range is not None and not 1 <= page_range[0] <= page_range[1]:
        raise ValueError(f"{page_range[0]}-{page_range[1]} is not a range of pages; write FIRST-LAST, from 1")
    if password is not None and ("\x00" in password or len(password.encode("utf-8", "replace")) > 4096):
        raise ValueError("the password is longer than 4,096 bytes or has a zero in it")
    if cold and is_read_only(env):
        raise ValueError("CACHETOP_READ_ONLY is set: a cold run would drop files from the page cache")
    return Options(
        docling=docling, compile_torch_models=compile_torch_models, page_range=page_range, password=password, cold=cold
    )


def pages(text: str) -> tuple[int, int]:
    """`3-7` or `3` as (first, last). Raises ValueError with a sentence."""
    found = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise ValueError(f"{clean(text)!r} is not a range of pages; write FIRST-LAST, from 1")
    return first, last


def fresh_folders(base: Path) -> dict[str, str]:
    """Kernel cache variables that point into `base`, for a run that finds no kernel."""
    return {variable: str(base / name) for variable, name in FRESH.items()}


def leave_password(folder: Path, password: str) -> None:
    """Put the password where only the worker looks, which deletes it. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(folder / "password", flags, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(password)
