"""What a repo is: architecture, parameters, tensors, its card, and what is missing of it.

Read from config.json and the headers of safetensors and GGUF files alone. Pickled weights are named and never
opened, and no weight is read. What cannot be told stays None.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from cachetop.base import units
from cachetop.base.files import access_times
from cachetop.base.hostile import clean, mask_tokens
from cachetop.base.record import Record
from cachetop.base.turns import give_up, in_turns
from cachetop.hub import sets
from cachetop.hub.choose import named
from cachetop.hub.contents import Snapshot
from cachetop.hub.detail import with_detail
from cachetop.hub.records import File, Models, Repo, Revision, in_ram
from cachetop.hub.scan import Scanner
from cachetop.hub.tree import Tree
from cachetop.hub.warm import Opened, opened
from cachetop.hub.weights import Tensor, Weights

SCHEMA = "cachetop.repo/1"
PICKLED = (".bin", ".pth", ".pt", ".ckpt", ".pkl", ".pickle")
"""Endings of files that loading would unpickle, which can run code."""
_CONFIG_BYTES = 4 << 20
_VALUE_BYTES = 64 << 10
"""Bytes of a value of a configuration: a list of names, or how the weights are quantized."""
_CARD_BYTES = 512 << 10
T = TypeVar("T")


class _Config(msgspec.Struct):
    """What is wanted of a configuration. The rest, labels by the ten thousand, is passed over."""

    architectures: msgspec.Raw = msgspec.Raw()
    class_name: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="_class_name")
    peft_type: msgspec.Raw = msgspec.Raw()
    model_type: msgspec.Raw = msgspec.Raw()
    quantization_config: msgspec.Raw = msgspec.Raw()


_CONFIG = msgspec.json.Decoder(_Config)


class GpuFree(Record, frozen=True):
    """Bytes of VRAM that are free on one GPU."""

    index: int
    free: int


class About(Repo, frozen=True):
    """One repo in depth (`cachetop.repo/1`): the repo of `cachetop.models/1` and what it is."""

    schema: str = SCHEMA
    revision: str | None = None
    """The commit that the fields below describe: that of main, else the first with a ref."""
    architecture: str | None = None
    model_type: str | None = None
    quantization: str | None = None
    parameters: int | None = None
    """Elements of the chosen weights; packed types count as stored."""
    dtypes: dict[str, int] = {}
    """Elements by type."""
    memory: int | None = None
    """Bytes of the chosen weights: the VRAM they take as stored, without activations."""
    weights: tuple[Weights, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    tensors_left_out: int = 0
    """How many more there are, where somebody wanted only the first."""
    unread: tuple[str, ...] = ()
    """Sentences about files that would tell more and are too large to be read."""
    pickled: tuple[str, ...] = ()
    """Weight files that are pickles: named, and nothing of them is read."""
    access_times: str | None = None
    """How its mount keeps access times, as in `Root.access_times`: how exact `last_used` is."""
    access_times_moved: bool = False
    """Files were read here that belong to another user, for which the kernel moves the access time."""
    resident: int | None = None
    """Bytes of the revision in RAM, each blob once."""
    files_expected: int | None = None
    missing_size: int | None = None
    """Bytes of the missing files, as the Hub announced them."""
    card: str | None = None
    """The repo's README as Markdown, without its YAML header."""
    license: str | None = None
    gpu_free: tuple[GpuFree, ...] = ()
    """What is free on each GPU here, where somebody asked; to be held against `memory`."""
    gpu_free_reason: str | None = None
    """Why that is empty although somebody asked."""
    copies: tuple[About, ...] = ()
    """The same repo in other cache roots, where somebody asked."""


def describe(repo: Repo, scanner: Scanner, revision: str | None = None, most: int | None = None) -> About:
    """`repo`, a record of `scanner`, in depth. `revision` is a ref or the beginning of a commit; `most`: how many
    tensors are wanted, the first ones, where there are more.

    Raises LookupError with a sentence when it has no such revision, or several.
    """
    (repo,) = with_detail(Models(repos=(repo,)), scanner).repos
    fields: dict[str, Any] = {name: getattr(repo, name) for name in Repo.__struct_fields__}
    chosen = described(repo, revision)
    known = scanner.find(repo)
    if chosen is None or known is None:
        return About(**fields)
    snapshot = known.contents.snapshots[repo.revisions.index(chosen)]
    with opened(known) as hold:
        if hold is None:
            return About(**fields)
        tree = scanner.trees.get(hold.top, snapshot.commit)
        warm = in_ram(chosen.files) if chosen.files else None
        fields |= {"revision": chosen.commit, "resident": warm[0] if warm else None}
        fields |= _missing(chosen, tree) | _card(hold, snapshot, chosen) | _weights(hold, snapshot, chosen, most)
        fields |= _config(hold, snapshot, chosen)
        fields |= {"access_times": access_times(hold.root), "access_times_moved": hold.traced}
    return About(**fields)


