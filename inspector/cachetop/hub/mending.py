"""The command that mends a sick repo, or looks closer at what is wrong with it.

A command is for a person to read and run: only names that are safe to show and do not look like an option get into
one. Options of `hf download` after huggingface_hub's cli/download.py, the same in 1.x and 2.x.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cachetop.base.hostile import clean

What = tuple[str, str]
"""What a complaint is about: a commit and a file of it, a ref and nothing, or where a link leads and nothing."""
_FEW = 3
_GLOB = frozenset("*?[]")


class Subject(NamedTuple):
    """The repo that is sick."""

    type: str
    id: str
    root: str
    folder: str
    """Its folder in `root`, as it is on disk."""
    refs: Mapping[str, str]
    """The commit by its ref."""

    @property
    def path(self) -> str:
        """Its folder."""
        return os.path.join(self.root, self.folder)


def command(rule: str, sick: Subject, what: Sequence[What] = ()) -> str | None:
    """What to run where `rule` holds for `what` of a repo; None where the sentence alone says what to do."""
    if not typeable(sick.id) or not typeable(sick.path):
        return None
    path = shlex.quote(sick.path)
    match rule:
        case "missing-blob" | "wrong-size" | "corrupt" | "read-error":
            return _contents(sick, what, force=rule != "missing-blob")
        case "no-snapshots" if not any(ref for ref, _ in what):
            return _prune(sick)
        case "bad-ref" | "missing-commit" | "no-snapshots":
            ref = next((ref for ref, _ in what), "")
            if not typeable(ref):
                return f"ls -b {shlex.quote(os.path.join(sick.path, 'refs'))}"
            return _download(sick, [] if ref == "main" else [f"--revision {shlex.quote(ref)}"])
        case "orphan-blob":
            return _prune(sick)
        case "unreadable":
            return f"{'' if _own(sick.path) else 'sudo '}chmod -R u+rX {path}"
        case "io-error":
            return f"findmnt -T {path}"
        case "not-a-folder":
            return f"mv -i {path} ~/"
        case "repo-link":
            leads = os.path.dirname(os.path.join(sick.root, what[0][0] if what else ""))
            return f"cachetop models --root {shlex.quote(leads)}" if typeable(leads) else None
        case "foreign-link":
            return f"find {path} -type l -not -lname '*/blobs/*' -ls"
        case "stray-file":
            return f"ls -lb {shlex.quote(os.path.join(sick.path, 'snapshots'))}"
    return f"du -h {path}" if rule == "too-deep" else None


def _contents(sick: Subject, what: Sequence[What], force: bool) -> str | None:
    """Download again what of a revision is sick; one that no ref names goes instead."""
    named = set(sick.refs.values())
    attached = [one for one in what if one[0] in named]
    if not attached:
        commit = next((commit for commit, _ in what if commit), "")
        return _prune(sick, f"@{commit}" if typeable(commit) else "")
    commit = attached[0][0]
    files = [file for one, file in attached if one == commit]
    pattern = len(files) > 1  # then hf takes them for patterns
    if len(files) > _FEW or not all(typeable(file) and not (pattern and _GLOB & set(file)) for file in files):
        files = []
    options = [f"--revision {shlex.quote(commit)}"] if typeable(commit) else []
    return _download(sick, [*map(shlex.quote, files), *options, *(["--force-download"] if force else [])])


def _download(sick: Subject, words: Sequence[str]) -> str:
    kind = [] if sick.type == "model" else [f"--repo-type {sick.type}"]
    return " ".join(["hf download", shlex.quote(sick.id), *words, *kind, *_elsewhere(sick)])


def _elsewhere(sick: Subject) -> list[str]:
    """The option that leads to another root than huggingface_hub's own."""
    from cachetop.locations import hub

    return [] if sick.root == clean(hub().path) else [f"--cache-dir {shlex.quote(sick.root)}"]


def _prune(sick: Subject, revision: str = "") -> str:
    """Review what would go. Roots that only the command line named have to be named again."""
    from cachetop.hub.roots import roots

    named = any(clean(root.path) == sick.root for root in roots())
    where = "" if named else f"CACHETOP_HUB_ROOTS={shlex.quote(sick.root)} "
    return f"{where}cachetop prune models {shlex.quote(sick.id + revision)} --dry-run"


def typeable(name: str) -> bool:
    """Whether a name may stand in a command that a person is to run."""
    return bool(name) and not name.startswith("-") and clean(name) == name and "\N{REPLACEMENT CHARACTER}" not in name


def _own(path: str) -> bool:
    try:
        return os.lstat(path).st_uid == os.geteuid()
    except OSError:
        return False
