"""The driver that is not there as a real library, for programs that are not Python: `libnvidia-ml.so.1` in C.

It reads the same scenarios as `fake_nvml` and is compiled against NVIDIA's own nvml.h, which the PyPI package
nvidia-nvml-dev brings, so that the compiler compares every prototype and structure with the official ones. To try any
program on it (nvtop, nvitop, cachetop):

    python -m support.nvml_twin two_gpus nvtop        (from the folder tests)

Timings with it hold, too: it answers in microseconds, and Python loads nothing to simulate it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from support import fake_nvml

SOURCES = Path(__file__).parent / "nvml_c"
LIBRARY = "libnvidia-ml.so.1"
_FLAGS = (
    "-std=gnu11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror",
    "-Wno-unused-parameter", f"-Wl,-soname,{LIBRARY}",
)  # fmt: skip


def missing() -> str | None:
    """What is not there to build it with; None when all is."""
    if not compiler():
        return "no C compiler (cc, gcc or clang) is installed"
    return None if header() else "nvml.h is not installed: pip install nvidia-nvml-dev"


def compiler() -> str | None:
    """The C compiler of this machine."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def header() -> Path | None:
    """The folder of the official nvml.h."""
    found = find_spec("nvidia")
    roots = found.submodule_search_locations if found else None
    return next((place.parent for root in roots or () for place in Path(root).glob("*/include/nvml.h")), None)


def build(folder: Path, missing_symbols: tuple[str, ...] = ()) -> Path:
    """Compile the library into `folder`, without the functions that an old driver lacks; returns its path.

    Raises RuntimeError with the compiler's words.
    """
    cc, include = compiler(), header()
    if cc is None or include is None:
        raise RuntimeError(missing())
    library = folder / LIBRARY
    symbols = folder / "symbols.map"
    hidden = "".join(f"{name}; " for name in missing_symbols)
    symbols.write_text("{ global: nvml*; %s };\n" % (f"local: {hidden}" if hidden else ""))
    done = subprocess.run(
        [
            cc, *_FLAGS, f"-Wl,--version-script={symbols}", "-isystem", str(include), "-o", str(library),
            *map(str, sorted(SOURCES.glob("*.c"))), "-lpthread",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    return library


def flat(scenario: Mapping[str, Any]) -> str:
    """A scenario in the form that the library reads: one whole state for each moment of its timeline."""
    steps = sorted({step["t"] for step in scenario.get("timeline", ())})
    out = []
    for moment in (None, *steps):
        state = fake_nvml.state_at(scenario, -1.0 if moment is None else moment)
        out += [] if moment is None else [f"@ {moment}"]
        out += [f"{path}\t{value}" for path, value in _lines("", {**state, "timeline": None})]
    return "\n".join(out) + "\n"


def environment(scenario: Mapping[str, Any] | str | Path, library: Path, folder: Path) -> dict[str, str]:
    """os.environ for a subprocess that finds this scenario as its driver. Without the Python fake."""
    path = folder / "scenario.flat"
    path.write_text(flat(fake_nvml.load(scenario)))
    search = os.pathsep.join(filter(None, (str(library.parent), os.environ.get("LD_LIBRARY_PATH"))))
    return {**os.environ, "LD_LIBRARY_PATH": search, "FAKE_NVML_FLAT": str(path)}


def _lines(path: str, value: Any) -> Iterator[tuple[str, str]]:
    before = f"{path}." if path else ""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _lines(f"{before}{key}", one)
    elif isinstance(value, list):
        yield f"{path}.#", str(len(value))
        for number, one in enumerate(value):
            yield from _lines(f"{before}{number}", one)
    elif value is not None:
        assert "\n" not in str(value), path
        yield path, str(value)


def main() -> int:
    """`SCENARIO COMMAND...`: run a command with the scenario as its driver; returns its exit code."""
    if len(sys.argv) < 3:
        print("usage: python -m support.nvml_twin SCENARIO COMMAND...", file=sys.stderr)  # noqa: T201
        return 2
    scenario, command = fake_nvml.load(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = build(folder, tuple(scenario.get("missing_symbols", ())))
        return subprocess.run(command, env=environment(scenario, library, folder), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
