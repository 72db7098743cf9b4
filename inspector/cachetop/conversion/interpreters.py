"""Python interpreters that could run a conversion, listed from files alone.

Nothing is executed, not even for its version: an environment in the current folder may belong to a cloned
repository. What is installed is read from the names of `*.dist-info` folders (the packaging specification's
"Recording installed projects"), a virtual environment's version from its `pyvenv.cfg` (PEP 405), torch's
CUDA version from the text of `torch/version.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from cachetop.base.files import read_bounded
from cachetop.base.hostile import clean
from cachetop.base.record import Record
from cachetop.locations import home, state_dir

_DIST = re.compile(r"([A-Za-z0-9._-]+?)-([^-]+)\.dist-info\Z")
_WANTED = ("docling", "docling-slim", "torch", "transformers", "onnxruntime")
_ACTIVE = ("VIRTUAL_ENV", "CONDA_PREFIX")
_OLDEST = (3, 10)
_CUDA = re.compile(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", re.MULTILINE)
_LIB = re.compile(r"python(\d\.\d+)t?\Z")


class NoInterpreter(ValueError):
    """There is no interpreter to convert with, or the named one cannot; the message says what to do."""


class Interpreter(Record, frozen=True):
    """One interpreter and what its files say is installed in it. Versions are None when absent."""

    path: str
    origin: str
    """Where it was found: `this one`, `VIRTUAL_ENV`, `CONDA_PREFIX`, `in this folder`, ..."""
    python: str | None
    docling: str | None
    slim: bool
    """docling-slim: there without the model pipelines' requirements."""
    torch: str | None
    cuda: str | None
    """The CUDA version torch was built for; None for a CPU build or without torch."""
    transformers: str | None
    onnxruntime: str | None
    from_here: bool = False
    """Found in the current folder: never used until a person picks it."""

    @property
    def prefix(self) -> str:
        """The environment's folder. Two environments may link to one and the same executable."""
        return os.path.dirname(os.path.dirname(self.path))


def candidates(env: Mapping[str, str] | None = None, cwd: Path | None = None) -> list[Interpreter]:
    """Every interpreter that can be found without running anything, the likeliest first, each once."""
    env = os.environ if env is None else env
    found: dict[str, Interpreter] = {}
    for path, origin, from_here in _places(env, cwd or Path.cwd()):
        key = _identity(path)
        if key not in found and os.access(path, os.X_OK) and os.path.isfile(path):
            found[key] = inspect(path, origin, from_here, env)
    return list(found.values())


