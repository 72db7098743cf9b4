"""What is remembered of one GPU process: the weights it was seen with, and what it reported itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from cachetop.gpu import holdings
from cachetop.gpu.holdings import Inode, Owner
from cachetop.gpu.records import EVIDENCE, Allocator, HeldModel


@dataclass(slots=True)
class Known:
    """One process, by pid and start. Times are epoch seconds."""

    seen: dict[Inode, tuple[float, tuple[Owner, ...]]] = field(default_factory=dict)
    """Every weights file it was ever seen to hold, and when last."""
    held: frozenset[Inode] = frozenset()
    """Those it held at the last look."""
    named: tuple[str, ...] = ()
    """Repos on its command line."""
    reported: dict[str, HeldModel] = field(default_factory=dict)
    allocators: dict[str | None, Allocator] = field(default_factory=dict)
    """By UUID of the GPU; None where the worker did not say which. Without weights: those are apart."""
    weights: dict[str | None, int | None] = field(default_factory=dict)
    """Bytes that loading added on each GPU; None when the worker could not tell."""
    inspectable: bool = True
    looked: float = 0.0
    """When its maps were last read; 0 for never."""
    memory: int = 0
    """Its VRAM on all GPUs at that time."""
    _models: tuple[HeldModel, ...] | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return not (self.seen or self.reported or self.allocators)

    def look(
        self, now: float, memory: int, held: dict[Inode, tuple[Owner, ...]] | None, named: tuple[str, ...]
    ) -> None:
        """Take in what a look found; `held` None says that it may not be inspected."""
        self.looked, self.memory, self.inspectable, self.named = now, memory, held is not None, named
        self.held = frozenset(held or ())
        # shards are mapped one after the other and gone again: all that were ever seen make up the model
        self.seen.update((inode, (now, owners)) for inode, owners in (held or {}).items())
        self._models = None

    def report(self, model: HeldModel) -> None:
        """It says that it holds a model; what was said before of its size and revision stands where it says none."""
        before = self.reported.get(model.repo)
        if before is not None and model.bytes is None:
            model = msgspec.structs.replace(model, bytes=before.bytes, revision=model.revision or before.revision)
        self.reported[model.repo] = model
        self._models = None

    def withdraw(self, repo: str | None) -> None:
        """It says that it let a model go, or all of them (None)."""
        for name in [name for name in self.reported if repo in (None, name)]:
            del self.reported[name]
        for inode, (_, owners) in list(self.seen.items()):
            if repo is None or repo in (owner.repo for owner in owners):
                del self.seen[inode]
        self._models = None

    def allocator(self, uuid: str | None, alone: bool) -> Allocator | None:
        """What the allocator has on a GPU; `alone`: it is the only one the process is on, whatever it calls it."""
        names = [uuid, None, *(self.allocators if len(self.allocators) == 1 else ())] if alone else [uuid]
        for name in names:
            found = self.allocators.get(name)
            if found is not None:
                weights = self.weights.get(name)
                told = weights if weights is not None and weights <= found.allocated else None
                return msgspec.structs.replace(found, weights=told)
        return None

    def models(self) -> tuple[HeldModel, ...]:
        """The models, each with its best evidence, that first."""
        if self._models is None:
            best: dict[str, HeldModel] = {}
            for model in sorted(self._all(), key=lambda one: EVIDENCE.index(one.evidence), reverse=True):
                best[model.repo] = model
            self._models = tuple(sorted(best.values(), key=lambda one: (EVIDENCE.index(one.evidence), one.repo)))
        return self._models

    def _all(self) -> list[HeldModel]:
        found = [
            HeldModel(repo=repo, revision=None, bytes=None, evidence="command-line", seen=self.looked)
            for repo in self.named
        ]
        for one in holdings.models_of({inode: owners for inode, (_, owners) in self.seen.items()}):
            evidence = "seen-loading" if one.inodes.isdisjoint(self.held) else "mapped"
            last = max(self.seen[inode][0] for inode in one.inodes)
            found.append(HeldModel(repo=one.repo, revision=one.revision, bytes=one.bytes, evidence=evidence, seen=last))
        found.extend(self.reported.values())
        return found
