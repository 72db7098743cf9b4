"""Where every cache is, and which variable or default decided that.

The precedence of each root is that of the program that writes it, read from its source:
huggingface_hub.constants, triton.knobs, torch._inductor.runtime.cache_dir_utils, ATen jit_utils.cpp, the
CUDA Programming Guide (5.2.2), torch.utils.cpp_extension. Nothing is created and nothing is imported.
"""

from __future__ import annotations

import getpass
import logging
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger("cachetop.locations")


@dataclass(frozen=True, slots=True)
class Location:
    """One cache root: `kind`, `path` as the writing program would use it, and why it is there.

    `variable` is the deciding environment variable, None for a default.
    """

    kind: str
    path: str
    reason: str
    variable: str | None = None

    @property
    def exists(self) -> bool:
        """Whether the folder is there now."""
        return os.path.isdir(self.path)


def expand(path: str, env: Mapping[str, str]) -> str:
    """`~` and `$VAR` as os.path does, but against `env`."""

    def value(found: re.Match[str]) -> str:
        return env.get(found[1] or found[2], found[0])

    return expand_home(re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, path), env)


def expand_home(path: str, env: Mapping[str, str]) -> str:
    """`~` alone, as os.path.expanduser does, but against `env`."""
    return home(env) + path[1:] if path == "~" or path.startswith("~/") else os.path.expanduser(path)


def home(env: Mapping[str, str]) -> str:
    """The home folder as `~` means it in `env`."""
    return env.get("HOME") or os.path.expanduser("~")


def hub(env: Mapping[str, str] | None = None) -> Location:
    """The Hugging Face hub cache, by huggingface_hub's own precedence."""
    env = os.environ if env is None else env
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if name in env:
            return Location("hub", expand(env[name], env), f"{name} is set", name)
    base, reason, variable = hf_home(env)
    return Location("hub", os.path.join(base, "hub"), reason, variable)


def hf_home(env: Mapping[str, str] | None = None) -> tuple[str, str, str | None]:
    """HF_HOME as huggingface_hub computes it: (path, reason, deciding variable). It holds the login token."""
    env = os.environ if env is None else env
    if "HF_HOME" in env:
        return expand(env["HF_HOME"], env), "HF_HOME is set", "HF_HOME"
    if "XDG_CACHE_HOME" in env:
        return (
            os.path.join(expand(env["XDG_CACHE_HOME"], env), "huggingface"),
            "XDG_CACHE_HOME is set",
            "XDG_CACHE_HOME",
        )
    return os.path.join(home(env), ".cache", "huggingface"), "default: no variable set", None


def token_files(env: Mapping[str, str] | None = None) -> list[str]:
    """Where huggingface_hub keeps login tokens (constants.HF_TOKEN_PATH and HF_STORED_TOKENS_PATH).

    Their content is nobody's business here: whatever opens files of a cache passes them by.
    """
    env = os.environ if env is None else env
    base = hf_home(env)[0]
    found = [os.path.join(base, "token"), os.path.join(base, "stored_tokens")]
    if env.get("HF_TOKEN_PATH"):
        path = expand(env["HF_TOKEN_PATH"], env)
        found += [path, os.path.join(os.path.dirname(path), "stored_tokens")]
    return found


def identity(path: str) -> tuple[int, int] | None:
    """Device and inode of what `path` leads to; None where there is nothing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def holders(places: Iterable[tuple[str, str]]) -> dict[tuple[int, int], str]:
    """Each of `places`, a path and what is there, and every folder above it, by device and inode: `is` or `holds` what.

    A folder that is one of these is not one cache's own, whatever a variable says.
    """
    found: dict[tuple[int, int], str] = {}
    for path, what in places:
        here, verb = os.path.realpath(path), "is"
        while key := identity(here):
            found.setdefault(key, f"{verb} {what}")
            here, below, verb = os.path.dirname(here), here, "holds"
            if here == below:
                break
    return found


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid_{os.getuid()}"
    return re.sub(r'[\\/:*?"<>|]', "_", name)


def _tempdir(env: Mapping[str, str]) -> tuple[str, str | None]:
    """tempfile's answer for `env`: the first of TMPDIR, TEMP, TMP that is a folder, else the system's."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        if env.get(name) and os.path.isdir(env[name]):
            return env[name], name
    return (tempfile.gettempdir(), None) if env is os.environ else ("/tmp", None)


