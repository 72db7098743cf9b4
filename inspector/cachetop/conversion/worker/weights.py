"""The files a model is made of: which repo they belong to, and how much of them is in RAM already."""

import importlib.util
import json
import os
import re
import socket
import threading
import types
from dataclasses import dataclass
from urllib.parse import urlsplit

_HERE = os.path.dirname(os.path.abspath(__file__))
_TREE_LIMIT = 32 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")

Needed = tuple[str, str, tuple[str, ...]]
_LAYOUT: Needed = (
    "docling-project/docling-layout-heron",
    "main",
    ("model.safetensors", "config.json", "preprocessor_config.json"),
)
_TABLES: Needed = (
    "docling-project/docling-models",
    "v2.3.0",
    (
        "model_artifacts/tableformer/accurate/tm_config.json",
        "model_artifacts/tableformer/accurate/tableformer_accurate.safetensors",
    ),
)
_VLM: Needed = ("ibm-granite/granite-docling-258M", "main", ("config.json", "model.safetensors"))
NEEDED = {"standard": (_LAYOUT, _TABLES), "vlm": (_VLM,)}
"""What docling's defaults ask the hub for: (repo, revision, files), by pipeline."""


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


def hub_cache() -> str:
    """The hub cache folder by huggingface_hub's precedence, before that is imported."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if name in os.environ:
            return os.path.expanduser(os.path.expandvars(os.environ[name]))
    home = os.environ.get("HF_HOME")
    if home is None:
        base = os.environ.get("XDG_CACHE_HOME", os.path.join("~", ".cache"))
        home = os.path.join(base, "huggingface")
    return os.path.join(os.path.expanduser(os.path.expandvars(home)), "hub")


@dataclass(frozen=True)
class Presence:
    """Whether the models of a pipeline are on disk: `missing` repos, and the `bytes` of the weights found."""

    missing: tuple[str, ...]
    bytes: int
    where: str


def presence(pipeline: str) -> Presence:
    """Look for the models of `pipeline` where docling will; reads no weight and asks nobody."""
    artifacts = os.environ.get("DOCLING_ARTIFACTS_PATH")
    where = os.path.expanduser(artifacts) if artifacts else hub_cache()
    missing, found = [], 0
    for repo, revision, names in NEEDED[pipeline]:
        if artifacts:
            folder: str | None = os.path.join(where, repo.replace("/", "--"))
        else:
            folder = _snapshot(os.path.join(where, "models--" + repo.replace("/", "--")), revision)
        paths = [os.path.join(folder, name) for name in (*names, *_listed(folder))] if folder else []
        if not paths or not all(os.path.isfile(path) for path in paths):
            missing.append(repo)
        else:
            found += size([path for path in paths[: len(names)] if path.endswith(".safetensors")])
    return Presence(tuple(missing), found, where)


def folders(pipeline: str) -> list[tuple[str, tuple[str, ...]]]:
    """(folder, names) of the files of each repo that `pipeline` needs, of those that are there."""
    artifacts = os.environ.get("DOCLING_ARTIFACTS_PATH")
    where = os.path.expanduser(artifacts) if artifacts else hub_cache()
    found = []
    for repo, revision, names in NEEDED[pipeline]:
        if artifacts:
            folder: str | None = os.path.join(where, repo.replace("/", "--"))
        else:
            folder = _snapshot(os.path.join(where, "models--" + repo.replace("/", "--")), revision)
        if folder:
            found.append((folder, names))
    return found


def _snapshot(repo: str, revision: str) -> str | None:
    try:
        with open(os.path.join(repo, "refs", revision), encoding="ascii") as file:
            commit = file.read(64).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return os.path.join(repo, "snapshots", commit) if _COMMIT.match(commit) else None


def _listed(snapshot: str) -> list[str]:
    """The files of a snapshot by the hub client's own listing, which it wants whole before it works offline."""
    folder, commit = os.path.split(snapshot)
    try:
        with open(os.path.join(os.path.dirname(folder), "trees", f"{commit}.json"), "rb") as file:
            told = json.loads(file.read(_TREE_LIMIT))["files"]
        return [name for name in told if isinstance(name, str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def offline() -> bool:
    """Whether the environment forbids the hub."""
    said = (os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or "").upper()
    return said in ("1", "TRUE", "YES", "ON")


def hub_reachable(seconds: float = 3.0) -> tuple[bool, str]:
    """Whether the hub's host takes a connection within `seconds`, and its name; behind a proxy, assumed."""
    address = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    host = address.hostname or "huggingface.co"
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True, host
    answered = threading.Event()

    def connect() -> None:
        try:
            port = address.port or (80 if address.scheme == "http" else 443)
            socket.create_connection((host, port), timeout=seconds).close()
        except (OSError, ValueError):
            return
        answered.set()

    # a name server that does not answer blocks longer than any socket timeout
    asking = threading.Thread(target=connect, name="hub-reachable", daemon=True)
    asking.start()
    asking.join(seconds)
    return answered.is_set(), host
