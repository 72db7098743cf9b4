# mypy: ignore-errors
# Triton's language only looks like Python: its types are the compiler's.
"""Compile real Triton kernels for several SMs, ahead of time, on a machine with or without a GPU.

A script: `python triton_kernels.py [--first N] [--new N] [--pause SECONDS] [--parent PID]` under an interpreter
with Triton, with TRITON_CACHE_DIR set. `triton.compile` for a named target takes the path of the just-in-time
compiler, with the same key and the same files; only nothing is launched. What is already in the cache is passed
over without a pause, so that each run adds something new until the list is exhausted. With `--parent` it ends when
that process does.
"""

import argparse
import itertools
import os
import sys
import time

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

SMS = (75, 80, 86, 89, 90, 100, 120)


@triton.jit
def vector_add(x, y, out, n, BLOCK: tl.constexpr):
    """out = x + y."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    tl.store(out + at, tl.load(x + at, mask=inside) + tl.load(y + at, mask=inside), mask=inside)


@triton.jit
def row_softmax(out, x, stride, columns, BLOCK: tl.constexpr):
    """Softmax over each row."""
    row = tl.program_id(0) * stride
    at = tl.arange(0, BLOCK)
    values = tl.load(x + row + at, mask=at < columns, other=-float("inf"))
    powers = tl.exp(values - tl.max(values, axis=0))
    tl.store(out + row + at, powers / tl.sum(powers, axis=0), mask=at < columns)


@triton.jit
def gelu_forward(x, out, n, BLOCK: tl.constexpr):
    """The tanh form of GELU."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n).to(tl.float32)
    inner = 0.7978845608 * (value + 0.044715 * value * value * value)
    tl.store(out + at, value * tl.sigmoid(2 * inner), mask=at < n)


@triton.jit
def rms_norm(x, weight, out, stride, columns, epsilon, BLOCK: tl.constexpr):
    """Root-mean-square normalisation of each row."""
    row = tl.program_id(0) * stride
    at = tl.arange(0, BLOCK)
    value = tl.load(x + row + at, mask=at < columns, other=0.0)
    scale = tl.rsqrt(tl.sum(value * value, axis=0) / columns + epsilon)
    tl.store(out + row + at, value * scale * tl.load(weight + at, mask=at < columns), mask=at < columns)


@triton.jit
def matmul(a, b, c, m, n, k, row_a, row_b, row_c, BLOCK: tl.constexpr):
    """c = a @ b for row-major half-precision matrices, one square tile per program."""
    across = tl.cdiv(n, BLOCK)
    rows = (tl.program_id(0) // across) * BLOCK + tl.arange(0, BLOCK)
    columns = (tl.program_id(0) % across) * BLOCK + tl.arange(0, BLOCK)
    depth = tl.arange(0, 32)
    total = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, k, 32):
        left = tl.load(a + rows[:, None] * row_a + (start + depth)[None, :], mask=rows[:, None] < m, other=0.0)
        right = tl.load(b + (start + depth)[:, None] * row_b + columns[None, :], mask=columns[None, :] < n, other=0.0)
        total = tl.dot(left, right, total)
    inside = (rows[:, None] < m) & (columns[None, :] < n)
    tl.store(c + rows[:, None] * row_c + columns[None, :], total.to(tl.float16), mask=inside)


# each kernel with the types of its run-time arguments and its block sizes
KERNELS = (
    (vector_add, {"x": "*fp32", "y": "*fp32", "out": "*fp32", "n": "i32"}, (1024, 512, 2048)),
    (row_softmax, {"out": "*fp32", "x": "*fp32", "stride": "i32", "columns": "i32"}, (1024, 2048, 4096)),
    (gelu_forward, {"x": "*fp16", "out": "*fp16", "n": "i32"}, (1024, 512, 2048)),
    (
        rms_norm,
        {"x": "*fp32", "weight": "*fp32", "out": "*fp32", "stride": "i32", "columns": "i32", "epsilon": "fp32"},
        (1024, 2048, 512),
    ),
    (
        matmul,
        {
            "a": "*fp16",
            "b": "*fp16",
            "c": "*fp16",
            "m": "i32",
            "n": "i32",
            "k": "i32",
            "row_a": "i32",
            "row_b": "i32",
            "row_c": "i32",
        },
        (64, 32, 128),
    ),
)


def work():
    """Every (kernel, types, block, SM) in the order it is compiled: all kernels and SMs before a second block size."""
    for variant in range(3):
        for (kernel, types, blocks), sm in itertools.product(KERNELS, SMS):
            yield kernel, types, blocks[variant], sm


def main(words=None):
    """Compile; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="look at no more than this many of the list")
    parser.add_argument("--new", type=int, default=0, help="stop after compiling this many that were not there")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds to wait after each new one")
    parser.add_argument("--parent", type=int, default=0, help="end when this process is no longer the parent")
    args = parser.parse_args(words)
    if not os.environ.get("TRITON_CACHE_DIR"):
        parser.error("TRITON_CACHE_DIR is not set: these kernels belong into a sandbox, not into the default cache")
    hits = []
    triton.knobs.compilation.listener = lambda *, cache_hit, **_: hits.append(cache_hit)
    new = 0
    for kernel, types, block, sm in itertools.islice(work(), args.first or None):
        if args.parent and os.getppid() != args.parent:
            return 0
        signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
        source = ASTSource(fn=kernel, signature=signature, constexprs={"BLOCK": block})
        try:
            triton.compile(source, target=GPUTarget("cuda", sm, 32), options={"num_warps": 4})
        except Exception as error:  # a Triton may know fewer SMs than this list
            reason = str(error).strip().partition("\n")[0]
            print(f"{kernel.fn.__name__} for sm_{sm}: {type(error).__name__}: {reason}", file=sys.stderr)  # noqa: T201
            continue
        if not hits[-1]:
            new += 1
            print(f"{kernel.fn.__name__} sm_{sm} BLOCK={block}", flush=True)  # noqa: T201
            if args.new and new >= args.new:
                return 0
            if args.pause:
                time.sleep(args.pause)
    return 0


if __name__ == "__main__":
    sys.exit(main())
