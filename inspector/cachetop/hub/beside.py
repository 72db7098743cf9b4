"""Other places where models lie: beside the hub cache, in environments, in other programs' folders.

A row each with path and size, read-only: each program has its own way to delete. Sources: huggingface_hub and
datasets (constants, config), torch.hub, docling (settings), easyocr.config, whisper, modelscope, ollama's FAQ.
HF_HOME itself is never a row: it holds the login token. Files that hold a token are not counted and not named.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from glob import escape, iglob

from cachetop.base.hostile import show
from cachetop.base.record import why
from cachetop.hub.contents import open_folder, open_root
from cachetop.hub.records import Beside
from cachetop.locations import Location, expand, hf_home, home

_SECRET = frozenset({"token", "stored_tokens"})
_DEPTH = 32
_NOTES = {
    "xet": "Chunks and shards of running and past transfers; huggingface_hub makes them again.",
    "assets": "Files that libraries keep beside the hub cache.",
    "datasets": "Prepared data sets; the datasets library makes them again from the hub cache.",
    "torch-hub": "Checkpoints of torch.hub; downloaded again when needed.",
    "docling": "Models for offline use, put there by docling-tools models download.",
    "rapidocr": "Part of an environment; it goes with it.",
    "easyocr": "Models of EasyOCR; downloaded again when needed.",
    "whisper": "Models of openai-whisper; downloaded again when needed.",
    "modelscope": "Models of ModelScope; downloaded again when needed.",
    "ollama": "Models of ollama: ollama list, ollama rm.",
}


def places(env: Mapping[str, str] | None = None) -> list[Location]:
    """Every such place for `env`, whether it exists or not; those inside environments only where they exist."""
    env = os.environ if env is None else env
    own = home(env)
    base, reason, variable = hf_home(env)
    cached = os.path.join(own, ".cache")
    found = [
        _first(env, "xet", [("HF_XET_CACHE", "")], os.path.join(base, "xet"), reason, variable),
        _first(
            env,
            "assets",
            [("HF_ASSETS_CACHE", ""), ("HUGGINGFACE_ASSETS_CACHE", "")],
            os.path.join(base, "assets"),
            reason,
            variable,
        ),
        _first(env, "datasets", [("HF_DATASETS_CACHE", "")], os.path.join(base, "datasets"), reason, variable),
        _first(
            env,
            "torch-hub",
            [("TORCH_HOME", "hub/checkpoints"), ("XDG_CACHE_HOME", "torch/hub/checkpoints")],
            os.path.join(cached, "torch", "hub", "checkpoints"),
        ),
        _first(
            env,
            "docling",
            [("DOCLING_ARTIFACTS_PATH", ""), ("DOCLING_CACHE_DIR", "models")],
            os.path.join(cached, "docling", "models"),
        ),
        _first(
            env,
            "easyocr",
            [("EASYOCR_MODULE_PATH", "model"), ("MODULE_PATH", "model")],
            os.path.join(own, ".EasyOCR", "model"),
        ),
        _first(env, "whisper", [("XDG_CACHE_HOME", "whisper")], os.path.join(cached, "whisper")),
        _first(env, "modelscope", [("MODELSCOPE_CACHE", "")], os.path.join(cached, "modelscope")),
        _first(env, "ollama", [("OLLAMA_MODELS", "")], os.path.join(own, ".ollama", "models")),
    ]
    service = "/usr/share/ollama/.ollama/models"
    if os.path.isdir(service):
        found.append(Location("ollama", service, "where ollama's system service keeps them"))
    return found + list(_environments(env))


def _first(
    env: Mapping[str, str],
    kind: str,
    variables: list[tuple[str, str]],
    default: str,
    reason: str = "default: no variable set",
    deciding: str | None = None,
) -> Location:
    for name, below in variables:
        if env.get(name):
            path = expand(env[name], env)
            return Location(kind, os.path.join(path, below) if below else path, f"{name} is set", name)
    return Location(kind, default, reason, deciding)


def _environments(env: Mapping[str, str]) -> Iterator[Location]:
    """RapidOCR keeps its models in its package: look into the active environments, without running them."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if env.get(name):
            for package in ("rapidocr", "rapidocr_onnxruntime"):
                pattern = os.path.join(escape(env[name]), "lib", "python3*", "site-packages", package, "models")
                for path in sorted(iglob(pattern)):
                    yield Location("rapidocr", path, f"in the environment that {name} names", name)


def look(env: Mapping[str, str] | None = None) -> tuple[Beside, ...]:
    """A row for each place that exists, with its size now. Never raises for what is on disk."""
    rows, seen = [], set[tuple[int, int]]()
    for place in places(env):
        try:
            descriptor = open_root(place.path)
        except FileNotFoundError:
            continue
        except OSError as error:
            rows.append(_unread(place, error))
            continue
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            size = disk = files = 0
            inodes: set[tuple[int, int]] = set()
            troubles: list[str] = []
            for each in _walk(descriptor, troubles):
                if each.st_nlink > 1:
                    key = (each.st_dev, each.st_ino)
                    if key in inodes:
                        continue
                    inodes.add(key)
                size, disk, files = size + each.st_size, disk + each.st_blocks * 512, files + 1
            many = "1 folder" if len(troubles) == 1 else f"{len(troubles)} folders"
            problem = f"{many} could not be read ({troubles[0]})." if troubles else None
            rows.append(_row(place, size, disk, files, problem))
        except OSError as error:
            rows.append(_unread(place, error))
        finally:
            os.close(descriptor)
    return tuple(rows)


def _unread(place: Location, error: OSError) -> Beside:
    return _row(place, None, None, None, f"It could not be read: {why(error)}.")


def _row(place: Location, size: int | None, disk: int | None, files: int | None, problem: str | None) -> Beside:
    return Beside(
        kind=place.kind,
        path=show(place.path),
        reason=place.reason,
        size=size,
        size_on_disk=disk,
        files=files,
        note=_NOTES[place.kind],
        problem=problem,
    )


def _walk(descriptor: int, troubles: list[str], depth: int = 0) -> Iterator[os.stat_result]:
    """The regular files below an open folder; symlinks are not followed, other file systems not entered.

    Raises OSError where the folder itself cannot be read; what cannot be read below it is added to `troubles`.
    """
    device = os.fstat(descriptor).st_dev
    for name in os.listdir(descriptor):
        try:
            status = os.lstat(name, dir_fd=descriptor)
            if stat.S_ISREG(status.st_mode):
                if name not in _SECRET:
                    yield status
            elif stat.S_ISDIR(status.st_mode) and status.st_dev == device and depth < _DEPTH:
                below = open_folder(name, descriptor)
                try:
                    yield from _walk(below, troubles, depth + 1)
                finally:
                    os.close(below)
        except FileNotFoundError:
            continue
        except OSError as error:
            troubles.append(why(error))
