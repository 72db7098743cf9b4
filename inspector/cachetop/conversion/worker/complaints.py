"""What is wrong with a document or with the machine, as sentences with a way out."""

import importlib
import os
import re
import stat

from .choose import CannotRun
from .downloads import NotFetched

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
MEMORY_HINT = "Free memory or give the job more; fewer pages at a time or a smaller pipeline (native) need less."
VRAM_HINT = (
    "End what holds VRAM (`cachetop jobs unload` for resident workers, `cachetop gpus` for the rest), take another GPU "
    "with --device cuda:N, fewer pages at a time, or --device cpu."
)
_MEMORY = (
    "can't allocate memory", "cannot allocate memory", "out of memory", "std::bad_alloc", "bad allocation",
    "unable to allocate", "failed to allocate", "failed to map segment", "can't start new thread", "memoryerror",
)  # fmt: skip
_FORMATS = (
    "docling reads PDF, office files, HTML, Markdown, CSV, EPUB and more; the pipelines with models read images too."
)

_UNLOCK = "Give its password with --pdf-password, or decrypt it: qpdf --decrypt --password=... IN OUT"

Complaint = tuple[str, str | None]


def _memory(error: object) -> tuple[str, str]:
    """Which memory it was that ran out, and what to do."""
    on_gpu = "cuda" in f"{type(error).__name__} {error}".lower()
    return ("VRAM", VRAM_HINT) if on_gpu else ("Memory", MEMORY_HINT)


def out_of_memory(error: object) -> bool:
    """Whether an error, or docling's text of one, means that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return any(said in text for said in _MEMORY)


def broken(error: BaseException) -> Complaint:
    """An exception that ended the job, by the most telling one among those it was raised from."""
    chain, seen = error, [error]
    while (chain.__cause__ or chain.__context__) and len(seen) < 20:
        chain = chain.__cause__ or chain.__context__  # type: ignore[assignment]
        seen.append(chain)
    short = next((one for one in seen if out_of_memory(one)), None)
    if short is not None:
        what, hint = _memory(short)
        return f"{what} ran out; the job was given up.", hint
    for one in seen:
        if isinstance(one, (NotFetched, CannotRun)):
            return str(one), one.hint
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (
        f"The conversion broke off: {type(error).__name__}: {lines[0] if lines else 'no message'}",
        "The whole traceback is in stderr.log in the job's folder.",
    )


def problem(path: str) -> str | None:
    """Why a file cannot be converted at all, as a sentence; None when it can be tried."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return f"{path} does not exist."
    except (OSError, ValueError) as error:
        return f"{path} cannot be read: {getattr(error, 'strerror', None) or error}."
    if stat.S_ISDIR(status.st_mode):
        return f"{path} is a folder; name the files in it."
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is no regular file."
    if not status.st_size:
        return f"{path} is empty."
    if not os.access(path, os.R_OK):
        return f"{path} cannot be read: permission denied."
    return None


def starts_as_pdf(path: str) -> bool:
    """Whether the first kilobyte has the mark of a PDF."""
    try:
        with open(path, "rb") as file:
            return b"%PDF-" in file.read(1024)
    except OSError:
        return False


def paged(path: str) -> bool:
    """Whether a file goes through the page pipeline, whose models must be loaded."""
    return path.lower().endswith((".pdf", *IMAGES)) or starts_as_pdf(path)


def count_pages(path: str, password: str | None = None) -> int | None:
    """Pages of a PDF, from its page tree; None where it cannot be told."""
    return _open_pdf(path, password)[0]


def _open_pdf(path: str, password: str | None = None) -> tuple[int | None, str]:
    """(pages, '') or (None, what PDFium says)."""
    try:
        pypdfium2 = importlib.import_module("pypdfium2")
    except ImportError:
        return None, ""
    try:
        document = pypdfium2.PdfDocument(path, password=password)
    except Exception as error:
        return None, str(error)
    try:
        return len(document), ""
    finally:
        document.close()


def _pageless(path: str) -> bool:
    """Whether a small PDF plainly has an empty page tree; PDFium's own words on that depend on what failed before."""
    try:
        with open(path, "rb") as file:
            data = file.read(1 << 20)
    except OSError:
        return False
    return re.search(rb"/Kids\s*\[\s*\]", data) is not None and not re.search(rb"/Type\s*/Page\b", data)


def refused(path: str, pipeline: str) -> Complaint:
    """docling takes no file of this format with this pipeline."""
    if path.lower().endswith(IMAGES) and pipeline == "native":
        return f"{path} is an image, and the native pipeline cannot read images.", "Use --pipeline standard."
    return f"{path} is in no format that can be converted here.", _FORMATS


def unreadable(path: str, said: str, password: str | None = None) -> Complaint:
    """docling could not open or read the document; `said` is its own text."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = lines[-1 if lines[0].startswith("Traceback") else 0][:1000] if lines else "docling gave no reason"
    if out_of_memory(said):
        what, hint = _memory(said)
        return f"{what} ran out while {path} was converted: {reason}", hint
    if path.lower().endswith(".pdf"):
        if not starts_as_pdf(path):
            return f"{path} has the name of a PDF, but is none.", "Check where the file comes from."
        pages, problem = _open_pdf(path, password)
        if "password" in problem.lower():
            if password is not None:
                return f"{path} is encrypted, and the password that was given does not open it.", _UNLOCK
            return f"{path} is encrypted and needs a password.", _UNLOCK
        if pages == 0 or (pages is None and _pageless(path)):
            return f"{path} has no pages.", "There is nothing to convert in it; check where the file comes from."
    return f"{path} could not be converted: {reason}", "The file may be damaged; open it in another program to see."
