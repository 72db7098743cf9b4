"""Whether what made an entry is still on this machine: the rules `toolchain-gone` and `superseded`.

Environments are found from their files (`environments`). Where none of them has the package at all, it may be kept
elsewhere: then nothing is said.
"""

from __future__ import annotations

from cachetop.base.hostile import clean
from cachetop.kernelcache import environments
from cachetop.kernelcache.formats import Facts, Row
from cachetop.kernelcache.ground import Ground
from cachetop.kernelcache.records import Producer, Stale
from cachetop.kernelcache.relations import Relations, compared, numbers, producer, release

_NVRTC = "nvidia-cuda-nvrtc"


def gone(row: Row, facts: Facts, ground: Ground) -> Stale | None:
    """The environment that made the entry is gone, or none found here has the release that made it."""
    made = producer(row)
    if row.entry.kind == "nvrtc":
        return _nvrtc_gone(made, ground)
    if row.entry.kind == "torch-extensions":
        return _torch_gone(facts, ground)
    if made.package is not None:
        return _headers_gone(facts, ground) or _package_gone(made.package, ground)
    if facts.toolchain is not None and ground.gone(facts.toolchain):
        evidence = f"{clean(facts.toolchain, 1024)} of its compiler does not exist"
        if made.triton and (holder := ground.holder(made.triton)):
            evidence += f"; {clean(holder, 1024)} has Triton {made.triton} too"
        return Stale(rule="toolchain-gone", evidence=evidence)
    if made.triton is None or _alive(made, ground) is not False:
        return None
    now = ", ".join(sorted(ground.releases(made.environment))) if made.environment else ""
    where = f"{made.environment} now has Triton {now}" if now else "its environment is not named"
    return _none_has("Triton", made.triton, ground.having("triton"), where)


def superseded(row: Row, facts: Facts, ground: Ground, relations: Relations) -> Stale | None:
    """A newer release compiled the same kernel for the same SM, and none found here is known to have the older one."""
    newest = relations.newest(row) if compared(row.entry) else None
    mine = release(row)
    if newest is None or numbers(mine) >= numbers(newest):
        return None
    made = producer(row)
    if made.package is not None:
        package = made.package.rpartition(" ")[0]
        if not ground.having(package) or ground.holder(mine or "", package):
            return None
        evidence = f"{package} {newest} compiled the same for the same SM since; this one is by {clean(made.package)}"
        return Stale(rule="superseded", evidence=evidence)
    alive = _alive(made, ground)
    if alive is True or (made.environment and alive is None and mine is not None):
        return None
    this = f"this one is by Triton {mine or '3.2 or older'}"
    evidence = f"Triton {newest} compiled the same kernel for the same SM since; {this}"
    return Stale(rule="superseded", evidence=evidence)


def _alive(made: Producer, ground: Ground) -> bool | None:
    """Whether some environment found here has the Triton that made the entry; None when that cannot be told."""
    if made.environment and made.triton in ground.releases(made.environment):
        return True
    if made.environment and not ground.releases(made.environment) and not ground.gone(made.environment):
        return None
    if made.triton is not None and ground.holder(made.triton):
        return True
    return False if ground.having("triton") else None


def _package_gone(package: str, ground: Ground) -> Stale | None:
    name, _, version = package.rpartition(" ")
    having = ground.having(name)
    if not having or ground.holder(version, name):
        return None
    now = ", ".join(sorted({one for releases in having.values() for one in releases}))
    return _none_has(name, version, having, f"there is {now}")


def _nvrtc_gone(made: Producer, ground: Ground) -> Stale | None:
    """The name says by which NVRTC. Silent where an environment's torch brings its NVRTC in another way."""
    torch, having = ground.having("torch"), ground.having(_NVRTC)
    if made.cuda is None or not torch or not torch.keys() <= having.keys():
        return None
    there = {".".join(one.split(".")[:2]) for releases in having.values() for one in releases}
    if made.cuda in there:
        return None
    return _none_has("NVRTC", made.cuda, torch, f"their torch brings {', '.join(sorted(there))}")


def _torch_gone(facts: Facts, ground: Ground) -> Stale | None:
    """An extension is built for one Python, against the headers of one torch."""
    if (headers := _headers_gone(facts, ground)) is not None:
        return headers
    having = ground.having(environments.PYTHON_OF_TORCH)
    if facts.python is None or not having or any(facts.python in releases for releases in having.values()):
        return None
    now = ", ".join(sorted({one for releases in having.values() for one in releases}))
    many = f"the {len(having)} environments" if len(having) > 1 else "the one environment"
    evidence = f"it was built for Python {facts.python}; {many} with torch found here: Python {now}"
    return Stale(rule="toolchain-gone", evidence=evidence)


def _headers_gone(facts: Facts, ground: Ground) -> Stale | None:
    """The headers it was built against are gone: with others in their place ninja builds it anew."""
    if facts.toolchain is None or not ground.gone(facts.toolchain):
        return None
    evidence = f"{clean(facts.toolchain, 1024)}, against which it was built, does not exist"
    return Stale(rule="toolchain-gone", evidence=evidence)


def _none_has(name: str, version: str, having: dict[str, frozenset[str]], also: str) -> Stale:
    many = len(having)
    where = "the one environment" if many == 1 else f"none of the {many} environments"
    where += " with it found here " + ("does not have" if many == 1 else "has")
    evidence = f"it was made by {name} {clean(version, 64)}, which {where}; {also}"
    return Stale(rule="toolchain-gone", evidence=evidence)
