"""The files a model is made of: which repo they belong to, and how much of them is in RAM already."""

import importlib.util
import os
import types

_HERE = os.path.dirname(os.path.abspath(__file__))


def _residency() -> types.ModuleType:
    """cachetop's page cache reader, by its path: it needs nothing but the standard library."""
    path = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "base", "residency.py")
    spec = importlib.util.spec_from_file_location("cachetop_worker.residency", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_RESIDENCY = _residency()


def resident(paths: list[str]) -> int | None:
    """Bytes of these files that are in the page cache; None when one of them cannot be told."""
    total = 0
    for path in paths:
        found = _RESIDENCY.resident(os.path.realpath(path))
        if found is None:
            return None
        total += found
    return total


def size(paths: list[str]) -> int:
    """Apparent bytes of these files; one that is gone counts nothing."""
    total = 0
    for path in paths:
        try:
            total += os.stat(path).st_size
        except OSError:
            pass
    return total


def files(path: str) -> list[str]:
    """The weight files a model of this path is read from: the file itself, or those in the folder."""
    if os.path.isfile(path):
        return [path]
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return []
    for endings in ((".safetensors",), (".bin", ".pth", ".pt"), (".onnx",)):
        found = [os.path.join(path, name) for name in names if name.endswith(endings)]
        if found:
            return found
    return []


def origin(path: str) -> tuple[str | None, str | None]:
    """(repo, commit) of a path in a hub cache, (repo, None) in a folder `docling-tools` filled, else two None."""
    parts = os.path.abspath(path).split(os.sep)
    for number, part in enumerate(parts):
        if part.startswith("models--") and len(parts) > number + 2 and parts[number + 1] == "snapshots":
            return part[len("models--") :].replace("--", "/"), parts[number + 2]
    artifacts = os.environ.get("DOCLING_ARTIFACTS_PATH")
    if artifacts:
        inner = os.path.relpath(os.path.abspath(path), os.path.abspath(os.path.expanduser(artifacts)))
        first = inner.split(os.sep)[0]
        if "--" in first:
            return first.replace("--", "/", 1), None
    return None, None
