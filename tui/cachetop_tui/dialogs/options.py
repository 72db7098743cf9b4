"""What the start dialog offers: pipelines, devices and interpreters, each with a line on what it needs or has."""

from __future__ import annotations

from collections.abc import Iterable

from cachetop.base.hostile import clean
from cachetop.base.units import memory
from cachetop.conversion.interpreters import Interpreter, NoInterpreter, candidates, choose
from cachetop.conversion.options import Options, make
from cachetop.conversion.options import pages as page_range
from cachetop.gpu.records import Gpus
from cachetop_tui.dialogs.fields import Option

PIPELINES = (
    Option("auto", "auto", "standard with torch and its models, else native"),
    Option("standard", "standard", "layout, OCR, tables: torch, 0.5 GB of models"),
    Option("vlm", "vlm", "one model reads whole pages: torch, a GPU, 0.5 GB"),
    Option("native", "native", "text and pictures as in the file: no models"),
    Option("offline", "offline", "torch, and models that come in Python packages"),
)
SWITCHES = {
    "OCR": "do_ocr",
    "tables": "do_table_structure",
    "OCR all": "force_full_page_ocr",
    "code": "do_code_enrichment",
    "formula": "do_formula_enrichment",
    "pictures": "do_picture_classification",
}
"""What the dialog calls docling's switches."""
ON = ("OCR", "tables")
COMPILE = "compile"
COLD = "run cold"
_AUTOMATIC = ""


def extras(read_only: bool) -> tuple[str, ...]:
    """The words that can be ticked besides the formats; a cold run is not offered where nothing may be changed."""
    return (*SWITCHES, COMPILE, *(() if read_only else (COLD,)))


def asked(ticked: tuple[str, ...], pages: str, password: str) -> Options:
    """The options of a run as they were ticked and typed. Raises ValueError with a sentence."""
    switches = {name: word in ticked for word, name in SWITCHES.items() if (word in ticked) != (word in ON)}
    return make(
        switches,
        compile_torch_models=COMPILE in ticked,
        page_range=page_range(pages) if pages.strip() else None,
        password=password or None,
        cold=COLD in ticked,
    )


def devices(gpus: Gpus | None) -> tuple[Option, ...]:
    """auto, cpu and, where a driver answers, the GPUs by index."""
    found = [
        Option("auto", "auto", "the GPU if torch can use it, else the CPU"),
        Option("cpu", "cpu"),
    ]
    if gpus is None or not gpus.gpus:
        reason = "no GPU here" if gpus is None or not gpus.reason else clean(gpus.reason, 120)
        found[0] = Option("auto", "auto", f"the CPU: {reason}" if gpus is not None else found[0].note)
        return tuple(found)
    found.append(Option("cuda", "cuda", "torch's first GPU; fails where there is none"))
    for gpu in gpus.gpus:
        free = f", {memory(gpu.memory.free)} free" if gpu.memory is not None else ""
        label = "simulated " if gpu.simulated else ""
        found.append(Option(f"cuda:{gpu.index}", f"cuda:{gpu.index}", f"{label}{clean(gpu.name, 60)}{free}"))
    return tuple(found)


def interpreters() -> tuple[Option, ...]:
    """The interpreter cachetop would choose, then every one that was found. Reads files, runs nothing."""
    try:
        one = choose()
        first = Option(_AUTOMATIC, "automatic", f"{_has(one)}, in {clean(one.prefix)}")
    except NoInterpreter:
        first = Option(_AUTOMATIC, "automatic", "no docling: pip install 'cachetop[native]'", "warn")
    return (first, *named(candidates()))


def named(found: Iterable[Interpreter]) -> tuple[Option, ...]:
    """One option for each interpreter, those with docling first; one in this folder is marked as such."""
    ordered = sorted(found, key=lambda one: (one.docling is None, one.from_here))
    return tuple(_interpreter(one) for one in ordered)


def _interpreter(one: Interpreter) -> Option:
    if one.from_here:
        return Option(one.path, clean(one.path), f"from this folder, runs its code; {_has(one)}", "warn")
    return Option(one.path, clean(one.path), _has(one), "dim" if one.docling else "warn")


def _has(one: Interpreter) -> str:
    if one.docling is None:
        return "no docling"
    name = "docling-slim" if one.slim else "docling"
    torch = f", torch {clean(one.torch, 20)}" if one.torch else ", no torch"
    return f"{name} {clean(one.docling, 20)}{torch}"
