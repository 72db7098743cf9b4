"""The job as the launcher wrote it: `job.json` in the job's folder."""

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from .turn import Card, cards

PIPELINES = ("auto", "standard", "vlm", "native", "offline")
EXTENSIONS = {"md": ".md", "json": ".json", "html": ".html", "text": ".txt", "doctags": ".doctags"}
SWITCHES = (
    "do_ocr", "force_full_page_ocr", "do_table_structure", "do_code_enrichment", "do_formula_enrichment",
    "do_picture_classification", "do_picture_description",
)  # fmt: skip
"""docling's options that are on or off."""
_LIMIT = 8 << 20


@dataclass(frozen=True)
class Job:
    """One job; see `load` for where it comes from."""

    id: str
    folder: str
    files: tuple[str, ...]
    pipeline: str
    device: str
    to: tuple[str, ...]
    output: str | None
    force: bool
    keep_warm: float
    compile: bool
    socket: str | None
    worker: str | None
    roots: dict[str, str]
    docling: dict[str, Any] = field(default_factory=dict)
    """Options of docling's pipelines under docling's own names, only those that were asked for; see `SWITCHES`."""
    page_range: tuple[int, int] | None = None
    """First and last page to convert, counted from 1; None for all."""
    cold: bool = False
    """Whether the weights are to be dropped from the page cache before they are read."""
    gpus: tuple[Card, ...] = ()
    """The GPUs it may have, best first; without any, torch's numbering decides."""
    vram_budget: int | None = None
    """Bytes of VRAM the worker may hold while it waits for the next job; None for no limit."""

    @property
    def options(self) -> dict[str, Any]:
        """What a resident worker must have in common with a job to run it; output formats do not count."""
        return {"pipeline": self.pipeline, "device": self.device, "compile": self.compile, "docling": self.docling}

    def password(self) -> str | None:
        """The password of the PDFs, which the launcher left in a file of its own; it is deleted by being read."""
        path = os.path.join(self.folder, "password")
        try:
            with open(path, encoding="utf-8") as file:
                said = file.read(4096)
        except (OSError, ValueError):
            return None
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return said or None

    @property
    def output_folder(self) -> str:
        """Where the outputs go."""
        return self.output or os.path.join(self.folder, "outputs")


def load(folder: str) -> Job:
    """Read `job.json`. Raises OSError, or ValueError with a sentence when it is no job."""
    path = os.path.join(folder, "job.json")
    with open(path, "rb") as file:
        data = file.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise ValueError(f"{path} is larger than {_LIMIT} bytes and was not read.")
    try:
        told = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error
    if not isinstance(told, dict) or not isinstance(told.get("files"), list):
        raise ValueError(f"{path} describes no job: it has no list of files.")
    pipeline = told.get("pipeline") or "auto"
    if pipeline not in PIPELINES:
        raise ValueError(f"{path} asks for the unknown pipeline {pipeline!r}; there are {', '.join(PIPELINES)}.")
    to = tuple(dict.fromkeys(told.get("to") or ["md"]))
    unknown = [name for name in to if name not in EXTENSIONS]
    if unknown:
        raise ValueError(f"{path} asks for the unknown format {unknown[0]!r}; there are {', '.join(EXTENSIONS)}.")
    return Job(
        id=str(told.get("id") or os.path.basename(os.path.normpath(folder))),
        folder=folder,
        files=tuple(str(name) for name in told["files"]),
        pipeline=pipeline,
        device=str(told.get("device") or "auto"),
        to=to,
        output=told.get("output") or None,
        force=bool(told.get("force")),
        keep_warm=float(told.get("keep_warm") or 0),
        compile=bool(told.get("compile")),
        socket=told.get("socket") or None,
        worker=told.get("worker"),
        roots={str(kind): str(path) for kind, path in (told.get("roots") or {}).items()},
        docling=_docling(told.get("docling") or {}, path),
        page_range=_range(told.get("page_range"), path),
        cold=bool(told.get("cold")),
        gpus=_gpus(told.get("gpus"), path),
        vram_budget=_bytes(told.get("vram_budget"), path),
    )


def _gpus(told: Any, path: str) -> tuple[Card, ...]:
    try:
        return cards(told)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} describes a GPU that makes no sense: {error!r}.") from None


def _bytes(told: Any, path: str) -> int | None:
    if told is None or (type(told) is int and told >= 0):
        return told
    raise ValueError(f"{path} has a VRAM budget of {told!r}; it is a number of bytes.")


def _docling(told: Any, path: str) -> dict[str, Any]:
    """docling's options, of the types they must have. Raises ValueError."""
    if not isinstance(told, dict):
        raise ValueError(f"{path} has options for docling that are no JSON object.")
    for name, value in told.items():
        if name in SWITCHES and isinstance(value, bool):
            continue
        if name == "ocr_lang" and isinstance(value, list) and all(isinstance(one, str) for one in value):
            continue
        if name == "vlm_preset" and isinstance(value, str):
            continue
        raise ValueError(f"{path} has the unknown or misshapen option {name!r} for docling.")
    return dict(told)


def _range(told: Any, path: str) -> tuple[int, int] | None:
    if told is None:
        return None
    whole = isinstance(told, list) and len(told) == 2 and all(type(page) is int for page in told)
    if whole and 1 <= told[0] <= told[1]:
        return told[0], told[1]
    raise ValueError(f"{path} asks for the pages {told!r}; a range is [first, last], counted from 1.")
