"""Repos with much more than belongs there: how long other threads wait while each is looked at, and the memory.

    python tests/bench/bench_hostile.py [FOLDER] [NAME]...

FOLDER keeps the generated repos (0.6 GB) for the next time. The event loop is stood in for as in `bench_turns`. Each
repo is read in a process of its own: scanned, looked at in depth twice, and its document laid out, which the app does
on the event loop. Floor: never over 50 ms.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.bench_many import megabytes
from bench.bench_turns import measure
from support import hubcache

COMMIT = hubcache.COMMIT


def tensors(count: int, start: int = 0) -> bytes:
    """A safetensors file of `count` tensors, sparse of weights: 90 bytes of header each."""
    entries = (
        f'"model.layers.{n}.self_attn.w":{{"dtype":"U8","shape":[1],"data_offsets":[{n - start},{n - start + 1}]}}'
        for n in range(start, start + count)
    )
    head = ("{" + ",".join(entries) + "}").encode()
    return struct.pack("<Q", len(head)) + head + bytes(count)


def gguf(count: int) -> bytes:
    """A GGUF file of `count` tensors."""
    names = (f"blk.{n}.weight".encode() for n in range(count))
    table = b"".join(
        struct.pack("<Q", len(name)) + name + struct.pack("<IQIQ", 1, 1, 0, 4 * n) for n, name in enumerate(names)
    )
    head = b"GGUF" + struct.pack("<IQQ", 3, count, 0) + table
    return head + bytes(-len(head) % 32) + bytes(4 * count)


def build(root: Path, name: str) -> None:
    """One repo of the kind `name`."""
    made = hubcache.repo(root, f"much/{name}")
    made.ref()
    made.file("config.json", b'{"architectures": ["X"]}')
    if name == "safetensors":
        made.file("model.safetensors", tensors(900_000))
    elif name == "index":
        for shard in (1, 2):
            made.file(f"model-0000{shard}-of-00002.safetensors", tensors(150_000, 150_000 * shard))
        places = {
            f"model.layers.{n}.self_attn.w": f"model-0000{n // 150_000}-of-00002.safetensors"
            for n in range(150_000, 450_000)
        }
        made.file("model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": places}, indent=2).encode())
    elif name == "gguf":
        made.file("model.gguf", gguf(200_000))
    elif name == "config":
        labels = {str(n): f"label {n}" for n in range(150_000)}
        made.file("adapter_config.json", json.dumps({"peft_type": "X", "id2label": labels}).encode())
    elif name == "tree":
        files = {f"data/part-{n:07d}.bin": {"size": 5, "blob_id": f"{n:040x}"} for n in range(500_000)}
        (made.path / "trees").mkdir()
        listed = json.dumps({"format_version": 1, "files": files}, indent=1)
        (made.path / "trees" / f"{COMMIT}.json").write_text(listed)
    elif name == "card":
        made.file("README.md", b"|a|b|\n|-|-|\n" + b"|x|y|\n" * 5_000_000)
    elif name == "refs":
        for number in range(100_000):
            (made.path / "refs" / f"v{number}").write_text(COMMIT)
    elif name == "revisions":
        for number in range(20_000):
            made.file("config.json", b"{}", commit=f"{number:040x}")


NAMES = ("safetensors", "index", "gguf", "config", "tree", "card", "refs", "revisions")


def look(root: Path) -> None:
    """What the app does with it."""
    from cachetop.hub.about import About
    from cachetop.hub.detail import with_detail
    from cachetop.hub.scan import Scanner
    from cachetop.locations import Location
    from cachetop_tui import garbage
    from cachetop_tui.documents import repo as document

    garbage.prepare()
    scanner = Scanner([Location("hub", str(root), "bench")])
    measure("  scan", scanner.scan)
    models = scanner.scan()
    measure("  second pass", lambda: with_detail(models, scanner))
    measure("  second pass again", lambda: with_detail(models, scanner))
    found: list[About] = []
    measure("  its document", lambda: found.append(document.load(models.repos[0], None)))
    for about in found:
        began = time.perf_counter()
        lines = document.lines(about, 78, time.time())
        took = 1000 * (time.perf_counter() - began)
        print(f"  {len(lines):,} lines, laid out on the event loop in {took:.1f} ms")
    measure("  it is closed", found.clear)
    print(f"  {megabytes('VmHWM'):.0f} MB at most")


def main() -> None:
    """Build what is missing, look at each in a process of its own."""
    with tempfile.TemporaryDirectory() as own:
        home = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(own)
        if os.environ.get("BENCH_ONE"):
            look(home / os.environ["BENCH_ONE"])
            return
        for name in sys.argv[2:] or NAMES:
            if not (home / name).exists():
                build(home / name, name)
            print(name, flush=True)
            environment = os.environ | {
                "BENCH_ONE": name, "HOME": own, "TMPDIR": own, "XDG_CACHE_HOME": own, "HF_HOME": f"{own}/hf",
                "HF_HUB_CACHE": str(home / name), "CACHETOP_STATE_DIR": f"{own}/state",
                "CACHETOP_CONFIG": f"{own}/config.toml",
            }  # fmt: skip
            subprocess.run([sys.executable, __file__, str(home)], check=True, env=environment)


if __name__ == "__main__":
    main()
