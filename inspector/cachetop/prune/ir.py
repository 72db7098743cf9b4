"""Keeping only what Triton loads: the machine code, the metadata, and a group file that names just these.

`triton.compile` takes an entry for complete when the group file and every file it names exist, and reads them all
(triton/runtime/cache.py `get_group`, triton/compiler/compiler.py `CompiledKernel`). With `TRITON_STORE_BINARY_ONLY`
Triton itself writes such entries. The intermediate stages, mostly LLVM IR, are four fifths of an entry.

Inductor keeps Triton entries below `triton/<device>` and loads them in the same way, machine code only
(torch/_inductor/runtime/static_triton_launcher.py). It holds the stages once more in its fxgraph pickles, where nothing
can be dropped, and unpacks them only into an entry that is gone (torch/_inductor/triton_bundler.py). Packages for
several architectures (AOTInductor's `emit_multi_arch_kernel`) want the PTX of an entry that they find.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping

from cachetop.base.files import read_bounded
from cachetop.kernelcache.records import Entry
from cachetop.prune.calls import open_folder
from cachetop.prune.tree import Measured, measure
from cachetop.prune.work import Move, move

DROPPED = ("source", "ttir", "ttgir", "llir", "ptx", "amdgcn")
_CODE = (".cubin", ".hsaco")
_GROUP_MOST = 1 << 20


def applies(entry: Entry) -> bool:
    """Whether an entry can do without its intermediate stages: complete, and one that Triton's loader reads."""
    return entry.state == "complete" and (entry.kind == "triton" or entry.part == "triton")


def moves(
    root: str, parents: tuple[str, ...], key: str, at: int, users: Mapping[tuple[int, int], Iterable[int]]
) -> tuple[list[Move], Measured, bytes]:
    """What goes of the entry `key` in the open folder `at`: the group file first, which is replaced, then the stages.

    Returns them with what they hold and the new group file. No moves when nothing can be dropped: no machine code,
    a group file that names another folder, or nothing but machine code already. Raises OSError.
    """
    nothing: tuple[list[Move], Measured, bytes] = [], Measured(), b""
    inner = open_folder(key, at)
    try:
        names = sorted(os.listdir(inner))
        groups = [name for name in names if name.startswith("__grp__") and name.endswith(".json")]
        if len(groups) != 1 or not any(name.endswith(_CODE) for name in names):
            return nothing
        children = _children(groups[0], inner)
        if children is None or any(name not in names for name in children):
            return nothing
        where = {os.path.realpath(os.path.dirname(path)) for path in children.values()}
        if where != {os.path.realpath(os.path.join(root, *parents, key))}:
            return nothing
        gone = [name for name in names if name.rpartition(".")[2] in DROPPED]
        if not gone:
            return nothing
        left = {name: path for name, path in children.items() if name not in gone}
        if not any(name.endswith(_CODE) for name in left):
            return nothing
        inside = (*parents, key)
        found = [move(root, inside, groups[0], inner, "group")]
        measured = Measured()
        for name in gone:
            found.append(move(root, inside, name, inner, "stage"))
            measure(name, inner, users, measured)
        return found, measured, json.dumps({"child_paths": left}).encode()
    finally:
        os.close(inner)


def _children(group: str, inner: int) -> dict[str, str] | None:
    try:
        told = json.loads(read_bounded(group, _GROUP_MOST, inner))
    except (ValueError, RecursionError):
        return None
    children = told.get("child_paths") if isinstance(told, dict) else None
    if not isinstance(children, dict) or not all(isinstance(path, str) for path in children.values()):
        return None
    return children