def kernel_roots(env: Mapping[str, str] | None = None) -> list[Location]:
    """Every kernel cache of the user, in the order they are shown, whether it exists or not."""
    env = os.environ if env is None else env
    known = [
        _triton(env),
        *_inductor(env),
        _nvrtc(env),
        _driver(env),
        _extensions(env),
        _flashinfer(env),
        _below_cache(env, "vllm", "VLLM_CACHE_ROOT"),
    ]
    known += [_below_cache(env, "vllm", "VLLM_CACHE_ROOT"), _hf_kernels(env), *_others(env)]
    for kind, plugin in plugins().items():
        try:
            known += [one for one in plugin.locate(env) if isinstance(one, Location) and one.kind == kind]
        except Exception as error:
            log.warning("the cache format %s cannot say where its caches are: %s", kind, error)
    return known


class Plugin(Protocol):
    """What an entry point of the group `cachetop.formats` names: a `kernelcache.formats.Format` that can be made
    without arguments, and says where its caches are."""

    def __call__(self) -> Any:
        """A format for one cache."""
        ...

    def locate(self, env: Mapping[str, str]) -> Iterable[Location]:
        """The roots of its caches, whether they exist or not."""
        ...


@lru_cache(maxsize=1)
def plugins() -> dict[str, Plugin]:
    """The cache formats that other installed packages add, by kind: the name of their entry point."""
    from importlib.metadata import entry_points

    found: dict[str, Plugin] = {}
    for point in entry_points(group="cachetop.formats"):
        try:
            found.setdefault(point.name, point.load())
        except Exception as error:
            log.warning("the cache format %s cannot be loaded: %s", point.name, error)
    return found


def _below_home(env: Mapping[str, str], kind: str, variable: str, *parts: str) -> Location:
    """A cache whose variable names the folder itself."""
    if env.get(variable):
        return Location(kind, expand(env[variable], env), f"{variable} is set", variable)
    return Location(kind, os.path.join(home(env), *parts), "default: no variable set")


def _flashinfer(env: Mapping[str, str]) -> Location:
    name = "FLASHINFER_WORKSPACE_BASE"
    base = env.get(name)
    path = os.path.join(base or home(env), ".cache", "flashinfer")
    return Location(
        "flashinfer", path, f"{name} is set" if base else "default: no variable set", name if base else None
    )


def _below_cache(env: Mapping[str, str], kind: str, variable: str) -> Location:
    """A cache whose variable names the folder itself, else one of its kind's name in the user's cache folder."""
    if env.get(variable) or not env.get("XDG_CACHE_HOME"):
        return _below_home(env, kind, variable, ".cache", kind)
    return Location(kind, os.path.join(env["XDG_CACHE_HOME"], kind), "XDG_CACHE_HOME is set", "XDG_CACHE_HOME")


def _hf_kernels(env: Mapping[str, str]) -> Location:
    """Compiled kernels from the Hub: KERNELS_CACHE, else the hub cache itself."""
    for name in ("KERNELS_CACHE", "HF_KERNELS_CACHE"):
        if env.get(name):
            return Location("hf-kernels", env[name], f"{name} is set", name)
    place = hub(env)
    return Location("hf-kernels", place.path, f"in the hub cache ({place.reason})", place.variable)


def _others(env: Mapping[str, str]) -> list[Location]:
    """The caches of other programs. JAX and Helion keep none unless a variable names it."""
    found = [
        _below_home(env, "cupy", "CUPY_CACHE_DIR", ".cupy", "kernel_cache"),
        _below_home(env, "numba", "NUMBA_CACHE_DIR", ".cache", "numba"),
        _below_cache(env, "warp", "WARP_CACHE_PATH"),
        _below_home(env, "deep-gemm", "DG_JIT_CACHE_DIR", ".deep_gemm"),
        _below_home(env, "tilelang", "TILELANG_CACHE_DIR", ".tilelang", "cache"),
    ]
    for kind, variable in (
        ("jax", "JAX_COMPILATION_CACHE_DIR"),
        ("cute-dsl", "CUTE_DSL_CACHE_DIR"),
        ("helion", "HELION_CACHE_DIR"),
    ):
        if env.get(variable):
            found.append(Location(kind, expand(env[variable], env), f"{variable} is set", variable))
    temp, variable_of_temp = _tempdir(env)
    path = os.path.join(temp, "torch_tensorrt_engine_cache")
    found.append(Location("tensorrt", path, "default: no variable set", variable_of_temp))
    return found


