"""Small repositories written by hand in the layout of the Hugging Face cache, with nothing but the standard library.

Their tensors are real safetensors files of random numbers; no name claims to be anything else than a demo.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

OWNER = "cachetop-demo"


@dataclass(frozen=True)
class _Revision:
    ref: str | None
    files: dict[str, bytes]


def write(hub: Path) -> list[str]:
    """Write the demo repositories below `hub`; returns their ids.

    One has two revisions that share a blob and of which one is detached, one has a download that was cut off,
    one is a data set. Existing files of the same names are left as they are.
    """
    hub.mkdir(parents=True, exist_ok=True)
    (hub / "CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    encoder = _safetensors(1, {"embedding.weight": (4096, 768), "encoder.weight": (768, 768)})
    tuned = _safetensors(2, {"embedding.weight": (4096, 768), "encoder.weight": (768, 768)})
    decoder = _safetensors(3, {"decoder.weight": (8192, 1024)})
    vocabulary = json.dumps({f"token{i}": i for i in range(2000)}).encode()
    _repo(
        hub / f"models--{OWNER}--tiny-encoder",
        [
            _Revision(None, {"model.safetensors": encoder, "vocab.json": vocabulary, "config.json": _config("before")}),
            _Revision(
                "main", {"model.safetensors": tuned, "vocab.json": vocabulary, "config.json": _config("encoder")}
            ),
        ],
    )
    half = hub / f"models--{OWNER}--tiny-decoder"
    _repo(half, [_Revision("main", {"config.json": _config("decoder")})], absent={"model.safetensors": decoder})
    partial = half / "blobs" / f"{hashlib.sha256(decoder).hexdigest()}.0badcafe.incomplete"
    if not partial.exists():
        partial.write_bytes(decoder[: len(decoder) // 3])
    _repo(hub / f"datasets--{OWNER}--pages", [_Revision("main", {"pages.jsonl": _lines(5000)})])
    return [f"{OWNER}/tiny-encoder", f"{OWNER}/tiny-decoder", f"{OWNER}/pages"]


def _repo(folder: Path, revisions: list[_Revision], absent: dict[str, bytes] | None = None) -> None:
    for revision in revisions:
        listed = {**revision.files, **(absent or {})}
        commit = hashlib.sha1("".join(sorted(_name(content) for content in listed.values())).encode()).hexdigest()
        for name, content in revision.files.items():
            blob = folder / "blobs" / _name(content)
            blob.parent.mkdir(parents=True, exist_ok=True)
            if not blob.exists():
                blob.write_bytes(content)
            link = folder / "snapshots" / commit / name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(os.path.relpath(blob, link.parent))
        tree = {
            name: {"size": len(content), "blob_id": _git_name(content)}
            | ({"lfs_sha256": _name(content), "lfs_size": len(content)} if _large(content) else {})
            for name, content in listed.items()
        }
        (folder / "trees").mkdir(exist_ok=True)
        (folder / "trees" / f"{commit}.json").write_text(json.dumps({"format_version": 1, "files": tree}))
        if revision.ref:
            (folder / "refs").mkdir(exist_ok=True)
            (folder / "refs" / revision.ref).write_text(commit)


def _large(content: bytes) -> bool:
    return len(content) > 1_000_000


def _git_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _name(content: bytes) -> str:
    """A blob's name: sha256 for what the Hub keeps in its large file store, git's sha1 for the rest."""
    return hashlib.sha256(content).hexdigest() if _large(content) else _git_name(content)


def _config(name: str) -> bytes:
    return json.dumps({"model_type": "cachetop-demo", "_name_or_path": f"{OWNER}/{name}"}, indent=2).encode()


def _lines(count: int) -> bytes:
    return "".join(f'{{"page": {i}, "text": "A line of the demo data set."}}\n' for i in range(count)).encode()


def _safetensors(seed: int, tensors: dict[str, tuple[int, int]]) -> bytes:
    """A safetensors file of random half-precision numbers: 8 bytes of length, the JSON header, the data."""
    header: dict[str, object] = {"__metadata__": {"made_by": "cachetop demo"}}
    end = 0
    for name, shape in tensors.items():
        start, end = end, end + 2 * shape[0] * shape[1]
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + random.Random(seed).randbytes(end)
