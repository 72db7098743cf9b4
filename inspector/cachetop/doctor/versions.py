"""Which versions meet in this Python, read from their metadata: nothing heavy is imported."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from cachetop._version import __version__
from cachetop.base.files import read_bounded
from cachetop.base.hostile import clean
from cachetop.doctor.records import Area, Finding

_AREA = Area("versions")
_OURS = ("textual", "huggingface_hub", "nvidia-ml-py", "watchdog", "psutil", "msgspec", "platformdirs")
_CONVERSION = ("docling", "docling-slim", "torch", "triton", "transformers", "onnxruntime")
_BROKEN_WITHOUT_TORCH = "2.143.0"
_OLDEST_DOCLING = (2, 139)
_OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")


def findings(env: Mapping[str, str]) -> Iterator[Finding]:
    """Python, cachetop, what both need, and the combinations known to go wrong."""
    return judge(installed(), cuda_of_torch())


def installed() -> dict[str, str]:
    """Every distribution on sys.path: normalised name -> version. The first one on the path counts."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), clean(distribution.version or "?"))
    return found


def judge(versions: Mapping[str, str], cuda: str | None) -> Iterator[Finding]:
    """The findings on a set of distributions. `cuda`: what torch was built for, None for CPU or without torch."""
    yield _AREA.ok("Python", platform.python_version(), clean(sys.executable))
    yield _AREA.ok("cachetop", __version__)
    for name in _OURS:
        version = versions.get(name.replace("_", "-"))
        if version:
            yield _AREA.ok(name, version)
        else:
            yield _AREA.error(name, "missing", "cachetop needs it", f"pip install {name}")
    for name in _CONVERSION:
        if name in versions:
            yield _AREA.ok(name, versions[name], f"built for CUDA {cuda}" if name == "torch" and cuda else None)
    yield from _docling(versions)
    yield from _pynvml(versions)
    yield from _opencv(versions)


def _docling(versions: Mapping[str, str]) -> Iterator[Finding]:
    docling, slim = versions.get("docling"), versions.get("docling-slim")
    version = slim or docling
    if version is None:
        reason = "this Python cannot convert; another one can, with `cachetop convert --python PATH`"
        extras = "convert-core,format-pdf,format-web,format-office,format-markdown"
        fix = f"pip install 'docling-slim[{extras}]>=2.139,!={_BROKEN_WITHOUT_TORCH}'"
        yield _AREA.note("docling", "missing", reason, fix)
        return
    if "torch" not in versions and version == _BROKEN_WITHOUT_TORCH:
        reason = "this release imports torch without asking whether it is there, and it is not: no conversion works"
        fix = f"pip install 'docling-slim>=2.139,!={_BROKEN_WITHOUT_TORCH}'"
        yield _AREA.error("docling-slim", version, reason, fix)
    if _older(version, _OLDEST_DOCLING):
        reason = "it does not report its progress page by page: that came with 2.139"
        yield _AREA.warning("docling", version, reason, "pip install -U docling")
    if docling and "rapidocr" in versions and "onnxruntime" not in versions:
        reason = "without onnxruntime docling downloads other OCR models at the first scanned page"
        yield _AREA.warning("OCR", "rapidocr without onnxruntime", reason, "pip install onnxruntime")


def _pynvml(versions: Mapping[str, str]) -> Iterator[Finding]:
    if "pynvml" in versions:
        reason = "deprecated: the module pynvml comes from nvidia-ml-py, and this package makes its import warn"
        yield _AREA.warning("pynvml", versions["pynvml"], reason, "pip uninstall pynvml")


def _opencv(versions: Mapping[str, str]) -> Iterator[Finding]:
    owners = [name for name in _OPENCV if name in versions]
    if len(owners) > 1:
        keep = next((name for name in owners if name.endswith("headless")), owners[0])
        others = " ".join(name for name in owners if name != keep)
        reason = "both own the module cv2, the last one installed wins; without libGL only the headless one works"
        fix = f"pip uninstall {others} && pip install --force-reinstall --no-deps {keep}"
        yield _AREA.warning("cv2", " and ".join(owners), reason, fix)
    elif owners:
        yield _AREA.ok("cv2", f"{owners[0]} {versions[owners[0]]}")


def _older(version: str, limit: tuple[int, int]) -> bool:
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < limit


def cuda_of_torch() -> str | None:
    """The CUDA version of the installed torch, read from its `torch/version.py`; None for CPU builds or no torch."""
    for folder in sys.path:
        try:
            text = read_bounded(str(Path(folder or ".") / "torch" / "version.py"), 16384).decode("utf-8", "replace")
        except (OSError, ValueError):
            continue
        found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([0-9.]+)['\"]", text, re.MULTILINE)
        return found[1] if found else None
    return None
