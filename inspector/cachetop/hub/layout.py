"""The names in a hub cache and what a symlink in it may say.

Format: huggingface_hub's file_download.py, utils/_cache_manager.py and utils/_shared_blobs.py, 1.0 to 2.4.
A link is judged by its text alone and is never followed: it either names a blob of its own repo or a
payload of the cache-wide shared store, or it is foreign.
"""

from __future__ import annotations

import os
import re
import zlib
from functools import cache

from cachetop.base.hostile import clean
from cachetop.hub.names import HARMLESS

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space", "kernels": "kernel"}
FOLDERS = {kind: folder for folder, kind in KINDS.items()}
STORE = "blobs"
"""The shared store, a folder directly below the cache root: `blobs/<2 hex>/<64 hex>`."""
IGNORED = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
PARTIAL = ".incomplete"

_PLAIN = HARMLESS.translate(None, b"./")
"""What the name of a blob is made of, nearly always."""
_PAYLOAD = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_STORE_LINK = "../../"


def is_repo(folder: str) -> bool:
    """Whether a folder of a cache root has the name of a repo folder."""
    prefix, _, name = folder.partition("--")
    return prefix in KINDS and bool(name)


def identity(folder: str) -> tuple[str, str] | None:
    """`models--org--name` -> ("model", "org/name"), safe to show; None when it is no repo folder's name.

    A name that is not safe to show gets a checksum behind it: two of them never look the same.
    """
    prefix, _, name = folder.partition("--")
    kind = KINDS.get(prefix)
    if kind is None or not name:
        return None
    name = name.replace("--", "/")
    shown = clean(name)
    return kind, shown if shown == name else f"{shown}~{zlib.crc32(os.fsencode(folder)):08x}"


def own_blob(target: str, folder: str, inside: str, roots: tuple[str, ...]) -> str | None:
    """The name of the blob that a snapshot's link names, None when it names anything but a blob of its repo.

    `folder` is the repo's folder, `inside` the folder of the link below it (`snapshots/<commit>/onnx/`) and
    `roots` the cache root's absolute spellings, for absolute links.
    """
    parts = _below_root(target, f"{folder}/{inside}", roots).split("/")
    return parts[2] if len(parts) == 3 and parts[:2] == [folder, "blobs"] and parts[2] else None


@cache
def _up(depth: int) -> tuple[str, bytes]:
    """What a link to a blob starts with, `depth` folders deep in a revision, and what of it is no part of `_PLAIN`."""
    up = "\0" + "../" * depth + "../../blobs/"
    return up, up.encode().translate(None, _PLAIN)


def own_blobs(targets: list[str], depth: int) -> list[str] | None:
    """The names of the blobs that a snapshot's links name, if all links are as huggingface_hub makes them; else None.

    `depth`: how many folders deep in the snapshot they lie. Much cheaper than to ask `own_blob` one by one.
    """
    text = "\0" + "\0".join(targets)  # no link has a NUL in it
    up, rest = _up(depth)
    keys = text.split(up)
    del keys[0]
    count = len(targets)
    if len(keys) == count and text.isascii() and text.encode().translate(None, _PLAIN) == rest * count:
        return keys
    return None


def stored_payload(target: str, folder: str, roots: tuple[str, ...]) -> str | None:
    """`<2 hex>/<64 hex>` when the link of a blob names a payload of the shared store, else None."""
    plain = target[len(_STORE_LINK) :] if target.startswith(_STORE_LINK) else ""
    found = _PAYLOAD.fullmatch(plain) or _PAYLOAD.fullmatch(_below_root(target, f"{folder}/blobs", roots))
    return f"{found[1]}/{found[2]}" if found else None


def is_payload(prefix: str, name: str) -> bool:
    """Whether `blobs/<prefix>/<name>` is where the shared store keeps a payload."""
    return _PAYLOAD.fullmatch(f"{STORE}/{prefix}/{name}") is not None


def etag(partial: str) -> str:
    """The etag a partial download is named after: `<etag>.<8 hex>.incomplete` or `<etag>.incomplete`."""
    return partial.partition(".")[0]


def resumable(partial: str) -> bool:
    """Whether huggingface_hub 1.17 and older left a partial download: the next one of theirs goes on with it."""
    return partial.count(".") == 1


def _below_root(target: str, inside: str, roots: tuple[str, ...]) -> str:
    """Where a link leads, lexically and relative to the cache root; empty when that is outside."""
    if not target.startswith("/"):
        path = os.path.normpath(f"{inside}/{target}")
        return "" if path == ".." or path.startswith("../") else path
    path = os.path.normpath(target)
    for root in roots:
        if path.startswith(root + "/"):
            return path[len(root) + 1 :]
    return ""
