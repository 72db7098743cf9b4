"""The sandbox of `cachetop demo`: a folder that holds every cache, so that nothing outside it is touched.

Everything in it is real (weights, kernels, a PDF), only small; the one simulated thing is the GPU. It is built
once and used again; building it a second time only adds what is missing.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cachetop import locations
from cachetop.base.hostile import show
from cachetop.base.record import why
from cachetop.demo import handmade

if TYPE_CHECKING:
    from cachetop.gpu.sampler import Source

MARKER = "cachetop-demo.json"
PAGES = 6
_HERE = Path(__file__).parent
_AT_ONCE = 14
_MODELS_NEED = ("torch", "transformers", "docling_ibm_models")
_PATIENCE = 180


_OTHERS = (
    "FLASHINFER_WORKSPACE_BASE", "VLLM_CACHE_ROOT", "KERNELS_CACHE", "CUPY_CACHE_DIR", "NUMBA_CACHE_DIR",
    "WARP_CACHE_PATH", "DG_JIT_CACHE_DIR", "TILELANG_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR", "CUTE_DSL_CACHE_DIR",
    "HELION_CACHE_DIR", "HF_XET_CACHE", "HF_ASSETS_CACHE", "HF_DATASETS_CACHE", "TORCH_HOME", "EASYOCR_MODULE_PATH",
    "MODELSCOPE_CACHE", "OLLAMA_MODELS",
)  # fmt: skip
"""The caches that a sandbox has no use for, and must not show from outside."""
_LEADING_OUT = ("CACHETOP_HUB_ROOTS", "DOCLING_ARTIFACTS_PATH")
"""Variables that would show, or read, models from outside."""


@dataclass(frozen=True)
class Sandbox:
    """A built sandbox. `notes` are sentences on what is in it and what could not be made here.

    `whole`: False when a part that this Python could make failed.
    """

    folder: Path
    document: Path
    notes: tuple[str, ...] = ()
    whole: bool = True

    def environment(self) -> dict[str, str]:
        """The variables that move every cache, the state, the settings and the temporary files into the sandbox.

        `CACHETOP_DEMO` says that this is one; downloads are off.
        """
        place = self.folder
        return {
            "CACHETOP_DEMO": "1",
            "CACHETOP_CONFIG": str(place / "config.toml"),
            "CACHETOP_STATE_DIR": str(place / "state"),
            "HF_HOME": str(place / "huggingface"),
            "HF_HUB_CACHE": str(place / "huggingface" / "hub"),
            "HF_HUB_OFFLINE": "1",
            "TRITON_CACHE_DIR": str(place / "triton"),
            "TORCHINDUCTOR_CACHE_DIR": str(place / "inductor"),
            "PYTORCH_KERNEL_CACHE_PATH": str(place / "nvrtc"),
            "CUDA_CACHE_PATH": str(place / "driver"),
            "TORCH_EXTENSIONS_DIR": str(place / "extensions"),
            **{name: str(place / "others" / name.lower()) for name in _OTHERS},
            "XDG_CACHE_HOME": str(place / "cache"),
            "DOCLING_CACHE_DIR": str(place / "cache" / "docling"),
            "XDG_RUNTIME_DIR": str(place / "run"),
            "TMPDIR": str(place / "tmp"),
        }

    def enter(self) -> None:
        """Move this process, and those it starts, into the sandbox. There is no way back but to end."""
        os.environ.update(self.environment())
        for name in _LEADING_OUT:
            os.environ.pop(name, None)
        tempfile.tempdir = None  # it remembers the old TMPDIR

    def gpu(self) -> Source:
        """Two simulated GPUs, one holding as much as docling's standard models in their real size, one idle."""
        from cachetop.gpu.simulated import SimulatedSource

        source = SimulatedSource(idle=1)
        source.hold("layout model", 171_658_996)
        source.hold("table model", 212_758_388)
        return source

    def start_compiling(self, new: int = 0, pause: float = 2.0) -> subprocess.Popen[bytes] | None:
        """Compile kernels that are not there yet in a process of their own, `pause` seconds apart.

        `new` bounds their number; 0 means the whole list (105). The process ends with this one. None where
        this Python has no Triton.
        """
        if not _importable("triton"):
            return None
        command = [*_python("triton_kernels.py"), f"--new={new}", f"--pause={pause}", f"--parent={os.getpid()}"]
        return subprocess.Popen(
            command,
            env={**os.environ, **self.environment()},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def default_folder() -> Path:
    """Where the sandbox lies when nobody says otherwise: below cachetop's own state folder."""
    return locations.state_dir() / "demo"


def build(folder: Path | None = None, say: Callable[[str], None] = lambda line: None) -> Sandbox:
    """Build the sandbox in `folder`, or complete the one that is there; `say` is told what is being made.

    With torch, transformers and docling's models installed in this Python it gets tiny models that docling
    really loads (about 106 MB); with Triton, really compiled kernels. Raises ValueError with a sentence when
    `folder` holds something else, or cannot be written.
    """
    place = (default_folder() if folder is None else folder).absolute()
    _claim(place)
    with (place / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second demo waits for the first to have built
        return _complete(place, say)


def _complete(place: Path, say: Callable[[str], None]) -> Sandbox:
    sandbox = Sandbox(place, place / "documents" / "demo.pdf")
    for path in ("state", "run", "tmp", "triton", "huggingface/hub", "documents"):
        (place / path).mkdir(parents=True, exist_ok=True, mode=0o700)
    done, failures = _read(place / MARKER), []

    def once(name: str, make: Callable[[], str], line: str) -> str:
        """What `make` has to say, or had to say when an earlier build ran it."""
        if name not in done:
            say(line)
            try:
                done[name] = make()
            except _Failed as failure:
                failures.append(name)
                return str(failure)
            _write(place / MARKER, done)
        return done[name]

    notes = [
        once("document", lambda: _document(sandbox.document), f"Writing a PDF of {PAGES} pages"),
        once("repositories", lambda: _repositories(place), "Writing small repositories"),
        once("models", lambda: _models(sandbox), "Making tiny models that docling loads (some seconds)")
        if all(map(_importable, _MODELS_NEED))
        else _without_models(),
        once("kernels", lambda: _kernels(sandbox), "Compiling kernels for seven SMs (some seconds)")
        if _importable("triton")
        else "No kernels: this Python has no Triton. `pip install triton` brings it (Linux only).",
    ]
    return Sandbox(place, sandbox.document, tuple(notes), not failures)


def _claim(place: Path) -> None:
    """Make the folder ours, or refuse: a sandbox is never mixed with other files."""
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if place.stat().st_uid != os.geteuid():
            raise ValueError(f"{show(place)} belongs to another user; name a folder of your own")
        if not (place / MARKER).exists():
            if any(place.iterdir()):
                raise ValueError(
                    f"{show(place)} is not empty and no sandbox of cachetop demo; name an empty or a new folder"
                )
            _write(place / MARKER, {})
    except OSError as error:
        raise ValueError(f"no sandbox can be made in {show(place)}: {why(error)}; name another folder") from error


def _read(marker: Path) -> dict[str, str]:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _write(marker: Path, done: dict[str, str]) -> None:
    fresh = marker.with_suffix(".new")
    fresh.write_text(json.dumps(done, indent=2), encoding="utf-8")
    fresh.replace(marker)


def _document(path: Path) -> str:
    from cachetop.demo.paper import write_pdf

    write_pdf(path, PAGES, title="The cachetop demo")
    return f"A PDF of {PAGES} pages to convert: {show(path)}"


def _repositories(place: Path) -> str:
    names = handmade.write(place / "huggingface" / "hub")
    return f"Repositories of random numbers, to look at: {', '.join(names)}"


def _models(sandbox: Sandbox) -> str:
    _run(sandbox, "The tiny models", [*_python("tiny_models.py"), str(sandbox.folder / "huggingface")])
    return "Tiny models with random weights that docling really loads: what they find is random too"


def _kernels(sandbox: Sandbox) -> str:
    _run(sandbox, "The kernels", [*_python("triton_kernels.py"), "--first", str(_AT_ONCE)])
    return "Kernels really compiled by Triton for seven SMs, which need not be those of your GPU"


def _without_models() -> str:
    said = "No models for docling's standard pipeline: this Python has no torch with docling's models."
    if _importable("docling"):
        return f"{said} Conversions in the demo use the native pipeline, which needs none."
    return f"{said} It has no docling either: to convert, name a Python that has it, with --python."


class _Failed(Exception):
    """A part of the sandbox could not be made; the message says so. It is tried again next time."""


def _run(sandbox: Sandbox, what: str, command: list[str]) -> None:
    """Run a script inside the sandbox, its output to a log. Raises _Failed."""
    log = sandbox.folder / "build.log"
    with log.open("ab") as out:
        try:
            code = subprocess.run(
                command,
                env={**os.environ, **sandbox.environment()},
                cwd=sandbox.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=_PATIENCE,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise _Failed(f"{what} could not be made: it took longer than {_PATIENCE} s; see {show(log)}") from None
    if code:
        raise _Failed(f"{what} could not be made (exit code {code}); {show(log)} says why")


def _python(script: str) -> list[str]:
    return [sys.executable, "-P", str(_HERE / script)]


def _importable(name: str) -> bool:
    """Whether this Python has the package, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
