"""torch_extensions: what `torch.utils.cpp_extension.load` built (seen with torch 2.14).

`py311_cu130/<extension>/` by default; where TORCH_EXTENSIONS_DIR is set the extensions lie in it directly. Each holds
build.ninja, objects, `.ninja_log`, `lock`, and in the end `<extension>.so` (a program without ending where it was
built `is_standalone`). One row per extension.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from functools import partial

from cachetop.base.hostile import clean
from cachetop.kernelcache import gencode, ninja
from cachetop.kernelcache.formats import UNKNOWN_PRODUCER, Context, Facts, Row, Shelf
from cachetop.kernelcache.records import Producer
from cachetop.kernelcache.shelves import drop, drop_missing, folders, keep_tree, listing, open_folder
from cachetop.kernelcache.usage import tree_row, unfinished

_VERSIONED = re.compile(r"py(\d)(\d{1,2})t?_(?:cpu|cu(\d{2})(\d)|[a-z0-9.]+)\Z")
_BUILDS = ("build.ninja", ".ninja_log", "lock")


class Extensions:
    """torch_extensions: a shelf per Python and CUDA version, and one for those that lie in the root itself."""

    kind = "torch-extensions"
    removable = True

    def scan(self, root: int, shelves: dict[str, Shelf], context: Context) -> bool:
        """See `Format.scan`."""
        tops = folders(root)
        loose = [name for name in tops if not _VERSIONED.match(name)]
        changed, seen = _shelf(root, ".", loose, shelves.setdefault(".", Shelf()), context), ["."]
        for version in (name for name in tops if _VERSIONED.match(name)):
            with listing(version, root, context) as inner:
                if inner is not None:
                    changed |= _shelf(inner, version, folders(inner), shelves.setdefault(version, Shelf()), context)
                    seen.append(version)
        return drop_missing(shelves, seen) or changed

    def rescan(self, root: int, shelves: dict[str, Shelf], paths: Collection[str], context: Context) -> bool:
        """See `Format.rescan`."""
        context.quick = False
        return self.scan(root, shelves, context)

    def owner(self, path: str) -> str | None:
        """See `Format.owner`."""
        parts = path.split("/")
        depth = 2 if _VERSIONED.match(parts[0]) else 1
        return "/".join(parts[:depth]) if len(parts) >= depth else None


def facts(folder: int, place: str, name: str) -> Facts:
    """Who built an extension, for which GPUs and Python, how long it took, and whether its library is whole.

    Its maker loads the library itself, so an access is no proof of a later use.
    """
    inner = open_folder(name, folder)
    if inner is None:
        return Facts()
    try:
        said = ninja.read(inner)
        library = _library(name, os.listdir(inner))
        version = _VERSIONED.match(os.path.basename(place))
        made = Producer(environment=clean(said.environment, 1024)) if said.environment else UNKNOWN_PRODUCER
        if version and version[3]:
            made = Producer(environment=made.environment, cuda=f"{version[3]}.{version[4]}")
        return Facts(
            producer=made,
            toolchain=said.headers,
            python=f"{version[1]}.{version[2]}" if version else said.python,
            codes=said.codes,
            broken=ninja.fault(library, inner) if library else None,
            build_milliseconds=ninja.milliseconds(inner),
            witness=f"{name}/{library}" if library else None,
            read_by_maker=True,
        )
    except OSError:
        return Facts()
    finally:
        os.close(inner)


def _library(extension: str, names: list[str]) -> str | None:
    """The file that is loaded or run, of the files of a build."""
    built = [name for name in names if name in (f"{extension}.so", extension)]
    return built[0] if built else next((name for name in sorted(names) if name.endswith(".so")), None)


def _shelf(parent: int, version: str, names: list[str], shelf: Shelf, context: Context) -> bool:
    """One row per extension. A build changes files below and not the folder, so all but a quick scan read them anew."""
    found = _VERSIONED.match(version)
    producer = Producer(cuda=f"{found[3]}.{found[4]}") if found and found[3] else UNKNOWN_PRODUCER
    changed = drop(shelf.rows, names)
    for name in names:
        path = name if version == "." else f"{version}/{name}"
        read = partial(_row, path=path, name=name, producer=producer, context=context)
        changed |= keep_tree(shelf.rows, name, parent, context, read)
    return changed


def _row(inner: int, *, path: str, name: str, producer: Producer, context: Context) -> Row | None:
    try:
        names = os.listdir(inner)
    except OSError:
        return None
    if not any(one in names for one in _BUILDS) and not _library(name, names):
        return None  # a folder of something else, which only lies where TORCH_EXTENSIONS_DIR points to
    sms = gencode.sms(gencode.asked(inner))
    row = tree_row(
        inner, path, context, key=name, name=name, state="complete", part="extension", producer=producer, sm=sms
    )
    return row if _library(name, names) else unfinished(row, context.now)
