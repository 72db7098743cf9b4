"""Models that a conversion would have to fetch first: which, how big, and what else could be done.

`missing` looks on the disk only; `sized` asks the hub for the sizes, less what is there already.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.base.record import Record
from cachetop.conversion.interpreters import Interpreter
from cachetop.conversion.options import Options
from cachetop.conversion.worker import needs


class MissingRepo(Record, frozen=True):
    """A repo that is not complete on disk; `bytes` are still to be fetched, None while unknown."""

    id: str
    revision: str
    bytes: int | None = None
    reason: str | None = None
    """Why `bytes` is unknown."""


class Missing(Record, frozen=True):
    """What a pipeline lacks, where docling looks for it, and whether it may and can be fetched."""

    pipeline: str
    where: str
    repos: tuple[MissingRepo, ...] = ()
    forbidden: str | None = None
    """Why nothing can be fetched; None where it can, as far as is known."""

    @property
    def bytes(self) -> int | None:
        """Bytes to fetch in all; None while one is unknown."""
        known = [repo.bytes for repo in self.repos]
        return None if None in known else sum(size for size in known if size is not None)

    @property
    def sentence(self) -> str:
        """What is missing, in words."""
        named = ", ".join(
            f"{clean(repo.id)} ({units.size(repo.bytes) if repo.bytes is not None else 'size unknown'})"
            for repo in self.repos
        )
        total = f", {units.size(self.bytes)} together" if len(self.repos) > 1 and self.bytes is not None else ""
        return f"The {self.pipeline} pipeline lacks {named}{total} in {clean(self.where)}"


def missing(pipeline: str, options: Options, python: Interpreter, env: Mapping[str, str]) -> Missing | None:
    """What the pipeline would fetch; None when it needs nothing, or the interpreter cannot run it anyway.

    `auto` is taken for standard, which it chooses where it can. Reads names on disk only.
    """
    if pipeline not in ("auto", "standard", "vlm") or python.slim or not (python.torch and python.transformers):
        return None
    chosen = "standard" if pipeline == "auto" else pipeline
    found = needs.presence(chosen, options.docling, env)
    if not found.absent:
        return None
    repos = tuple(MissingRepo(id=repo, revision=revision) for repo, revision, _ in found.absent)
    forbidden = None
    if env.get("DOCLING_ARTIFACTS_PATH"):
        forbidden = "DOCLING_ARTIFACTS_PATH is set, and docling fetches nothing into that folder"
    elif needs.offline(env):
        forbidden = "HF_HUB_OFFLINE forbids the download"
    return Missing(pipeline=chosen, where=found.where, repos=repos, forbidden=forbidden)


def sized(found: Missing, env: Mapping[str, str]) -> Missing:
    """`found` with the sizes the hub tells; where it tells none, with the reason. Blocks for seconds at most."""
    if found.forbidden:
        return found
    reachable, host = needs.hub_reachable(env=env)
    if not reachable:
        return msgspec.structs.replace(found, forbidden=f"{host} cannot be reached")
    return msgspec.structs.replace(found, repos=tuple(_ask(repo, env) for repo in found.repos))


def _ask(repo: MissingRepo, env: Mapping[str, str]) -> MissingRepo:
    try:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=env.get("HF_ENDPOINT") or None, token=env.get("HF_TOKEN") or None)
        files = list(api.list_repo_tree(repo.id, revision=repo.revision, recursive=True))
    except Exception as error:
        lines = str(error).splitlines()
        return msgspec.structs.replace(repo, reason=clean(lines[0] if lines else type(error).__name__, 200))
    blobs = os.path.join(needs.hub_cache(env), "models--" + repo.id.replace("/", "--"), "blobs")
    return msgspec.structs.replace(repo, bytes=sum(_left(file, blobs) for file in files))


def _left(file: Any, blobs: str) -> int:
    """Bytes of one file of the hub that are not on disk; folders have no size."""
    size = getattr(file, "size", None)
    if not isinstance(size, int):
        return 0
    lfs = getattr(file, "lfs", None)
    blob = os.path.join(blobs, os.path.basename(str(lfs.sha256 if lfs else file.blob_id)))
    for path, whole in ((blob, True), (f"{blob}.incomplete", False)):
        try:
            there = os.stat(path).st_size
        except OSError:
            continue
        return 0 if whole else max(0, size - there)
    return size