def choose(python: str | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Interpreter:
    """The interpreter a conversion runs under: the named one, else this one if docling is in it, else the one
    named last in this folder, else the active environment's.

    `python` is an executable or an environment's folder. One that lies in the current folder is never chosen
    unless it is named. Raises NoInterpreter with a sentence.
    """
    env = os.environ if env is None else env
    if python is not None:
        return _named(python, env)
    looked = []
    for path, origin in (
        (sys.executable, "this one"),
        (remembered(cwd or Path.cwd()), "named last in this folder"),
        *((_active(variable, env), variable) for variable in _ACTIVE),
    ):
        if path and os.path.isfile(path):
            one = inspect(path, origin, False, env)
            if one.docling and _new_enough(one):
                return one
            looked.append(clean(path))
    able = [clean(one.path) for one in candidates(env, cwd) if one.docling and _new_enough(one)][:3]
    raise NoInterpreter(
        f"docling is not installed in {' nor in '.join(looked)}. Install it with "
        f"`{clean(sys.executable)} -m pip install 'cachetop[native]'` (475 MB, no torch), or name an interpreter "
        f"that has it: --python {' or '.join(able) or 'PATH'}"
    )


def _named(python: str, env: Mapping[str, str]) -> Interpreter:
    found = shutil.which(python, path=env.get("PATH")) if os.sep not in python and not os.path.exists(python) else None
    path = os.path.abspath(found or os.path.expanduser(python))
    if os.path.isdir(path):
        path = os.path.join(path, "bin", "python")
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise NoInterpreter(f"{clean(python)} is no Python interpreter that can be run; name its bin/python")
    one = inspect(path, "named", False, env)
    if not _new_enough(one):
        raise NoInterpreter(f"{clean(path)} is Python {one.python}; a conversion needs 3.10 or newer")
    if not one.docling and _libraries(path, env):
        raise NoInterpreter(
            f"docling is not installed for {clean(path)}; install it with "
            f"`{clean(path)} -m pip install 'docling-slim[convert-core,format-pdf]>=2.139,!=2.143.0'` or 'docling'"
        )
    return one


def _new_enough(one: Interpreter) -> bool:
    """Whether the worker can run under it; an unknown version may."""
    numbers = re.match(r"(\d+)\.(\d+)", one.python or "")
    return numbers is None or (int(numbers[1]), int(numbers[2])) >= _OLDEST


def remember(cwd: Path, python: str) -> None:
    """Note that `python` was named for conversions started in `cwd`. Raises OSError."""
    known = _memory()
    known.pop(str(cwd), None)
    known[str(cwd)] = python
    state_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = state_dir() / f".interpreters.{os.getpid()}"
    fresh.write_text(json.dumps(dict(list(known.items())[-200:]), indent=1), "ascii")
    fresh.replace(state_dir() / "interpreters.json")


def remembered(cwd: Path) -> str | None:
    """The interpreter that was named last in `cwd`."""
    return _memory().get(str(cwd))


def _memory() -> dict[str, str]:
    try:
        known = json.loads(read_bounded(str(state_dir() / "interpreters.json"), 1 << 20))
    except (OSError, ValueError):
        return {}
    items = known.items() if isinstance(known, dict) else ()
    return {folder: path for folder, path in items if isinstance(path, str)}


def inspect(path: str, origin: str, from_here: bool, env: Mapping[str, str] | None = None) -> Interpreter:
    """Read what is installed for the interpreter at `path` from its files. Never raises."""
    env = os.environ if env is None else env
    versions: dict[str, str] = {}
    cuda = None
    for library in _libraries(path, env):
        for name, version in _installed(library):
            versions.setdefault(name, version)
        cuda = cuda or _cuda(library)
    docling = versions.get("docling") or versions.get("docling-slim")
    return Interpreter(
        path=path,
        origin=origin,
        python=_version(path),
        docling=docling,
        slim=bool(docling) and "docling" not in versions,
        torch=versions.get("torch"),
        cuda=cuda if "torch" in versions else None,
        transformers=versions.get("transformers"),
        onnxruntime=versions.get("onnxruntime"),
        from_here=from_here,
    )


def same(one: str, other: str) -> bool:
    """Whether two paths start the same environment's interpreter."""
    return _identity(one) == _identity(other)


def _identity(path: str) -> str:
    """Environment and executable: resolving the link alone would merge every venv of one Python."""
    prefix = os.path.realpath(os.path.dirname(os.path.dirname(os.path.abspath(path))))
    return f"{prefix}\0{os.path.realpath(path)}"


def _is_this(path: str) -> bool:
    """Whether it is the environment this program runs in, of which more is known than its files tell."""
    prefix = os.path.dirname(os.path.dirname(path))
    return same(path, sys.executable) and os.path.realpath(prefix) == os.path.realpath(sys.prefix)


def _active(variable: str, env: Mapping[str, str]) -> str | None:
    prefix = env.get(variable)
    return os.path.join(prefix, "bin", "python") if prefix and os.path.isabs(prefix) else None


def _places(env: Mapping[str, str], cwd: Path) -> Iterator[tuple[str, str, bool]]:
    """(executable, origin, whether it lies in the current folder), the likeliest first."""
    yield sys.executable, "this one", False
    if path := remembered(cwd):
        yield path, "named last in this folder", False
    for variable in _ACTIVE:
        if path := _active(variable, env):
            yield path, variable, False
    for name in (".venv", "venv"):
        yield str(cwd / name / "bin" / "python"), "in this folder", True
    base = home(env)
    for root in ("miniconda3", "anaconda3", "miniforge3", "mambaforge"):
        yield os.path.join(base, root, "bin", "python"), f"conda {root}", False
        yield from _each(os.path.join(base, root, "envs"), "conda environment")
    pyenv = env.get("PYENV_ROOT") or os.path.join(base, ".pyenv")
    yield from _each(os.path.join(pyenv, "versions"), "pyenv")
    data = env.get("XDG_DATA_HOME") or os.path.join(base, ".local", "share")
    yield from _each(os.path.join(data, "uv", "tools"), "uv tool")
    yield from _each(os.path.join(data, "uv", "python"), "uv python")
    yield from _each(os.path.join(data, "pipx", "venvs"), "pipx")
    yield from _each(os.path.join(base, ".virtualenvs"), "virtualenvwrapper")
    for system in ("/usr/local/bin/python3", "/usr/bin/python3"):
        yield system, "system", False


def _each(folder: str, origin: str) -> Iterator[tuple[str, str, bool]]:
    try:
        names = sorted(os.listdir(folder))[:200]
    except OSError:
        return
    for name in names:
        yield os.path.join(folder, name, "bin", "python"), f"{origin} {clean(name)}", False


def _settings(path: str) -> dict[str, str]:
    """`pyvenv.cfg` of the environment at `path`; empty where it is none."""
    prefix = os.path.dirname(os.path.dirname(path))
    try:
        text = read_bounded(os.path.join(prefix, "pyvenv.cfg"), 1 << 16).decode("utf-8", "replace")
    except (OSError, ValueError):
        return {}
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _version(path: str) -> str | None:
    if _is_this(path):
        return ".".join(map(str, sys.version_info[:3]))
    settings = _settings(path)
    told = settings.get("version") or settings.get("version_info")
    if told and re.match(r"\d+\.\d+", told):
        return clean(".".join(told.split(".")[:3]))
    real = re.search(r"python(\d\.\d+)\Z", os.path.realpath(path))
    if real:
        return real[1]
    folders = _lib_folders(os.path.dirname(os.path.dirname(path)))
    return folders[0][0] if len(folders) == 1 else None


def _lib_folders(prefix: str) -> list[tuple[str, str]]:
    """(3.11, <prefix>/lib/python3.11) for each such folder."""
    found = []
    for lib in ("lib", "lib64"):
        try:
            names = os.listdir(os.path.join(prefix, lib))
        except OSError:
            continue
        for name in sorted(names):
            if match := _LIB.match(name):
                found.append((match[1], os.path.join(prefix, lib, name)))
    return list({os.path.realpath(folder): (version, folder) for version, folder in found}.values())


def _libraries(path: str, env: Mapping[str, str]) -> list[str]:
    """The folders that hold the packages of the interpreter at `path`, in import order, as far as files tell."""
    version = _version(path)
    short = ".".join(version.split(".")[:2]) if version else None
    found = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)]
    if _is_this(path):
        found += [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    prefixes = [os.path.dirname(os.path.dirname(path))]
    settings = _settings(path)
    if settings and settings.get("include-system-site-packages", "").lower() == "true" and settings.get("home"):
        prefixes.append(os.path.dirname(settings["home"]))
    if not settings or len(prefixes) > 1:
        prefixes.append(os.path.join(home(env), ".local"))
    for prefix in prefixes:
        for number, folder in _lib_folders(prefix):
            if short in (None, number):
                found += [os.path.join(folder, "site-packages"), os.path.join(folder, "dist-packages")]
        if prefix == "/usr":
            found += ["/usr/lib/python3/dist-packages"]
    found = [folder for folder in dict.fromkeys(found) if os.path.isdir(folder)]
    return list(dict.fromkeys([*found, *(line for folder in found for line in _pointed(folder))]))


def _pointed(library: str) -> Iterator[str]:
    """Folders that the `.pth` files of a library folder add. Their `import` lines are not run."""
    try:
        names = sorted(name for name in os.listdir(library) if name.endswith(".pth"))[:100]
    except OSError:
        return
    for name in names:
        try:
            text = read_bounded(os.path.join(library, name), 1 << 16).decode("utf-8", "replace")
        except (OSError, ValueError):
            continue
        for line in text.splitlines():
            folder = os.path.join(library, line.strip())
            if line.strip() and not line.startswith(("#", "import ", "import\t")) and os.path.isdir(folder):
                yield folder


def _installed(library: str) -> Iterator[tuple[str, str]]:
    """(normalised name, version) of the wanted packages installed in `library`."""
    try:
        names = os.listdir(library)
    except OSError:
        return
    for name in names:
        match = _DIST.match(name)
        if match:
            project = re.sub(r"[-_.]+", "-", match[1]).lower()
            if project in _WANTED:
                yield project, clean(match[2])


def _cuda(library: str) -> str | None:
    try:
        text = read_bounded(os.path.join(library, "torch", "version.py"), 1 << 14)
    except (OSError, ValueError):
        return None
    found = _CUDA.search(text.decode("utf-8", "replace"))
    return found[1] if found else None
