"""FlashInfer's cache: operators built on first use, in folders named by release and by the GPUs they are for.

`<release>/<SMs as 75_80_90a>/cached_ops/<operator>/` holds build.ninja, objects and `<operator>.so`, or for the CuTe
DSL `meta.json` and an object per kernel; `cached_ops/tmp/` the locks; `<release>/<SMs>/generated/` the sources, beside
them a log; `cubins/` downloaded machine code. One row per operator, one for each of the others (flashinfer/jit/env.py,
core.py, cpp_ext.py, cute_dsl_core.py; seen with 0.7.2).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection

from cachetop.base.hostile import clean
from cachetop.kernelcache import gencode, ninja
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Context, Facts, Row, Shelf
from cachetop.kernelcache.records import Producer
from cachetop.kernelcache.shelves import drop, drop_missing, folders, keep, keep_tree, listing, open_folder
from cachetop.kernelcache.usage import group_row, tree_row, unfinished

PACKAGE = "flashinfer-python"
_RELEASE = re.compile(r"\d{1,3}\.\d{1,3}[0-9A-Za-z.+_-]{0,40}\Z")
_SMS = re.compile(r"\d{2,3}[af]?(?:_\d{2,3}[af]?)*\Z")
_OPERATORS, _LOCKS = "cached_ops", "tmp"
_CUTE = "meta.json"


class FlashInfer:
    """A FlashInfer cache: a shelf per folder of operators."""

    kind = "flashinfer"
    removable = True

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        changed, seen = False, ["."]
        tops = folders(root)
        loose = shelves.setdefault(".", Shelf())
        for top in tops:
            if not _RELEASE.match(top):
                changed |= _tree(root, top, top, loose, context)
                continue
            with listing(top, root, context) as release:
                if release is None:
                    continue
                for sms in filter(_SMS.match, folders(release)):
                    with listing(sms, release, context) as inner:
                        if inner is not None:
                            changed |= _workspace(inner, f"{top}/{sms}", shelves, seen, context)
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
        depth = 4 if len(parts) > 2 and parts[2] == _OPERATORS else 3
        return "/".join(parts[:depth]) if len(parts) >= depth else None


def facts(folder: int, place: str, name: str) -> Facts:
    """For which GPUs an operator was built, how long that took, where, and whether its library is whole.

    FlashInfer lets ninja decide by absolute paths what is up to date: in a folder that was moved it builds anew. Its
    maker loads the library itself, so an access is no proof of a later use.
    """
    inner = open_folder(name, folder)
    if inner is None:
        return Facts()
    try:
        said = ninja.read(inner)
        names = os.listdir(inner)
        library = f"{name}.so" if f"{name}.so" in names else next((one for one in names if one.endswith(".so")), None)
        witness = library or (_CUTE if _CUTE in names else None)
        home = os.path.realpath(os.path.join(place, name))
        built = os.path.realpath(os.path.dirname(said.output)) if said.output else home
        release = os.path.basename(os.path.dirname(os.path.dirname(place)))
        environment = clean(said.environment, 1024) if said.environment else None
        return Facts(
            producer=Producer(package=f"{PACKAGE} {clean(release)}", environment=environment),
            toolchain=said.headers,
            codes=said.codes,
            elsewhere=built if built != home else None,
            broken=ninja.fault(library, inner) if library else None,
            build_milliseconds=ninja.milliseconds(inner),
            witness=f"{name}/{witness}" if witness else None,
            read_by_maker=True,
        )
    except OSError:
        return Facts()
    finally:
        os.close(inner)


def _workspace(folder: int, path: str, shelves: dict[str, Shelf], seen: list[str], context: Context) -> bool:
    """The folders and files of one release and one set of SMs."""
    release, _, sms = path.partition("/")
    made = Producer(package=f"{PACKAGE} {clean(release)}")
    shelf = shelves.setdefault(path, Shelf())
    seen.append(path)
    names = [name for name in folders(folder) if name != _OPERATORS]
    changed = False
    for name in names:
        changed |= _tree(folder, name, f"{path}/{name}", shelf, context, made)
    for name in os.listdir(folder):
        if name not in names and _is_file(name, folder):
            names.append(name)
            row = group_row(folder, f"{path}/{name}", name, [name], context, state="helper", part="log")
            changed |= keep(shelf.rows, name, row)
    changed |= drop(shelf.rows, names)
    inner = open_folder(_OPERATORS, folder)
    if inner is None:
        return changed
    try:
        place = f"{path}/{_OPERATORS}"
        operators = shelves.setdefault(place, Shelf())
        seen.append(place)
        names = folders(inner)
        for name in names:
            mine = None if name == _LOCKS else sms
            changed |= _tree(inner, name, f"{place}/{name}", operators, context, made, mine)
        return drop(operators.rows, names) or changed
    finally:
        os.close(inner)


def _tree(
    parent: int,
    name: str,
    path: str,
    shelf: Shelf,
    context: Context,
    made: Producer = UNKNOWN_PRODUCER,
    sms: str | None = None,
) -> bool:
    """One row; an operator when `sms` are given. A quick scan leaves those it knows that are not being built."""

    def read(inner: int) -> Row:
        if sms is None:
            part, state = ("locks", "helper") if name == _LOCKS else (name, "opaque")
            return tree_row(inner, path, context, key=name, state=state, part=part, producer=made)
        codes = gencode.sms(gencode.asked(inner)) or tuple(f"sm_{one}" for one in sms.split("_"))
        row = tree_row(
            inner, path, context, key=name, name=name, state="complete", part="operator", sm=codes, producer=made
        )
        return row if _built(inner) else unfinished(row, context.now)

    return keep_tree(shelf.rows, name, parent, context, read)


def _is_file(name: str, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.lstat(name, dir_fd=folder).st_mode)
    except OSError:
        return False  # gone since it was listed


def _built(folder: int) -> bool:
    names = os.listdir(folder)
    return any(name.endswith(".so") for name in names) or _CUTE in names
