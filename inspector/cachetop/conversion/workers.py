"""Resident workers: found by their sockets, asked one question a connection, unloaded.

A worker that keeps its models listens on a Unix socket in the user's runtime folder (0700). The socket's
name begins with a fingerprint of everything that must agree for a job to run there: interpreter, device,
pipeline, options and the environment that decides where models and kernels lie.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachetop.base.hostile import clean
from cachetop.conversion.process import Held, memory
from cachetop.conversion.records import HeldModel, Worker
from cachetop.conversion.values import count, mapping, number, sequence, text
from cachetop.locations import runtime_dir

LONGEST_PATH = 107
"""Bytes of a Unix socket's path (sun_path, without its final zero)."""
_DECIDES = (
    "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "DOCLING_", "CUDA_", "NVIDIA_", "TRITON_", "TORCH", "PYTORCH_", "OMP_",
    "MKL_", "ORT_", "LD_LIBRARY_PATH", "LD_PRELOAD", "XDG_CACHE_HOME", "HOME", "TMPDIR", "PYTHONPATH",
)  # fmt: skip
_LONGEST_REPLY = 1 << 20
ANSWER_SECONDS = 2.0
"""How long a worker may take to answer a question."""


class Unsafe(OSError):
    """The folder for the sockets cannot be trusted; the message says why."""


@dataclass(frozen=True, slots=True)
class Live:
    """A socket somebody listens on: its path, the listener's process id, and what it answered, if it did."""

    path: Path
    pid: int
    answer: dict[str, Any]

    @property
    def id(self) -> str:
        """The worker's id: the socket's name."""
        return self.path.stem

    def record(self) -> Worker:
        """As listed by `cachetop jobs`."""
        told = self.answer
        busy, idle = told.get("busy") is True, number(told.get("idle_seconds"))
        return Worker(
            id=self.id,
            pid=self.pid,
            python=text(told.get("python")) or "?",
            device=text(told.get("device")) or "?",
            models=tuple(clean(str(name)) for name in sequence(told.get("models"))),
            idle_seconds=0.0 if busy and idle is None else idle,
            memory=memory(self.pid),
            pipeline=text(told.get("pipeline")) or "",
            busy=busy,
            job=text(told.get("job")),
            held=tuple(_held(mapping(one)) for one in sequence(told.get("held"))),
        )


def _held(told: dict[Any, Any]) -> HeldModel:
    return HeldModel(
        model=text(told.get("model")) or "?",
        bytes=count(told.get("bytes")),
        seconds=number(told.get("seconds")),
        vram=count(told.get("vram")),
    )


def fingerprint(python: str, spec: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """Eight hexadecimal digits: equal for jobs that may share one worker."""
    deciding = sorted((name, value) for name, value in env.items() if name.startswith(_DECIDES))
    whole = [python, spec["device"], spec["pipeline"], spec["compile"], spec.get("docling") or {}, deciding]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:8]


def socket_path(worker: str) -> Path:
    """The socket of a new worker; its folder exists afterwards. Raises OSError, Unsafe among them."""
    return private_folder() / f"{worker}.sock"


def private_folder() -> Path:
    """`folder`, which exists afterwards and is the user's own. Raises OSError, Unsafe among them."""
    there = folder()
    there.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check(there)
    return there


def folder() -> Path:
    """The runtime folder, or the short one in /tmp where its path leaves no room for a socket's name."""
    there = runtime_dir()
    room = LONGEST_PATH - len(os.fsencode(there)) - len("/01234567-89ab.sock")
    return there if room >= 0 else Path(f"/tmp/cachetop-{os.getuid()}")


def _check(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise Unsafe(f"{clean(folder)} is not a private folder of this user; remove it, or set XDG_RUNTIME_DIR")


def live() -> Iterator[Live]:
    """Every listening worker of this user. Sockets nobody listens on any more are removed."""
    there = folder()
    try:
        _check(there)
        names = sorted(name for name in os.listdir(there) if name.endswith(".sock"))
    except OSError:
        return
    for name in names:
        found = _ask_status(there / name)
        if found:
            yield found


def _ask_status(path: Path) -> Live | None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return None
        with _connect(path) as (connection, pid):
            try:
                return Live(path, pid, _exchange(connection, {"cmd": "status"}))
            except (OSError, ValueError):
                return Live(path, pid, {})  # it listens but does not answer: busy, stopped or hung
    except ConnectionRefusedError:
        with contextlib.suppress(OSError):
            path.unlink()
    except OSError:
        pass
    return None


def workers() -> tuple[Worker, ...]:
    """The resident workers as they are now."""
    return tuple(one.record() for one in live())


def request(path: Path, command: Mapping[str, Any]) -> dict[str, Any]:
    """Send one command, return the answer. Raises OSError or ValueError when there is none."""
    with _connect(path) as (connection, _):
        return _exchange(connection, command)


@contextlib.contextmanager
def _connect(path: Path) -> Iterator[tuple[socket.socket, int]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(os.fspath(path))
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", packed)
        if uid != os.geteuid():
            raise Unsafe(f"{clean(path)} belongs to another user's process")
        yield connection, pid


def _exchange(connection: socket.socket, command: Mapping[str, Any]) -> dict[str, Any]:
    connection.sendall(json.dumps(command).encode("ascii") + b"\n")
    answer = b""
    while not answer.endswith(b"\n") and len(answer) < _LONGEST_REPLY:
        chunk = connection.recv(1 << 16)
        if not chunk:
            break
        answer += chunk
    return mapping(json.loads(answer))


def unload(worker: str | None = None, patience: float = 5.0) -> tuple[str, ...]:
    """End the resident worker with this id (or a unique beginning of it), or all; returns the ids that went.

    One that does not obey within `patience` seconds gets SIGTERM, then SIGKILL. Raises LookupError with a
    sentence when no worker has that id.
    """
    every = list(live())
    chosen = [one for one in every if worker is None or one.id == worker]
    if worker and not chosen:
        chosen = [one for one in every if one.id.startswith(worker)]
        if len(chosen) != 1:
            there = ", ".join(one.id for one in every) or "none"
            raise LookupError(f"there is no one resident worker {clean(worker)}; there are: {there}")
    return tuple(one.id for one in chosen if end(one, patience))


def end(one: Live, patience: float = 5.0) -> bool:
    """Unload one worker, by signals if it does not obey; whether it is gone."""
    try:
        with Held(one.pid) as process:
            # the number counts only while the process behind it still listens
            with contextlib.suppress(OSError, ValueError):
                request(one.path, {"cmd": "unload"})
            if process.wait(patience):
                return True
            with _connect(one.path) as (_, pid):
                if pid != one.pid:
                    return False
            for step in (signal.SIGTERM, signal.SIGKILL):
                if not process.send(step) or process.wait(patience):
                    return True
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
