"""Starting cold on purpose, to measure it: the weights' own files leave the page cache before they are read.

Only regular files of this user that the models are made of are touched; a file that another process has
mapped keeps those pages, and `model-loading` then says how much was still there.
"""

import importlib.util
import os
import stat
from collections.abc import Mapping
from typing import Any

from . import needs, offline, weights


def files(pipeline: str, asked: Mapping[str, Any]) -> list[str]:
    """The weight files the pipeline reads, as they lie on disk, each once."""
    found: list[str] = []
    for folder, names in needs.folders(pipeline, asked):
        found += [os.path.join(folder, name) for name in names]
        found += weights.files(folder)
    if pipeline == "offline":
        found.append(offline.layout_file())
    if pipeline in ("standard", "offline"):
        spec = importlib.util.find_spec("rapidocr")
        for folder in (spec.submodule_search_locations or []) if spec else []:
            models = os.path.join(folder, "models")
            bundled = os.listdir(models) if os.path.isdir(models) else []
            found += [os.path.join(models, name) for name in bundled if name.endswith(".onnx")]
    return list(dict.fromkeys(os.path.realpath(path) for path in found if os.path.isfile(path)))


def drop(paths: list[str]) -> tuple[int, list[str]]:
    """Drop these files from the page cache: (bytes that were there and are gone, paths that were left alone)."""
    gone, left = 0, []
    for path in paths:
        before = weights.resident([path]) or 0
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            left.append(path)
            continue
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                left.append(path)
                continue
            # pages not yet on disk cannot be dropped
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            left.append(path)
            continue
        finally:
            os.close(descriptor)
        gone += max(0, before - (weights.resident([path]) or 0))
    return gone, left
