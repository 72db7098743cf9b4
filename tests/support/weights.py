"""Weight files as models have them, small."""

from __future__ import annotations

import json
import struct

from cachetop.hub.about import About, describe
from cachetop.hub.scan import Scanner


def header(tensors: dict[str, tuple[str, list[int], int]]) -> bytes:
    """A safetensors file of (type, shape, bytes) by name, its data all zero."""
    at, told = 0, {"__metadata__": {"format": "pt"}}
    for name, (dtype, shape, size) in tensors.items():
        told[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}  # type: ignore[dict-item]
        at += size
    raw = json.dumps(told).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(at)


def about(scanner: Scanner, revision: str | None = None) -> About:
    """The only repo of a cache in depth."""
    (repo,) = scanner.scan().repos
    return describe(repo, scanner, revision)
