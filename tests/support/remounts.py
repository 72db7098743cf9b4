"""Mounts and unmounts hub caches under a scanner; needs a user and a mount namespace of its own.

`python -m support.remounts SCENARIO` writes what was seen as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cachetop import locations
from cachetop.hub import scan as scanning
from cachetop.hub import verify as verifying
from cachetop.hub.detail import with_detail
from cachetop.hub.records import Models
from cachetop.hub.scan import Scanner
from cachetop.hub.verify import Verifier
from support import hubcache

HUB = Path(locations.hub().path)
REPOS = ("org/one", "org/two")
CALLS = ("open", "listdir", "scandir", "lstat", "stat", "fstat", "readlink", "read", "pread")


def mount(*words: str, at: Path = HUB) -> None:
    subprocess.run(["mount", *words, str(at)], check=True)


def umount() -> None:
    subprocess.run(["umount", "-l", str(HUB)], check=True)


def filled() -> None:
    HUB.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "none")
    for name in REPOS:
        hubcache.healthy(HUB, name)


def look(scanner: Scanner) -> Models:
    return with_detail(scanner.scan(), scanner)


def settled() -> None:
    """As if what was written so far had been written long ago: a scanner takes it for unchanged where times say so."""
    scanning._YOUNG = 0.0


def said(models: Models) -> dict[str, Any]:
    root = models.roots[0]
    return {
        "exists": root.exists,
        "problem": root.problem,
        "fix": root.fix,
        "repos": {
            repo.id: {
                "problems": [problem.rule for problem in repo.problems],
                "files": sum(len(revision.files) for revision in repo.revisions),
                "opened": all(file.resident is not None for revision in repo.revisions for file in revision.files),
                "reason": repo.last_used_reason,
            }
            for repo in models.repos
        },
    }


def before_call(number: int, act: Callable[[], object]) -> Callable[[], int]:
    """From now on `act` is called before call `number` to the system; the result ends that and says how many came."""
    count, real = [0], {name: getattr(os, name) for name in CALLS}

    def through(name: str) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            count[0] += 1
            if count[0] == number:
                act()
            return real[name](*args, **kwargs)

        return call

    def end() -> int:
        for name in CALLS:
            setattr(os, name, real[name])
        return count[0]

    for name in CALLS:
        setattr(os, name, through(name))
    return end


def unmounted() -> list[Any]:
    """Gone at many a moment of a look, the second pass included; then a look at nothing, and one after it came back."""
    found, number, calls = [], 1, 2
    while number < calls:
        filled()
        scanner = Scanner([locations.hub()])
        if number % 2:
            look(scanner)
        end = before_call(number, umount)
        during = look(scanner)
        calls = end()
        if number >= calls:
            umount()
        nothing = look(scanner)
        same = look(scanner).roots == nothing.roots
        filled()
        found.append([said(during), said(nothing), same, said(look(scanner))])
        umount()
        number += 6
    return found


def below() -> list[Any]:
    """The file system holds a folder that the cache lies in."""
    top = HUB.parent
    top.mkdir(parents=True)
    found = []
    scanner = Scanner([locations.hub()])
    for _ in range(2):
        mount("-t", "tmpfs", "none", at=top)
        hubcache.healthy(HUB, REPOS[0])
        found.append(said(look(scanner)))
        subprocess.run(["umount", "-l", str(top)], check=True)
        found.append(said(look(scanner)))
    return found


def copied() -> list[Any]:
    """Another file system with the same names, inode numbers and times comes in its place."""
    HUB.mkdir(parents=True)
    hubcache.healthy(HUB, REPOS[0])
    settled()
    scanner = Scanner([locations.hub()])
    found = [said(look(scanner))]
    for name in ("upper", "work"):
        (HUB.parent / name).mkdir()
    mount("-t", "overlay", "none", "-o", f"lowerdir={HUB},upperdir={HUB.parent}/upper,workdir={HUB.parent}/work")
    found.append(said(look(scanner)))
    checked = Verifier(scanner, None).run(scanner.scan().repos)
    return [*found, [checked.sound, checked.unreadable]]


def frozen() -> list[Any]:
    """Made read-only and writable again: access times stand still meanwhile."""
    filled()
    settled()
    scanner, found = Scanner([locations.hub()]), []
    for options in ("rw", "remount,ro", "remount,rw"):
        if options != "rw":
            mount("-o", options)
        found.append(said(look(scanner)))
    return found


def checked() -> list[Any]:
    """Gone while contents are checked."""
    filled()
    scanner = Scanner([locations.hub()])
    repos = scanner.scan().repos
    real = os.pread
    begun: list[bool] = []

    def pread(descriptor: int, count: int, at: int) -> bytes:
        if count == verifying._CHUNK and not begun:
            begun.append(True)
            umount()
        return real(descriptor, count, at)

    os.pread = pread
    found = Verifier(scanner, None).run(repos)
    return [found.sound, found.removed, found.unreadable, sorted({one.message or "" for one in found.files})]


if __name__ == "__main__":
    scenarios = {one.__name__: one for one in (unmounted, below, copied, frozen, checked)}
    json.dump(scenarios[sys.argv[1]](), sys.stdout)
