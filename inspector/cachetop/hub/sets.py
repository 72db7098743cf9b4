"""Which weight files of a revision belong together, and which of these sets are the model.

Sources: transformers and diffusers (names of shards, of their index and of variants; model_index.json).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.base.turns import in_turns
from cachetop.hub import gguf, safetensors
from cachetop.hub.contents import Snapshot
from cachetop.hub.members import STRINGS, TooLong, in_parts
from cachetop.hub.records import File, Revision
from cachetop.hub.warm import Opened
from cachetop.hub.weights import MOST_TENSORS, Header, Tensor, Unreadable, Weights

_SHARD = re.compile(r"-(\d{1,9})-of-(\d{1,9})(?=\.[a-z]+$)")
_PLAIN = ("model", "diffusion_pytorch_model", "pytorch_model", "adapter_model")
_COPY = "original"
"""The folder in which some publishers keep the same weights once more, as they were before their conversion."""
_INDEX_BYTES = 64 << 20
_LIST_BYTES = 1 << 20
_MOST = 2 * MOST_TENSORS
"""Tensors of a revision that are kept."""


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


_INDEX = msgspec.json.Decoder(_Index)
_LARGE = 2 << 20
"""Bytes from which on an index is read in parts."""
_AROUND = 4096
_MAP = re.compile(rb'"weight_map"\s*:\s*\{')
_MAP_END = re.compile(rb'\}\s*(?:,\s*"metadata"\s*:\s*\{[^{}]*\}\s*)?\}\s*\Z')
_MAP_PART = msgspec.json.Decoder(dict[str, str])
_LIST = msgspec.json.Decoder(dict[str, Any])


@dataclass(eq=False)
class WeightSet:
    """A file, or the shards of one, and what their headers say."""

    format: str
    name: str
    shards: int | None
    """How many there should be, by their names."""
    files: list[File] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    problem: str | None = None

    @property
    def folder(self) -> str:
        """The folder in the revision; empty for its top."""
        return self.name.rpartition("/")[0]

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """The higher, the more likely loaded: of a plain name, in one file, large."""
        plain = self.name.rpartition("/")[2].removesuffix(".safetensors") in _PLAIN
        return plain, self.shards is None, sum(file.size for file in self.files)

    @property
    def tensors(self) -> Iterator[Tensor]:
        """All of its tensors."""
        return (tensor for header in self.headers for tensor in header.tensors)

    @property
    def layout(self) -> tuple[int, int]:
        """The same for sets of tensors of the same names and shapes, whatever their types."""
        count = together = 0
        for tensor in in_turns(self.tensors, 64):
            count += 1
            together ^= hash((tensor.name, tensor.shape))
        return count, together

    def record(self, chosen: bool) -> Weights:
        """What is known of it, to be shown."""
        dtypes: dict[str, int] = {}
        size = 0
        for tensor in in_turns(self.tensors, 64):
            dtypes[tensor.dtype] = dtypes.get(tensor.dtype, 0) + tensor.elements
            size += tensor.size
        return Weights(
            name=self.name,
            format=self.format,
            files=tuple(file.name for file in self.files),
            parameters=None if self.problem else sum(dtypes.values()),
            size=None if self.problem else size,
            dtypes=dtypes,
            chosen=chosen,
            problem=self.problem,
        )


def sets(hold: Opened, snapshot: Snapshot, revision: Revision) -> list[WeightSet]:
    """The sets of a revision, their headers read, by name."""
    found: dict[tuple[str, str, int], WeightSet] = {}
    for file in revision.files:
        ending = file.name.rpartition(".")[2]
        if ending in ("safetensors", "gguf"):
            shard = _SHARD.search(file.name)
            shards = int(shard[2]) if shard else None
            key = (ending, _SHARD.sub("", file.name), shards or 0)
            found.setdefault(key, WeightSet(*key[:2], shards)).files.append(file)
    left = _MOST
    for _, one in sorted(found.items()):
        left -= _read(one, hold, snapshot, left)
        if one.format == "safetensors" and one.shards is not None:
            _compare(one, hold, snapshot, revision)
    return [one for _, one in sorted(found.items())]


def _read(one: WeightSet, hold: Opened, snapshot: Snapshot, most: int) -> int:
    """Read its headers until there are `most` tensors. Returns how many there are."""
    count = 0
    reader = safetensors.read if one.format == "safetensors" else gguf.read
    for file in in_turns(one.files):
        if count > most:
            one.problem = one.problem or f"There are more than {_MOST:,} tensors in this revision: not all are read."
            break
        try:
            with hold.content(snapshot, file) as descriptor:
                if descriptor is None:
                    raise Unreadable(f"{file.name} could not be opened")
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead: it would warm the file
                one.headers.append(reader(descriptor, file.name, file.size))
                count += len(one.headers[-1].tensors)
        except (Unreadable, OSError) as error:
            one.problem = one.problem or f"{error}."
    if one.shards is not None:
        there = {int(shard[1]) for file in one.files if (shard := _SHARD.search(file.name))}
        if len(one.files) != one.shards or there != set(range(1, len(one.files) + 1)):
            one.problem = one.problem or f"{len(one.files)} of its {one.shards} shards are there."
    return count


def _compare(one: WeightSet, hold: Opened, snapshot: Snapshot, revision: Revision) -> None:
    """Hold the shards against the index that loaders go by, if there is one."""
    folder, _, name = one.name.rpartition("/")
    stem, _, variant = name.removesuffix(".safetensors").partition(".")
    names = [f"{name}.index.json", f"{stem}.safetensors.index.{variant}.json"]
    paths = [f"{folder}/{each}" if folder else each for each in names]
    index = next((file for path in paths for file in revision.files if file.name == path), None)
    if index is None or one.problem:
        return
    files: dict[str, str] = {}
    tensors = 0
    for tensor in in_turns(one.tensors, 64):
        files[tensor.name] = tensor.file
        tensors += 1
    named = right = 0
    try:
        for part in in_turns(_places(hold.read(snapshot, index, _INDEX_BYTES), index.size)):
            for name, file in in_turns(part.items(), 64):
                named += 1
                right += files.get(clean(name)) == clean(f"{folder}/{file}" if folder else file)
    except TooLong as error:
        one.problem = f"{index.name}, {units.size(index.size)}, is not read: {error}."
        return
    except (msgspec.MsgspecError, ValueError, RecursionError):
        one.problem = f"{index.name} makes no sense: loaders cannot tell which shard holds what."
        return
    if lost := named - right:
        one.problem = f"{index.name} names {lost} of {named} tensors that are not where it says."
    elif more := tensors - right:
        one.problem = f"{index.name} does not name {more} of the {tensors} tensors in its shards."


def _places(raw: bytes, size: int) -> Iterator[dict[str, str]]:
    """Which shard holds a tensor, by its name, many at a time; `size`: bytes of the index on disk."""
    if size <= _LARGE:
        yield _INDEX.decode(raw).weight_map
        return
    head, tail = _MAP.search(raw, 0, _LARGE), _MAP_END.search(raw, len(raw) - _AROUND)
    if len(raw) < size:
        raise TooLong(f"it is more than {_INDEX_BYTES >> 20} MiB")
    if head is None or tail is None:
        raise ValueError("it is not laid out as an index is")
    yield from in_parts(lambda at, count: raw[at : at + count], head.end(), tail.start(), STRINGS, _MAP_PART.decode)


def chosen(found: Iterable[WeightSet], hold: Opened, snapshot: Snapshot, revision: Revision) -> list[WeightSet]:
    """Those of the sets that are the model.

    Of several in one folder, which are variants of one model, one. Folders add up, as in a pipeline: those that
    model_index.json names, where it is there; else all but copies of another. A GGUF set counts only where it is the
    only one and nothing else does: several are quantizations to pick from.
    """
    everything = list(found)
    folders: dict[str, WeightSet] = {}
    for one in everything:
        if one.format == "safetensors" and (one.folder not in folders or one.rank > folders[one.folder].rank):
            folders[one.folder] = one
    if not folders:
        return everything if len(everything) == 1 else []
    if len(folders) == 1:
        return list(folders.values())
    components = _components(hold, snapshot, revision)
    return [one for folder, one in folders.items() if folder in components] or _but_copies(folders)


def _components(hold: Opened, snapshot: Snapshot, revision: Revision) -> set[str]:
    """The folders of a pipeline's parts: `"unet": ["diffusers", "UNet2DConditionModel"]` in its model_index.json."""
    index = next((file for file in revision.files if file.name == "model_index.json"), None)
    try:
        told = _LIST.decode(hold.read(snapshot, index, _LIST_BYTES) or b"{}")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return set()
    return {clean(name) for name, part in told.items() if isinstance(part, list) and part and part[0]}


def _but_copies(folders: dict[str, WeightSet]) -> list[WeightSet]:
    kept: list[WeightSet] = []
    seen: set[tuple[int, int]] = set()
    for folder in sorted(folders, key=lambda name: (bool(name), name.count("/"), name)):
        one = folders[folder]
        layout = one.layout
        copy = layout in seen or ("" in folders and folder.rpartition("/")[2] == _COPY)
        if one.problem or not copy:
            kept.append(one)
            seen.add(layout)
    return kept
