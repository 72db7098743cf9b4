"""Which variable or default decides which folder, and what lies under it: file system, space, permissions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from cachetop import locations
from cachetop.base import units
from cachetop.base.hostile import show
from cachetop.base.mounts import IN_MEMORY, Mount, changed_elsewhere, mount_of, mounts
from cachetop.base.record import why
from cachetop.config import ConfigError, load
from cachetop.doctor.records import Area, Finding
from cachetop.hub.roots import roots

_AREA = Area("places")
_SCARCE = 0.10
_SOCKET_ROOM = 107 - len("/worker-0123456789abcdef.sock")  # sun_path holds 107 bytes


def findings(env: Mapping[str, str]) -> Iterator[Finding]:
    """Each cache root, the file systems they lie on, then cachetop's own folders."""
    hubs, kernels, table = roots(env=env), locations.kernel_roots(env), mounts()
    for place in hubs:
        yield _root(place)
    yield _agreement(env, hubs[0])
    yield _token(env)
    for place in kernels:
        yield _root(place)
    for path in _one_per_file_system([*hubs, *kernels]):
        yield from file_system(path, mount_of(path, table))
    yield from _own(env)


def _root(place: locations.Location) -> Finding:
    subject, value = f"{place.kind} cache", show(place.path) or "(empty)"
    if not os.path.isabs(place.path):
        reason = f"{place.reason}, to a relative path: each working folder has its own cache"
        fix = f"set {place.variable} to an absolute path, or unset it" if place.variable else None
        return _AREA.warning(subject, value, reason, fix)
    try:
        with os.scandir(place.path):
            return _AREA.ok(subject, value, place.reason)
    except FileNotFoundError:
        return _AREA.note(subject, value, f"{place.reason}; not there yet")
    except OSError as error:
        fix = f"make it readable for you, or let {place.variable or 'its variable'} name another folder"
        return _AREA.error(subject, value, f"{place.reason}; it cannot be read: {why(error)}", fix)


def _agreement(env: Mapping[str, str], hub: locations.Location) -> Finding:
    """Whether the installed huggingface_hub looks where we do. It computes its constants once, from os.environ."""
    subject = "huggingface_hub's cache"
    try:
        from huggingface_hub import constants
    except ImportError as error:
        reason = f"huggingface_hub cannot be imported: {show(str(error))}"
        return _AREA.warning(subject, "?", reason, "pip install huggingface_hub")
    theirs = str(constants.HF_HUB_CACHE)
    if env is not os.environ:
        return _AREA.ok(subject, "?", "not compared: this is not the environment of this process")
    if os.path.abspath(theirs) == os.path.abspath(hub.path):
        return _AREA.ok(subject, show(theirs), "huggingface_hub agrees")
    reason = f"huggingface_hub uses another folder than the one shown here, {show(hub.path)}"
    return _AREA.error(subject, show(theirs), reason, f"set HF_HUB_CACHE={show(theirs)}")


def _token(env: Mapping[str, str]) -> Finding:
    """Whether a login token lies in HF_HOME. Only its presence: it is never opened."""
    folder, reason, _ = locations.hf_home(env)
    top = os.path.join(os.path.realpath(folder), "")
    found = [path for path in locations.token_files(env) if os.path.lexists(path)]
    if any(os.path.realpath(path).startswith(top) or path.startswith(os.path.join(folder, "")) for path in found):
        reason += "; your login token lies here, beside the models: removing the folder removes it too"
        return _AREA.note("HF_HOME", show(folder), reason)
    if found:
        return _AREA.ok("HF_HOME", show(folder), f"{reason}; your login token lies elsewhere (HF_TOKEN_PATH)")
    return _AREA.ok("HF_HOME", show(folder), f"{reason}; holds no login token")


def _one_per_file_system(roots: list[locations.Location]) -> list[str]:
    seen: dict[int, str] = {}
    for place in roots:
        try:
            seen.setdefault(os.stat(place.path).st_dev, place.path)
        except OSError:
            continue
    return list(seen.values())


