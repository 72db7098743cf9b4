"""One file of a revision in depth: where its content lies, who shares it, its checksum, and what can be read in it.

The headers of safetensors and GGUF files are read, and the head of files of text. Nothing of a
pickle is read, and no weight.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from cachetop import locations
from cachetop.base.hostile import clean, show
from cachetop.base.record import Record
from cachetop.base.residency import resident_fd
from cachetop.base.turns import give_up, in_turns
from cachetop.hub import gguf, safetensors
from cachetop.hub.about import PICKLED
from cachetop.hub.checking import algorithm_of
from cachetop.hub.narrow import Spot, found
from cachetop.hub.records import File, Repo, Revision
from cachetop.hub.verdicts import Damages, Verdicts
from cachetop.hub.weights import Tensor, Unreadable

SCHEMA = "cachetop.file/1"
TEXT = (
    ".json", ".jsonl", ".md", ".txt", ".yaml", ".yml", ".jinja", ".jinja2", ".toml", ".cfg", ".ini", ".csv", ".tsv",
    ".py", ".gitattributes", ".gitignore", "license", "notice", "readme", "modelfile",
)  # fmt: skip
"""How the names of files end that people read as text."""
_HEAD = 64 << 10
"""Bytes of a text that are read."""
_LINES = 1000
_LINE = 1000
"""Characters of a line that are kept."""
_SHARERS = 200


class Sharer(Record, frozen=True, gc=False):
    """Another name of the same blob in the repo."""

    commit: str
    refs: tuple[str, ...]
    name: str


class AboutFile(Record, frozen=True):
    """One file of a revision in depth (`cachetop.file/1`)."""

    repo: str
    type: str
    root: str
    commit: str
    refs: tuple[str, ...]
    name: str
    size: int
    size_on_disk: int
    blob: str | None
    path: str
    """Where it stands in the revision."""
    content: str
    """Where its content lies: the same for a real file."""
    kept: str
    """`blob`: a link to a blob of its repo. `store`: to one that is itself a link into the cache-wide store.
    `real`: no link."""
    schema: str = SCHEMA
    resident: int | None = None
    last_modified: float | None = None
    shared: tuple[Sharer, ...] = ()
    """Other names of the blob in this repo, at most 200."""
    sharers: int = 0
    """How many there are."""
    algorithm: str | None = None
    """What its name, or the stored file list, tells it can be checked by; None: nothing."""
    checksum: str = "unknown"
    """`sound` or `damaged` by an earlier check of this very content; `unchecked`: none yet; `unknown`: nothing tells
    what it should be."""
    pickled: bool = False
    """Loading it would run code: nothing of it is read."""
    tensors: tuple[Tensor, ...] | None = None
    tensors_left_out: int = 0
    """How many more there are, where somebody wanted only the first."""
    architecture: str | None = None
    text: tuple[str, ...] | None = None
    """The first lines of a text, safe to show and without what looks like a secret; None for any other file."""
    text_whole: bool = True
    """Whether that is all of it."""
    problem: str | None = None
    """Why its content could not be read."""


def describe_file(repo: Repo, revision: Revision, file: File, most: int | None = None) -> AboutFile:
    """`file` of a revision of `repo`, as it is on disk now; `most`: how many tensors are wanted, the first ones.

    Raises LookupError with a sentence where it is not there any more or leads out of the cache, and OSError.
    """
    with found(repo, revision.commit, file.name) as spot:
        shared = _shared(repo, revision, file)
        about = AboutFile(
            repo=repo.id,
            type=repo.type,
            root=repo.root,
            commit=revision.commit,
            refs=revision.refs,
            name=file.name,
            size=spot.blob.size,
            size_on_disk=spot.blob.disk,
            blob=None if spot.key is None else clean(spot.key),
            path=clean(spot.link),
            content=clean(spot.path),
            kept=spot.kept,
            resident=None if spot.descriptor is None else resident_fd(spot.descriptor),
            last_modified=spot.blob.modified,
            shared=tuple(shared[:_SHARERS]),
            sharers=len(shared),
            pickled=file.name.lower().endswith(PICKLED),
            **_checksum(spot),
        )
        return msgspec.structs.replace(about, **_inside(spot, about, most))


def _shared(repo: Repo, revision: Revision, file: File) -> list[Sharer]:
    """The other names of the blob."""
    if file.blob is None:
        return []
    return [
        Sharer(commit=other.commit, refs=other.refs, name=one.name)
        for other in repo.revisions
        for one in in_turns(other.files, 1000)
        if one.blob == file.blob and (other.commit, one.name) != (revision.commit, file.name)
    ]


def _checksum(spot: Spot) -> dict[str, Any]:
    """What is known of its checksum, without computing it."""
    expected = spot.key or ""
    if spot.tree is not None:
        expected = next((etag for etag, names in spot.tree.etags.items() if spot.name in names), "")
    algorithm = algorithm_of(expected)
    damages = Damages()
    damages.refresh()
    if algorithm is None:
        return {"checksum": "unknown"}
    if damages.of(spot.blob):
        return {"algorithm": algorithm, "checksum": "damaged"}
    sound = Verdicts(locations.state_dir()).is_sound(spot.blob, expected)
    return {"algorithm": algorithm, "checksum": "sound" if sound else "unchecked"}


def _inside(spot: Spot, about: AboutFile, most: int | None) -> dict[str, Any]:
    """What can be read in it."""
    ending = about.name.lower()
    if about.pickled:
        return {}
    if spot.descriptor is None:
        return {"problem": "It may not be read."}
    os.posix_fadvise(spot.descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead: it would warm the file
    try:
        if ending.endswith((".safetensors", ".gguf")):
            reader = safetensors.read if ending.endswith(".safetensors") else gguf.read
            header = reader(spot.descriptor, about.name, about.size)
            tensors, shown, architecture = list(header.tensors), header.tensors[:most], header.architecture
            del header
            left_out = len(tensors) - len(shown)
            if left_out:
                give_up(tensors)
            return {"tensors": shown, "tensors_left_out": left_out, "architecture": architecture}
        if ending.endswith(TEXT):
            return _text(os.pread(spot.descriptor, _HEAD, 0), about.size, ending)
    except Unreadable as error:
        return {"problem": f"{error}."}
    except OSError as error:
        return {"problem": f"Reading failed: {os.strerror(error.errno or 0)}."}
    return {}


def _text(raw: bytes, size: int, ending: str) -> dict[str, Any]:
    """The first lines of a text. JSON that is all on one line is laid out."""
    if b"\0" in raw:
        return {"problem": "It has the name of a text but is none."}
    whole = len(raw) >= size
    if whole and ending.endswith(".json") and raw.count(b"\n") < 2 and len(raw) > _LINE // 10:
        try:
            raw = msgspec.json.format(raw, indent=2)
        except (msgspec.MsgspecError, RecursionError):
            pass  # then as it is
    lines = raw.decode("utf-8", "replace").split("\n")
    if whole and lines and not lines[-1]:
        lines.pop()
    made = tuple([show(line.rstrip("\r").expandtabs(4), _LINE) for line in lines[:_LINES]])
    return {"text": made, "text_whole": whole and len(lines) <= _LINES}
