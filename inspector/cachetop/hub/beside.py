"""Other places where models lie: beside the hub cache, in environments, in other programs' folders.

A row each with path and size, read-only: each program has its own way to delete. Sources: huggingface_hub and
datasets (constants, config), torch.hub, docling (settings), easyocr.config, whisper, modelscope, ollama's FAQ.
HF_HOME itself is never measured as one: it holds the login token. Files that hold a token are not counted.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from errno import ENOENT
from glob import escape, iglob

from cachetop.base.hostile import show
from cachetop.base.record import why
from cachetop.base.turns import in_turns
from cachetop.hub.contents import open_folder, open_root
from cachetop.hub.records import Beside
from cachetop.hub.roots import roots
from cachetop.locations import Location, expand, expand_home, hf_home, holders, home, identity, token_files

Key = tuple[int, int]
"""Device and inode."""
_ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")
_DEPTH = 64
_NOTES = {
    "xet": "Chunks and shards of running and past transfers; huggingface_hub makes them again.",
    "assets": "Files that libraries keep beside the hub cache.",
    "datasets": "Prepared data sets; the datasets library makes them again from the hub cache.",
    "torch-hub": "Checkpoints of torch.hub; downloaded again when needed.",
    "docling": "Models for offline use, put there by docling-tools models download.",
    "rapidocr": "Part of an environment; it goes with it.",
    "easyocr": "Models of EasyOCR; downloaded again when needed.",
    "whisper": "Models of openai-whisper; downloaded again when needed.",
    "modelscope": "Models of ModelScope; downloaded again when needed.",
    "ollama": "Models of ollama: ollama list, ollama rm.",
}


def places(env: Mapping[str, str] | None = None) -> list[Location]:
    """Every such place for `env`, whether it exists or not; those inside environments only where they exist.

    Variables are expanded as far as the program that reads them does it: most take `~` for a name.
    """
    env = os.environ if env is None else env
    own = home(env)
    base, reason, variable = hf_home(env)
    cached = os.path.join(own, ".cache")

    def below(name: str) -> Location:
        return Location(name, os.path.join(base, name), reason, variable)

    def in_cache(kind: str, *parts: str) -> Location:
        return Location(kind, os.path.join(cached, *parts), "default: no variable set")

    found = [
        _first(env, below("xet"), HF_XET_CACHE=""),
        _first(env, below("assets"), expand, HF_ASSETS_CACHE="", HUGGINGFACE_ASSETS_CACHE=""),
        _first(env, below("datasets"), HF_DATASETS_CACHE=""),
        _first(
            env,
            in_cache("torch-hub", "torch", "hub", "checkpoints"),
            expand_home,
            TORCH_HOME="hub/checkpoints",
            XDG_CACHE_HOME="torch/hub/checkpoints",
        ),
        _first(env, in_cache("docling", "docling", "models"), DOCLING_ARTIFACTS_PATH="", DOCLING_CACHE_DIR="models"),
        _first(
            env,
            Location("easyocr", os.path.join(own, ".EasyOCR", "model"), "default: no variable set"),
            EASYOCR_MODULE_PATH="model",
            MODULE_PATH="model",
        ),
        _first(env, in_cache("whisper", "whisper"), XDG_CACHE_HOME="whisper"),
        _first(env, in_cache("modelscope", "modelscope"), expand, MODELSCOPE_CACHE=""),
        _first(
            env,
            Location("ollama", os.path.join(own, ".ollama", "models"), "default: no variable set"),
            _unquoted,
            OLLAMA_MODELS="",
        ),
    ]
    service = "/usr/share/ollama/.ollama/models"
    if os.path.isdir(service):
        found.append(Location("ollama", service, "where ollama's system service keeps them"))
    return found + list(_environments(env))


def _literal(path: str, env: Mapping[str, str]) -> str:
    return path


def _unquoted(path: str, env: Mapping[str, str]) -> str:
    return path.strip().strip("\"'")


def _first(
    env: Mapping[str, str],
    default: Location,
    expanded: Callable[[str, Mapping[str, str]], str] = _literal,
    **below: str,
) -> Location:
    """Where the first variable that is set leads, each with the folder below it; else the default."""
    for name, inner in below.items():
        if env.get(name):
            path, reason = expanded(env[name], env), f"{name} is set"
            if not os.path.isabs(path):
                path, reason = os.path.abspath(path), f"{reason}, to a path below the working folder"
            return Location(default.kind, os.path.join(path, inner) if inner else path, reason, name)
    return default


def _environments(env: Mapping[str, str]) -> Iterator[Location]:
    """RapidOCR keeps its models in its package: look into the environments in use, without running them."""
    named = [(env[name], f"in the environment that {name} names", name) for name in _ACTIVE if env.get(name)]
    if env is os.environ:
        named.append((sys.prefix, "in the environment that cachetop runs in", ""))
    for prefix, reason, variable in named:
        for package in ("rapidocr", "rapidocr_onnxruntime"):
            pattern = os.path.join(escape(prefix), "lib", "python3*", "site-packages", package, "models")
            for path in sorted(iglob(pattern)):
                yield Location("rapidocr", path, reason, variable or None)


def look(env: Mapping[str, str] | None = None) -> tuple[Beside, ...]:
    """A row for each place that exists, with its size now. Never raises for what is on disk.

    What lies in two of them is counted in the inner one alone. A place that holds HF_HOME or a hub cache is named
    and not measured: it is not the one program's alone.
    """
    env = os.environ if env is None else env
    known = places(env)
    holding = _holders(env)
    inner = {key: place.kind for place in reversed(known) if (key := identity(place.path))}
    secret = {key for path in token_files(env) if (key := identity(path))}
    rows: list[Beside] = []
    seen: dict[Key, str] = {}
    for place in known:
        try:
            descriptor = open_root(place.path)
        except FileNotFoundError:
            continue
        except OSError as error:
            rows.append(_row(place, f"It could not be read: {why(error)}."))
            continue
        try:
            status = os.fstat(descriptor)
            key = status.st_dev, status.st_ino
            if key in holding:
                rows.append(_row(place, f"It {holding[key]}: not measured as a whole."))
            elif key not in seen:
                seen[key] = place.kind
                rows.append(_row(place, counted=_Count(descriptor, status.st_dev, inner, secret)))
            elif seen[key] != place.kind:
                rows.append(_row(place, f"It is the folder of {seen[key]}, and counted there."))
        except FileNotFoundError:
            continue  # it went meanwhile
        except OSError as error:
            rows.append(_row(place, f"It could not be read: {why(error)}."))
        finally:
            os.close(descriptor)
    return tuple(rows)


def _holders(env: Mapping[str, str]) -> dict[Key, str]:
    return holders(
        [
            (hf_home(env)[0], "HF_HOME, where the login token and the hub cache lie"),
            *((root.path, "the hub cache, which is listed by its repos") for root in roots(env=env)),
        ]
    )


class _Count:
    """The regular files below an open folder, each inode once. Symlinks are not followed, other file systems not
    entered, what is somebody else's row or holds a token is left out."""

    def __init__(self, descriptor: int, device: int, inner: Mapping[Key, str], secret: Set[Key]) -> None:
        """Counts at once. Raises OSError where the folder itself cannot be read."""
        self.size = self.disk = self.files = 0
        self._device = device
        self._inner = inner
        self._without: set[str] = set()
        self._failed = 0
        self._failure = ""
        linked: set[Key] = set()
        for status in in_turns(self._below(descriptor), 16):
            key = status.st_dev, status.st_ino
            if not stat.S_ISREG(status.st_mode) or key in secret or key in linked:
                continue
            if status.st_nlink > 1:
                linked.add(key)
            self.size += status.st_size
            self.disk += status.st_blocks * 512
            self.files += 1

    @property
    def problem(self) -> str | None:
        """What could not be looked at."""
        if not self._failed:
            return None
        names = "1 name" if self._failed == 1 else f"{self._failed} names"
        return f"{names} below it could not be read ({self._failure}): the size is that of the rest."

    @property
    def without(self) -> str:
        """What was left out on purpose, as a sentence."""
        return f" Without {' and '.join(sorted(self._without))} in it." if self._without else ""

    def _below(self, descriptor: int, depth: int = 0) -> Iterator[os.stat_result]:
        """All that lies below an open folder."""
        try:
            names = os.listdir(descriptor)
        except OSError as error:
            if not depth:
                raise
            self._fail(error)
            return
        for name in names:
            try:
                status = os.lstat(name, dir_fd=descriptor)
            except OSError as error:
                self._fail(error)
                continue
            yield status
            if stat.S_ISDIR(status.st_mode) and self._enters(status, depth):
                try:
                    inside = open_folder(name, descriptor)
                except OSError as error:
                    self._fail(error)
                    continue
                try:
                    yield from self._below(inside, depth + 1)
                finally:
                    os.close(inside)

    def _enters(self, status: os.stat_result, depth: int) -> bool:
        kind = self._inner.get((status.st_dev, status.st_ino))
        if kind is not None:
            self._without.add(f"the folder of {kind}")
        elif status.st_dev != self._device:
            self._without.add("other file systems")
        elif depth >= _DEPTH:
            self._failed += 1
            self._failure = self._failure or f"more than {_DEPTH} folders deep"
        else:
            return True
        return False

    def _fail(self, error: OSError) -> None:
        if error.errno != ENOENT:  # what vanished meanwhile is no trouble
            self._failed += 1
            self._failure = self._failure or why(error)


def _row(place: Location, problem: str | None = None, counted: _Count | None = None) -> Beside:
    return Beside(
        kind=place.kind,
        path=show(os.path.abspath(place.path)),
        reason=place.reason,
        size=counted.size if counted else None,
        size_on_disk=counted.disk if counted else None,
        files=counted.files if counted else None,
        note=_NOTES[place.kind] + (counted.without if counted else ""),
        problem=counted.problem if counted else problem,
    )