def file_system(path: str, mount: Mount | None) -> Iterator[Finding]:
    """What the file system of an existing cache folder means for it, and how much room it has."""
    subject = f"disk of {show(path)}"
    if mount is None:
        yield _AREA.note(subject, "?", "the mount table does not say what it lies on")
        return
    value = f"{mount.kind} at {show(mount.point)}"
    if mount.kind in IN_MEMORY:
        reason = "it lies in RAM: it takes memory, and is gone after a restart"
        yield _AREA.warning(subject, value, reason, "let the cache's variable name a folder on a disk")
    elif changed_elsewhere(mount.kind):
        what = "a FUSE file system, maybe of another host" if mount.kind.startswith("fuse") else "a network file system"
        reason = f"{what}: changes by other hosts are found by polling, and locks prove little"
        yield _AREA.warning(subject, value, reason, "keep kernel caches on a local disk")
    elif mount.kind == "overlay":
        reason = "a container's own layer: gone with the container"
        yield _AREA.note(subject, value, reason, "mount a volume there to keep it")
    else:
        yield _AREA.ok(subject, value)
    if "ro" in mount.options:
        yield _AREA.note(subject, "read-only", "nothing can be added to it or removed from it")
    elif "noatime" in mount.options:
        reason = "access times stand still: when an entry was last used is unknown"
        yield _AREA.note(subject, "noatime", reason)
    try:
        room = os.statvfs(path)
    except OSError as error:
        yield _AREA.warning(subject, "?", f"its room cannot be told: {why(error)}", None)
        return
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    value = f"{units.size(free)} free of {units.size(total)}"
    if total and free < _SCARCE * total:
        fix = "`cachetop models --sort size` shows what takes the space"
        yield _AREA.warning(subject, value, "less than 10 % are free", fix)
    else:
        yield _AREA.ok(subject, value)


def _own(env: Mapping[str, str]) -> Iterator[Finding]:
    state, config, runtime = locations.state_dir(env), locations.config_file(env), locations.runtime_dir(env)
    decided = _decided(env, "CACHETOP_STATE_DIR")
    yield _writable("state folder", state, decided, "set CACHETOP_STATE_DIR to a folder that you may write")
    yield _configuration(config, _decided(env, "CACHETOP_CONFIG"))
    decided = _decided(env, "XDG_RUNTIME_DIR")
    if len(os.fsencode(runtime)) > _SOCKET_ROOM:
        reason = f"{decided}; too long for the name of a socket in it"
        yield _AREA.warning("sockets", show(runtime), reason, "set XDG_RUNTIME_DIR to a shorter path")
    else:
        fix = "set XDG_RUNTIME_DIR to a folder of yours with mode 0700"
        yield _writable("sockets", runtime, decided, fix)


def _configuration(path: Path, decided: str) -> Finding:
    if not path.exists():
        return _AREA.ok("configuration", show(path), f"{decided}; not there, which is fine: the defaults hold")
    try:
        load(path)
    except ConfigError as error:
        return _AREA.error("configuration", show(path), show(str(error)), f"mend {show(path)}, or move it away")
    return _AREA.ok("configuration", show(path), decided)


def _decided(env: Mapping[str, str], name: str) -> str:
    return f"{name} is set" if env.get(name) else f"default: {name} is not set"


def _writable(subject: str, folder: Path, reason: str, fix: str) -> Finding:
    """Whether the folder, or the parent it would be made in, may be written, and whether it is ours alone."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return _AREA.error(subject, show(folder), f"{reason}; {show(nearest)} cannot be written", fix)
    if nearest == folder:
        status = folder.stat()
        if status.st_uid != os.geteuid():
            return _AREA.error(subject, show(folder), f"{reason}; it belongs to another user", fix)
        if status.st_mode & 0o022:
            problem = f"{reason}; other users may write in it"
            return _AREA.warning(subject, show(folder), problem, f"chmod 700 {show(folder)}")
    return _AREA.ok(subject, show(folder), reason)
