"""Builds Hugging Face hub caches as huggingface_hub lays them out."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

COMMIT = "a" * 40
OTHER = "b" * 40
PREFIXES = {"model": "models", "dataset": "datasets", "space": "spaces", "kernel": "kernels"}


def git_etag_of(content: bytes) -> str:
    """The name of the blob of a small file with this content: git's own hash."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag_of(content: bytes) -> str:
    """The name of the blob with this content."""
    return hashlib.sha256(content).hexdigest()


@dataclass
class RepoFolder:
    """One repo folder; the methods add to it what the Hub's client would."""

    cache: Path
    path: Path

    def file(self, name: str, content: bytes, commit: str = COMMIT, etag: str | None = None) -> Path:
        """A file of a revision: its blob and the link to it. Returns the blob."""
        blob = self.blob(content, etag)
        self.link(name, f"{'../' * name.count('/')}../../blobs/{blob.name}", commit)
        return blob

    def blob(self, content: bytes, etag: str | None = None) -> Path:
        blob = self.path / "blobs" / (etag or etag_of(content))
        blob.parent.mkdir(parents=True, exist_ok=True)
        if not blob.exists():
            blob.write_bytes(content)
        return blob

    def link(self, name: str, target: str, commit: str = COMMIT) -> Path:
        link = self.path / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
        return link

    def real(self, name: str, content: bytes, commit: str = COMMIT) -> Path:
        """A file as caches without symlinks keep it."""
        path = self.path / "snapshots" / commit / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def stored(self, name: str, content: bytes, commit: str = COMMIT, etag: str | None = None) -> Path:
        """A file whose blob points into the cache-wide store. Returns the payload."""
        hashed = hashlib.sha3_256(content).hexdigest()
        store = self.cache / "blobs"
        payload = store / hashed[:2] / hashed
        payload.parent.mkdir(parents=True, exist_ok=True)
        (store / ".huggingface-shared-blobs").write_text("1\n")
        if not payload.exists():
            payload.write_bytes(content)
            payload.chmod(0o444)
        blob = self.path / "blobs" / (etag or etag_of(content))
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.symlink_to(f"../../blobs/{hashed[:2]}/{hashed}")
        with payload.with_name(f"{hashed}.refs").open("a") as refs:
            refs.write(f"{blob.relative_to(self.cache)}\n")
        self.link(name, f"{'../' * name.count('/')}../../blobs/{blob.name}", commit)
        return payload

    def ref(self, name: str = "main", commit: str = COMMIT) -> Path:
        path = self.path / "refs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit)
        return path

    def tree(self, files: dict[str, tuple[int, str]], commit: str = COMMIT) -> Path:
        """The file list that snapshot_download keeps: {name: (bytes, etag)}."""
        path = self.path / "trees" / f"{commit}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        listed: dict[str, dict[str, object]] = {}
        for name, (size, etag) in files.items():
            large = len(etag) == 64
            listed[name] = {"size": size, "blob_id": "0" * 40 if large else etag}
            if large:
                listed[name] |= {"lfs_sha256": etag, "lfs_size": size}
        path.write_text(json.dumps({"format_version": 1, "files": listed}))
        return path

    def partial(self, etag: str, content: bytes, suffix: str = ".0123abcd") -> Path:
        """An unfinished download and its lock, which nobody holds."""
        path = self.path / "blobs" / f"{etag}{suffix}.incomplete"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        lock = self.lock(etag)
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
        return path

    def lock(self, etag: str) -> Path:
        return self.cache / ".locks" / self.path.name / f"{etag}.lock"


def repo(cache: Path, name: str = "org/model", kind: str = "model") -> RepoFolder:
    """The folder of a repo in `cache`, made."""
    path = cache / f"{PREFIXES[kind]}--{name.replace('/', '--')}"
    path.mkdir(parents=True, exist_ok=True)
    return RepoFolder(cache, path)


def healthy(cache: Path, name: str = "org/model", kind: str = "model", weights: int = 50_000) -> RepoFolder:
    """A repo with one complete revision at `main`: a configuration and weights in a subfolder."""
    made = repo(cache, name, kind)
    config = f'{{"name": "{name}"}}'.encode()
    content = hashlib.sha256(name.encode()).digest() * (weights // 32)
    made.file("config.json", config, etag=git_etag_of(config))
    made.file("onnx/model.onnx", content)
    made.ref()
    made.tree(
        {
            "config.json": (len(config), git_etag_of(config)),
            "onnx/model.onnx": (len(content), etag_of(content)),
        }
    )
    return made


def settle(cache: Path, seconds: float = 60) -> None:
    """Make every folder and ref look `seconds` old, as in a cache that nobody is writing to."""
    for path in [cache, *cache.rglob("*")]:
        if not path.is_symlink():
            status = path.stat()
            os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))
