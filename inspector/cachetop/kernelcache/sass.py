"""SASS, the GPU's own instructions, by NVIDIA's nvdisasm: only when asked, and only by a tool that is the user's.

The tool is looked for on PATH, in the CUDA toolkit that CUDA_HOME names, and in the Triton of the environment that
is active or that cachetop runs in (triton/backends/nvidia/bin). An environment that a cache entry names is not
trusted to be run from: an entry can name any path. The code is handed over in memory, so that the disassembler
neither moves the entry's access time nor sees its folder.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from cachetop.base.hostile import show
from cachetop.kernelcache.records import Entry
from cachetop.kernelcache.scan import Scanner
from cachetop.kernelcache.stages import TEXT_MOST, Text, code_of, to_text

CODE_MOST = 1 << 26
SECONDS = 30.0


def nvdisasm(env: Mapping[str, str] | None = None) -> str | None:
    """The path of the user's nvdisasm, None when there is none. Nothing is run."""
    env = os.environ if env is None else env
    found = shutil.which("nvdisasm", path=env.get("PATH"))
    if found:
        return found
    places = [os.path.join(env[name], "bin") for name in ("CUDA_HOME", "CUDA_PATH") if env.get(name)]
    for prefix in (env.get("VIRTUAL_ENV"), env.get("CONDA_PREFIX"), sys.prefix):
        if prefix:
            pattern = os.path.join(glob.escape(prefix), "lib", "python3.*", "site-packages", "triton")
            places += sorted(glob.glob(os.path.join(pattern, "backends", "nvidia", "bin")))
    for place in places:
        tool = os.path.join(place, "nvdisasm")
        if os.access(tool, os.X_OK):
            return tool
    return None


def disassemble(entry: Entry, scanner: Scanner, tool: str | None = None, most: int = TEXT_MOST) -> Text:
    """The instructions in the machine code of `entry`, at most `most` bytes of text, by `tool` (default: `nvdisasm()`).

    Raises ValueError with a sentence when there is no tool or no machine code, or the tool refuses it; OSError
    when the code cannot be read; KeyError when the entry is not in the scanner's picture.
    """
    tool = tool or nvdisasm()
    if tool is None:
        raise ValueError(
            "nvdisasm was not found on PATH, in CUDA_HOME or in the active environment's triton; "
            "--nvdisasm says where it is"
        )
    code = code_of(entry, scanner, CODE_MOST)
    handle = os.memfd_create("cubin", os.MFD_CLOEXEC)
    try:
        with open(os.dup(handle), "wb") as out:
            out.write(code)
        try:
            done = subprocess.run(
                [tool, "-c", f"/proc/self/fd/{handle}"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(handle,),
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"{show(tool)} did not finish within {SECONDS:.0f} s") from None
        except OSError as error:
            raise ValueError(f"{show(tool)} cannot be run: {os.strerror(error.errno or 0)}") from None
    finally:
        os.close(handle)
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise ValueError(f"{show(tool)} refused the code: {show(said, 300)}")
    return to_text("sass", done.stdout[:most], len(done.stdout))
