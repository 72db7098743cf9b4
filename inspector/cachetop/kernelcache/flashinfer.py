"""FlashInfer's cache: operators built on first use, in folders named by release and by the GPUs they are for.

`<release>/<SMs as 75_80_90a>/cached_ops/<operator>/` holds build.ninja, objects and `<operator>.so`;
`<release>/<SMs>/generated/` the sources; `cubins/` downloaded machine code. One row per operator, one for each of the
others (flashinfer/jit/env.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from cachetop.base.record import why
from cachetop.kernelcache import gencode
from cachetop.kernelcache.formats import Context, Shelf
from cachetop.kernelcache.shelves import drop, drop_missing, folders, keep, open_folder
from cachetop.kernelcache.usage import tree_row, young

_RELEASE = re.compile(r"\d{1,3}\.\d{1,3}[0-9A-Za-z.+_-]{0,40}\Z")
_SMS = re.compile(r"\d{2,3}[af]?(?:_\d{2,3}[af]?)*\Z")


class FlashInfer:
    """A FlashInfer cache: a shelf per folder of operators."""

    kind = "flashinfer"

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        changed, seen = False, ["."]
        tops = folders(root)
        loose = shelves.setdefault(".", Shelf())
        for top in tops:
            if not _RELEASE.match(top):
                changed |= _tree(root, top, top, loose, context)
                continue
            if (release := open_folder(top, root)) is None:
                continue
            try:
                for sms in folders(release):
                    if _SMS.match(sms) and (inner := open_folder(sms, release)) is not None:
                        try:
                            changed |= _operators(inner, f"{top}/{sms}", sms, shelves, seen, context)
                        finally:
                            os.close(inner)
            except OSError as error:
                context.errors.append(f"{top} cannot be listed: {why(error)}")
            finally:
                os.close(release)
        changed |= drop(loose.rows, tops)
        return drop_missing(shelves, seen) or changed

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        context.quick = False
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        parts = path.split("/")
        if not _RELEASE.match(parts[0]):
            return parts[0] if len(parts) > 1 else None
        depth = 4 if len(parts) > 2 and parts[2] == "cached_ops" else 3
        return "/".join(parts[:depth]) if len(parts) >= depth else None


def _operators(folder: int, path: str, sms: str, shelves: dict[str, Shelf], seen: list[str], context: Context) -> bool:
    """The folders of one release and one set of SMs."""
    changed = False
    shelf = shelves.setdefault(path, Shelf())
    seen.append(path)
    names = [name for name in folders(folder) if name != "cached_ops"]
    for name in names:
        changed |= _tree(folder, name, f"{path}/{name}", shelf, context)
    changed |= drop(shelf.rows, names)
    inner = open_folder("cached_ops", folder)
    if inner is None:
        return changed
    try:
        place = f"{path}/cached_ops"
        operators = shelves.setdefault(place, Shelf())
        seen.append(place)
        names = folders(inner)
        for name in names:
            changed |= _tree(inner, name, f"{place}/{name}", operators, context, sms)
        return drop(operators.rows, names) or changed
    finally:
        os.close(inner)


def _tree(parent: int, name: str, path: str, shelf: Shelf, context: Context, sms: str | None = None) -> bool:
    """One row; an operator when `sms` are given. A quick scan leaves those it knows that are not being built."""
    if context.quick and name in shelf.rows and name not in shelf.rows.flying:
        return False
    inner = open_folder(name, parent)
    if inner is None:
        return shelf.rows.discard(name)
    try:
        if sms is None:
            return keep(shelf.rows, name, tree_row(inner, path, context, key=name, state="opaque", part=name))
        made = gencode.sms(gencode.asked(inner)) or tuple(f"sm_{one}" for one in sms.split("_"))
        row = tree_row(inner, path, context, key=name, name=name, state="complete", part="operator", sm=made)
        if not _built(inner):
            state = "compiling" if young(row.stamp, context.now) else "orphan"
            row = tree_row(inner, path, context, key=name, name=name, state=state, part="operator", sm=made)
        return keep(shelf.rows, name, row)
    finally:
        os.close(inner)


def _built(folder: int) -> bool:
    return any(name.endswith(".so") for name in os.listdir(folder))
