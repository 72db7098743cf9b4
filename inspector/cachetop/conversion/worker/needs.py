"""Which repos a pipeline with its options needs, where docling looks for them, and which are not there.

The table is that of docling's defaults and presets (2.139 to 2.143: LayoutObjectDetectionOptions,
TableStructureModel, CodeFormulaVlmOptions, DocumentPictureClassifierOptions, PictureDescriptionVlmEngineOptions,
VlmConvertOptions.from_preset). Reads no weight and asks nobody; cachetop itself uses this module too.
"""

import json
import os
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .weights import size

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
_PLAIN = ("config.json", "model.safetensors")
_ENRICHING: dict[str, Needed] = {
    "do_code_enrichment": ("docling-project/CodeFormulaV2", "main", _PLAIN),
    "do_formula_enrichment": ("docling-project/CodeFormulaV2", "main", _PLAIN),
    "do_picture_classification": ("docling-project/DocumentFigureClassifier-v2.5", "main", _PLAIN),
    "do_picture_description": ("HuggingFaceTB/SmolVLM-256M-Instruct", "main", _PLAIN),
}
_SHARDED = ("config.json",)
PRESETS: dict[str, Needed] = {
    "granite_docling": ("ibm-granite/granite-docling-258M", "main", _PLAIN),
    "smoldocling": ("docling-project/SmolDocling-256M-preview", "main", _PLAIN),
    "granite_vision": ("ibm-granite/granite-vision-3.3-2b", "main", _SHARDED),
    "pixtral": ("mistral-community/pixtral-12b", "main", _SHARDED),
    "got_ocr": ("stepfun-ai/GOT-OCR-2.0-hf", "main", _SHARDED),
    "phi4": ("microsoft/Phi-4-multimodal-instruct", "93f923e1a7727d1c4f446756212d9d3e8fcc5d81", _SHARDED),
    "qwen": ("Qwen/Qwen2.5-VL-3B-Instruct", "main", _SHARDED),
    "nanonets_ocr2": ("nanonets/Nanonets-OCR2-3B", "main", _SHARDED),
    "nemotron_parse_v2": ("nvidia/NVIDIA-Nemotron-Parse-2.0", "b6742064f4a8cf22a10383ece5e7fbead355ac04", _SHARDED),
    "nemotron_parse_v3_5": ("nvidia/Nemotron-3.5-Parse", "e7ea79242a87ea0ad3919b672bfedb429a683206", _SHARDED),
    "mineru2_pro": ("opendatalab/MinerU2.5-Pro-2604-1.2B", "main", _SHARDED),
    "dolphin": ("ByteDance/Dolphin", "main", _SHARDED),
    "glm_ocr": ("zai-org/GLM-OCR", "main", _SHARDED),
    "lightonocr": ("lightonai/LightOnOCR-2-1B", "main", _SHARDED),
    "falcon_ocr": ("tiiuae/Falcon-OCR", "42ec56b72a23984ac059e7c8a6d397a8529423fe", _SHARDED),
    "chandra_ocr2": ("datalab-to/chandra-ocr-2", "af93b47dba1b47b6640c86ccf487ed2260ab9a09", _SHARDED),
    "dots_ocr": ("rednote-hilab/dots.ocr", "c0111ce6bc07803dbc267932ffef0ae3a51dc951", _SHARDED),
    "dots_mocr": ("rednote-hilab/dots.mocr", "e539fbb52280393adc081b289ec597430a0f9031", _SHARDED),
}
"""docling's VLM presets that read a model from the hub: (repo, revision, files that must be there)."""


def needed(pipeline: str, asked: Mapping[str, Any]) -> tuple[Needed, ...]:
    """(repo, revision, files) that `pipeline` loads with these options, each repo once; of unknown presets none."""
    if pipeline == "vlm":
        preset = PRESETS.get(asked.get("vlm_preset", "granite_docling"))
        return (preset,) if preset else ()
    if pipeline != "standard":
        return ()
    tables = (_TABLES,) if asked.get("do_table_structure", True) else ()
    return tuple(dict.fromkeys((_LAYOUT, *tables, *(repo for name, repo in _ENRICHING.items() if asked.get(name)))))


def hub_cache(env: Mapping[str, str] | None = None) -> str:
    """The hub cache folder by huggingface_hub's precedence, before that is imported."""
    env = os.environ if env is None else env
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if name in env:
            return os.path.expanduser(os.path.expandvars(env[name]))
    home = env.get("HF_HOME")
    if home is None:
        base = env.get("XDG_CACHE_HOME", os.path.join("~", ".cache"))
        home = os.path.join(base, "huggingface")
    return os.path.join(os.path.expanduser(os.path.expandvars(home)), "hub")


@dataclass(frozen=True)
class Presence:
    """Whether the models are on disk: the repos `absent`, and the `bytes` of the weights found."""

    absent: tuple[Needed, ...]
    bytes: int
    where: str

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the absent repos."""
        return tuple(repo for repo, _, _ in self.absent)


def presence(pipeline: str, asked: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Presence:
    """Look for the models where docling will; reads no weight and asks nobody."""
    absent, found = [], 0
    for need in needed(pipeline, asked):
        folder = _folder(need, env)
        names = need[2]
        paths = [os.path.join(folder, name) for name in (*names, *_listed(folder))] if folder else []
        if not paths or not all(os.path.isfile(path) for path in paths):
            absent.append(need)
        else:
            weights = [path for path in paths[: len(names)] if path.endswith(".safetensors")]
            found += size(weights or [path for path in paths if path.endswith(".safetensors")])
    return Presence(tuple(absent), found, place(env))


def place(env: Mapping[str, str] | None = None) -> str:
    """Where docling looks for models: its artifacts folder if one is named, else the hub cache."""
    env = os.environ if env is None else env
    artifacts = env.get("DOCLING_ARTIFACTS_PATH")
    return os.path.expanduser(artifacts) if artifacts else hub_cache(env)


def folders(pipeline: str, asked: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """(folder, names) of the files of each repo that is needed, of those that are there."""
    found = [(_folder(need, None), need[2]) for need in needed(pipeline, asked)]
    return [(folder, names) for folder, names in found if folder]


def _folder(need: Needed, env: Mapping[str, str] | None) -> str | None:
    """The snapshot of a repo, or its folder in docling's artifacts."""
    repo, revision, _ = need
    where = place(env)
    if (os.environ if env is None else env).get("DOCLING_ARTIFACTS_PATH"):
        return os.path.join(where, repo.replace("/", "--"))
    return _snapshot(os.path.join(where, "models--" + repo.replace("/", "--")), revision)


def _snapshot(repo: str, revision: str) -> str | None:
    if _COMMIT.match(revision):
        return os.path.join(repo, "snapshots", revision)
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


def offline(env: Mapping[str, str] | None = None) -> bool:
    """Whether the environment forbids the hub."""
    env = os.environ if env is None else env
    said = (env.get("HF_HUB_OFFLINE") or env.get("TRANSFORMERS_OFFLINE") or "").upper()
    return said in ("1", "TRUE", "YES", "ON")


def hub_reachable(seconds: float = 3.0, env: Mapping[str, str] | None = None) -> tuple[bool, str]:
    """Whether the hub's host takes a connection within `seconds`, and its name; behind a proxy, assumed."""
    env = os.environ if env is None else env
    address = urlsplit(env.get("HF_ENDPOINT") or "https://huggingface.co")
    host = address.hostname or "huggingface.co"
    if any(env.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
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