def _triton(env: Mapping[str, str]) -> Location:
    if env.get("TRITON_CACHE_DIR"):
        return Location("triton", env["TRITON_CACHE_DIR"], "TRITON_CACHE_DIR is set", "TRITON_CACHE_DIR")
    if env.get("TRITON_HOME"):
        return Location(
            "triton",
            os.path.join(env["TRITON_HOME"], ".triton", "cache"),
            "TRITON_HOME is set",
            "TRITON_HOME",
        )
    return Location("triton", os.path.join(home(env), ".triton", "cache"), "default: no variable set")


def _inductor(env: Mapping[str, str]) -> list[Location]:
    """The set place and the default one: precompiled headers go to the default whatever is set."""
    temp, variable = _tempdir(env)
    default = os.path.join(temp, f"torchinductor_{_user()}")
    said = f"default below {variable}" if variable else "default: no variable set"
    found = []
    chosen = env.get("TORCHINDUCTOR_CACHE_DIR")
    if chosen:
        found.append(Location("inductor", chosen, "TORCHINDUCTOR_CACHE_DIR is set", "TORCHINDUCTOR_CACHE_DIR"))
        said = "torch's default place, still used for precompiled headers"
    if not chosen or os.path.abspath(chosen) != os.path.abspath(default):
        found.append(Location("inductor", default, said, None if chosen else variable))
    return found


def _nvrtc(env: Mapping[str, str]) -> Location:
    if env.get("PYTORCH_KERNEL_CACHE_PATH"):
        name = "PYTORCH_KERNEL_CACHE_PATH"
        return Location("nvrtc", env[name], f"{name} is set", name)
    if env.get("XDG_CACHE_HOME"):
        return Location(
            "nvrtc",
            os.path.join(env["XDG_CACHE_HOME"], "torch", "kernels"),
            "XDG_CACHE_HOME is set",
            "XDG_CACHE_HOME",
        )
    return Location("nvrtc", os.path.join(home(env), ".cache", "torch", "kernels"), "default: no variable set")


def _driver(env: Mapping[str, str]) -> Location:
    if env.get("CUDA_CACHE_PATH"):
        return Location("cuda-driver", env["CUDA_CACHE_PATH"], "CUDA_CACHE_PATH is set", "CUDA_CACHE_PATH")
    return Location("cuda-driver", os.path.join(home(env), ".nv", "ComputeCache"), "default: no variable set")


def _extensions(env: Mapping[str, str]) -> Location:
    if env.get("TORCH_EXTENSIONS_DIR"):
        name = "TORCH_EXTENSIONS_DIR"
        return Location("torch-extensions", env[name], f"{name} is set", name)
    if env.get("XDG_CACHE_HOME"):
        path = os.path.join(env["XDG_CACHE_HOME"], "torch_extensions")
        return Location("torch-extensions", path, "XDG_CACHE_HOME is set", "XDG_CACHE_HOME")
    return Location(
        "torch-extensions", os.path.join(home(env), ".cache", "torch_extensions"), "default: no variable set"
    )


def state_dir(env: Mapping[str, str] | None = None) -> Path:
    """cachetop's own state: CACHETOP_STATE_DIR, else platformdirs' state folder. Not created."""
    env = os.environ if env is None else env
    if env.get("CACHETOP_STATE_DIR"):
        return Path(env["CACHETOP_STATE_DIR"]).absolute()
    import platformdirs

    return Path(platformdirs.user_state_dir("cachetop", appauthor=False))


def config_file(env: Mapping[str, str] | None = None) -> Path:
    """cachetop's own configuration: CACHETOP_CONFIG, else config.toml in platformdirs' config folder."""
    env = os.environ if env is None else env
    if env.get("CACHETOP_CONFIG"):
        return Path(env["CACHETOP_CONFIG"]).absolute()
    import platformdirs

    return Path(platformdirs.user_config_dir("cachetop", appauthor=False)) / "config.toml"


def runtime_dir(env: Mapping[str, str] | None = None) -> Path:
    """Where the sockets live: `$XDG_RUNTIME_DIR/cachetop`, else `/tmp/cachetop-<uid>`. Not created."""
    env = os.environ if env is None else env
    base = env.get("XDG_RUNTIME_DIR")
    return Path(base) / "cachetop" if base else Path(f"/tmp/cachetop-{os.getuid()}")
