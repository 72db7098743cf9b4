"""What huggingface_hub says of a cache, as plain facts. `python -m support.hub_theirs CACHE...` prints them as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def facts(cache: Path) -> dict[str, Any]:
    """The size of everything; for each repo its size, time, revisions with their files, and partial downloads."""
    from huggingface_hub import scan_cache_dir

    info = scan_cache_dir(cache)
    assert not info.warnings
    partials: dict[Path, list[list[Any]]] = {}
    for path in cache.glob("*/blobs/*.incomplete"):
        partials.setdefault(path.parent.parent, []).append([path.name, path.stat().st_size])
    repos = {}
    for repo in info.repos:
        revisions = [
            [
                revision.commit_hash,
                sorted(revision.refs),
                revision.size_on_disk,
                sorted(
                    [
                        file.file_path.relative_to(revision.snapshot_path).as_posix(),
                        file.size_on_disk,
                        file.blob_path.name if file.file_path.is_symlink() else "",
                    ]
                    for file in revision.files
                ),
            ]
            for revision in repo.revisions
        ]
        repos[f"{repo.repo_type}/{repo.repo_id}"] = [
            repo.size_on_disk,
            repo.last_modified,
            sorted(revisions),
            sorted(partials.get(repo.repo_path, [])),
        ]
    return {"size": info.size_on_disk, "repos": repos}


if __name__ == "__main__":
    from huggingface_hub import __version__

    json.dump({"version": __version__, "caches": [facts(Path(path)) for path in sys.argv[1:]]}, sys.stdout)
