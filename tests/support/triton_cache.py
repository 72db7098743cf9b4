"""Triton caches for tests: real ones, compiled ahead of time without a GPU, and synthetic ones of every layout."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.cache import FileCacheManager


@triton.jit
def add_kernel(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(out_ptr + offsets, tl.load(x_ptr + offsets, mask=mask) + tl.load(y_ptr + offsets, mask=mask), mask=mask)


@triton.jit
def softmax_kernel(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    columns = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + columns, mask=columns < n, other=-float("inf"))
    top = tl.exp(x - tl.max(x, axis=0))
    tl.store(out_ptr + columns, top / tl.sum(top, axis=0), mask=columns < n)


@triton.jit
def spill_kernel(a_ptr, b_ptr, out_ptr, n, BLOCK: tl.constexpr):
    rows = tl.arange(0, 128)
    columns = tl.arange(0, 32)
    total = tl.zeros((128, 128), dtype=tl.float32)
    for k in range(0, n, 32):
        a = tl.load(a_ptr + rows[:, None] * n + k + columns[None, :])
        b = tl.load(b_ptr + (k + columns)[:, None] * 128 + rows[None, :])
        total = tl.dot(a, b, total)
    tl.store(out_ptr + rows[:, None] * 128 + rows[None, :], total)


def pause():
    print("paused", flush=True)
    sys.stdin.read()


stop = os.environ.get("STOP", "")
real_put, real_replace = FileCacheManager.put, os.replace


def put(self, data, filename, binary=True):
    path = real_put(self, data, filename, binary)
    if stop.startswith("after ") and filename.endswith(stop[6:]):
        pause()
    return path


def replace(source, target):
    if stop.startswith("writing ") and target.endswith(stop[8:]):
        pause()
    real_replace(source, target)


FileCacheManager.put, os.replace = put, replace
kernels = {"add_kernel": add_kernel, "softmax_kernel": softmax_kernel, "spill_kernel": spill_kernel}
signature = {"x_ptr": "*fp32", "y_ptr": "*fp32", "out_ptr": "*fp32", "n": "i32", "BLOCK": "constexpr"}
spilling = {"a_ptr": "*fp16", "b_ptr": "*fp16", "out_ptr": "*fp32", "n": "i32", "BLOCK": "constexpr"}
for name in sys.argv[1].split(","):
    for sm in sys.argv[2].split(","):
        spills = name == "spill_kernel"
        source = ASTSource(fn=kernels[name], signature=spilling if spills else signature, constexprs={"BLOCK": 1024})
        options = {"num_warps": 2} if spills else None
        triton.compile(source, target=GPUTarget("cuda", int(sm), 32), options=options)
"""


def start_compile(root: Path, work: Path, kernels: str, sms: str, stop: str = "") -> subprocess.Popen[str]:
    """Start a program that compiles `kernels` for `sms` (both comma-separated) into the cache `root`.

    `stop` makes it print "paused" and wait: `after .ptx` once that file is in place, `writing .cubin` while it
    lies in its temporary folder.
    """
    work.mkdir(parents=True, exist_ok=True)
    program = work / "program.py"
    program.write_text(PROGRAM)
    env = {**os.environ, "TRITON_CACHE_DIR": str(root), "HOME": str(work), "TMPDIR": str(work), "STOP": stop}
    return subprocess.Popen(
        [sys.executable, str(program), kernels, sms],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


def compile_kernels(root: Path, work: Path, kernels: str, sms: str) -> Path:
    """Compile and wait; returns `root`."""
    process = start_compile(root, work, kernels, sms)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, output + errors
    return root


def key_of(digest: bytes, generation: str = "base32") -> str:
    """The folder's name for a sha256, as Triton of that generation writes it: hex, base64 or base32."""
    if generation == "hex":
        return digest.hex()
    if generation == "base64":
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return base64.b32encode(digest).decode().rstrip("=")


def metadata(name: str, sm: object, **more: object) -> dict[str, object]:
    """The metadata that every Triton since 3.0 writes, and `more`."""
    return {
        "hash": hashlib.sha256(name.encode()).hexdigest(),
        "target": {"backend": "cuda", "arch": sm, "warp_size": 32},
        "num_warps": 4,
        "num_ctas": 1,
        "num_stages": 3,
        "shared": 0,
        "name": name,
        **more,
    }


def write_entry(root: Path, key: str, name: str = "add_kernel", sm: object = 80, **more: object) -> Path:
    """One complete entry: stage files, metadata and group file in Triton's order. Returns its folder."""
    entry = root / key
    entry.mkdir(parents=True)
    for ending in ("source", "ttir", "ttgir", "llir", "ptx", "cubin"):
        (entry / f"{name}.{ending}").write_bytes(b"// " + ending.encode())
    (entry / f"{name}.json").write_text(json.dumps(metadata(name, sm, **more)))
    children = {path.name: str(path) for path in sorted(entry.iterdir())}
    (entry / f"__grp__{name}.json").write_text(json.dumps({"child_paths": children}))
    return entry


def synthetic(root: Path, count: int) -> Path:
    """`count` complete entries, seven SMs and fifty kernel names, as fast as files can be made."""
    for number in range(count):
        key = key_of(hashlib.sha256(str(number).encode()).digest())
        write_entry(
            root,
            key,
            f"triton_poi_fused_{number % 50}",
            (75, 80, 86, 89, 90, 100, 120)[number % 7],
            triton_version="3.8.0",
            extern_libs=[["libdevice", "/opt/e/lib/python3.11/site-packages/triton/backends/nvidia/lib/libdevice.bc"]],
        )
    return root


def backdate(folder: Path, seconds: float, but: str = "") -> None:
    """Make every file and folder below `folder`, and itself, `seconds` old; folders named `but`... stay."""
    for where, folders, files in os.walk(folder, topdown=False):
        for name in [*files, *folders]:
            if but and name.startswith(but):
                continue
            path = os.path.join(where, name)
            moment = os.lstat(path).st_mtime - seconds
            os.utime(path, (moment, moment), follow_symlinks=False)
    moment = os.stat(folder).st_mtime - seconds
    os.utime(folder, (moment, moment))
