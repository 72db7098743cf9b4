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

from cachetop.base.hostile import clean
from cachetop.base.turns import in_turns
from cachetop.hub import gguf, safetensors
from cachetop.hub.contents import Snapshot
from cachetop.hub.records import File, Revision
from cachetop.hub.warm import Opened
from cachetop.hub.weights import Header, Tensor, Unreadable, Weights

_SHARD = re.compile(r"-(\d{1,9})-of-(\d{1,9})(?=\.[a-z]+$)")
_PLAIN = ("model", "diffusion_pytorch_model", "pytorch_model", "adapter_model")
_COPY = "original"
"""The folder in which some publishers keep the same weights once more, as they were before their conversion."""
_INDEX_BYTES = 64 << 20
_LIST_BYTES = 1 << 20


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


_INDEX = msgspec.json.Decoder(_Index)
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
    for _, one in sorted(found.items()):
        _read(one, hold, snapshot)
        if one.format == "safetensors" and one.shards is not None:
            _compare(one, hold, snapshot, revision)
    return [one for _, one in sorted(found.items())]


def _read(one: WeightSet, hold: Opened, snapshot: Snapshot) -> None:
    reader = safetensors.read if one.format == "safetensors" else gguf.read
    for file in in_turns(one.files):
        try:
            with hold.content(snapshot, file) as descriptor:
                if descriptor is None:
                    raise Unreadable(f"{file.name} could not be opened")
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead: it would warm the file
                one.headers.append(reader(descriptor, file.name, file.size))
        except (Unreadable, OSError) as error:
            one.problem = one.problem or f"{error}."
    if one.shards is not None:
        there = {int(shard[1]) for file in one.files if (shard := _SHARD.search(file.name))}
        if len(one.files) != one.shards or there != set(range(1, len(one.files) + 1)):
            one.problem = one.problem or f"{len(one.files)} of its {one.shards} shards are there."


def _compare(one: WeightSet, hold: Opened, snapshot: Snapshot, revision: Revision) -> None:
    """Hold the shards against the index that loaders go by, if there is one."""
    folder, _, name = one.name.rpartition("/")
    stem, _, variant = name.removesuffix(".safetensors").partition(".")
    names = [f"{name}.index.json", f"{stem}.safetensors.index.{variant}.json"]
    paths = [f"{folder}/{each}" if folder else each for each in names]
    index = next((file for path in paths for file in revision.files if file.name == path), None)
    if index is None or one.problem:
        return
    try:
        told = _INDEX.decode(hold.read(snapshot, index, _INDEX_BYTES)).weight_map
    except (msgspec.MsgspecError, ValueError, RecursionError):
        one.problem = f"{index.name} makes no sense: loaders cannot tell which shard holds what."
        return
    expected = {
        (clean(tensor), clean(f"{folder}/{file}" if folder else file)) for tensor, file in in_turns(told.items(), 64)
    }
    there = {(tensor.name, tensor.file) for tensor in in_turns(one.tensors, 64)}
    if lost := len(expected - there):
        one.problem = f"{index.name} names {lost} of {len(expected)} tensors that are not where it says."
    elif more := len(there - expected):
        one.problem = f"{index.name} does not name {more} of the {len(there)} tensors in its shards."


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