def described(repo: Repo, revision: str | None) -> Revision | None:
    """The revision that was asked for, as for `describe`; without one main, else the first with a ref."""
    if revision is not None:
        found = named(repo, revision)
        if len(found) == 1:
            return found[0]
        several = f"several revisions that begin with {clean(revision, 80)!r}"
        raise LookupError(f"{repo.id} has {several if found else f'no revision {clean(revision, 80)!r}'} in the cache")
    return next(
        (each for ref in ("main", None) for each in repo.revisions if (ref in each.refs if ref else each.refs)),
        repo.revisions[0] if repo.revisions else None,
    )


def _missing(revision: Revision, tree: Tree | None) -> dict[str, Any]:
    if tree is None:
        return {}
    sizes = {clean(name): size for name, size in tree.sizes.items()}
    missing = [sizes.get(name) for name in revision.missing]
    return {"files_expected": len(sizes), "missing_size": None if None in missing else sum(filter(None, missing))}


def _file(revision: Revision, name: str) -> File | None:
    return next((file for file in revision.files if file.name == name), None)


def _config(hold: Opened, snapshot: Snapshot, revision: Revision) -> dict[str, Any]:
    """What the configuration says, without what it does not."""
    unread = []
    for name in ("config.json", "model_index.json", "adapter_config.json"):
        file = _file(revision, name)
        if file is not None and file.size > _CONFIG_BYTES:
            unread.append(
                f"{name} is {units.size(file.size)} and is not read; the limit is {units.size(_CONFIG_BYTES)}"
            )
            continue
        try:
            told = _CONFIG.decode(hold.read(snapshot, file, _CONFIG_BYTES) or b"{}")
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        architectures = _inner(told.architectures, list[Any])
        method = _inner(told.quantization_config, dict[str, Any])
        names = told.class_name, told.peft_type
        first = architectures[0] if architectures else next(filter(None, (_inner(each, str) for each in names)), None)
        said = {
            "architecture": _word(first),
            "model_type": _word(_inner(told.model_type, str)),
            "quantization": _word(method.get("quant_method") if method else None),
        }
        found = {name: word for name, word in said.items() if word is not None}
        if found:
            return found | {"unread": tuple(unread)}
    return {"unread": tuple(unread)}


def _inner(raw: msgspec.Raw, kind: type[T]) -> T | None:
    """A value of the configuration if it is of that kind, and not very long."""
    try:
        return msgspec.json.decode(raw, type=kind) if 0 < len(bytes(raw)) <= _VALUE_BYTES else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _word(told: object) -> str | None:
    return clean(told, 120) if isinstance(told, str) and told else None


def _card(hold: Opened, snapshot: Snapshot, revision: Revision) -> dict[str, Any]:
    raw = hold.read(snapshot, _file(revision, "README.md"), _CARD_BYTES)
    if not raw:
        return {}
    text = raw.decode("utf-8-sig", "replace")
    lines = [mask_tokens(clean(line.rstrip().expandtabs(4), 4000)) for line in in_turns(text.splitlines(), 64)]
    named = None
    if lines[0] == "---" and "---" in lines[1:]:  # its YAML is not read as such: one plain line of it is all we want
        end = lines.index("---", 1)
        named = next((line.partition(":")[2].strip() for line in lines[:end] if line.startswith("license:")), None)
        lines = lines[end + 1 :]
    return {"card": "\n".join(lines).strip(), "license": named or None}


def _weights(hold: Opened, snapshot: Snapshot, revision: Revision, most: int | None) -> dict[str, Any]:
    found = sets.sets(hold, snapshot, revision)
    chosen = sets.chosen(found, hold, snapshot, revision)
    records = tuple(one.record(one in chosen) for one in found)
    counted = [record for record in records if record.chosen]
    whole = bool(counted) and not any(record.problem for record in counted)
    dtypes: dict[str, int] = {}
    for record in counted:
        for dtype, elements in record.dtypes.items():
            dtypes[dtype] = dtypes.get(dtype, 0) + elements
    architecture = next((header.architecture for one in found for header in one.headers if header.architecture), None)
    tensors = [tensor for one in in_turns(chosen) for tensor in one.tensors]
    shown, left_out = tuple(tensors[:most]), 0 if most is None else max(0, len(tensors) - most)
    if most is not None:
        tensors = [tensor for one in found for tensor in one.tensors]
        for one in found:
            one.headers.clear()
        give_up(tensors)
    return {
        "weights": records,
        "tensors": shown,
        "tensors_left_out": left_out,
        "dtypes": dict(sorted(dtypes.items(), key=lambda item: -item[1])),
        "parameters": sum(dtypes.values()) if whole else None,
        "memory": sum(record.size or 0 for record in counted) if whole else None,
        "pickled": tuple(file.name for file in revision.files if file.name.endswith(PICKLED)),
        "architecture": architecture,
    }
