"""Resident workers: found by sockets that may be stale, hung, or in a folder that cannot be trusted."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cachetop.conversion import workers
from cachetop.conversion.folder import folders
from cachetop.conversion.launch import convert
from cachetop.conversion.workers import Unsafe, fingerprint, live, socket_path, unload

SPEC = {"device": "cpu", "pipeline": "native", "compile": False}


@contextmanager
def listening(path: Path, answer: bytes | None) -> Iterator[None]:
    """A socket that answers every connection with `answer`, or never."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
        server.listen()
        held = []

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                held.append(peer)
                if answer is not None:
                    peer.recv(4096)
                    peer.sendall(answer)
                    peer.close()

        threading.Thread(target=serve, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


def test_the_folder_is_made_private_and_the_path_fits(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = socket_path("abcdef01-0001")
    assert path.parent == world / "run" / "cachetop" and path.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp/" + "x" * 120)
    assert socket_path("abcdef01-0001").parent == Path(f"/tmp/cachetop-{os.getuid()}")
    assert len(os.fsencode(socket_path("abcdef01-0001"))) <= workers.LONGEST_PATH


def test_a_folder_others_can_enter_is_not_used(world: Path, tmp_path: Path) -> None:
    open_to_all = world / "run" / "cachetop"
    open_to_all.mkdir(mode=0o755)
    with pytest.raises(Unsafe, match="not a private folder"):
        socket_path("abcdef01-0001")
    open_to_all.rmdir()
    private = tmp_path / "elsewhere"
    private.mkdir(mode=0o700)
    open_to_all.symlink_to(private)
    with pytest.raises(OSError):
        socket_path("abcdef01-0001")
    with pytest.raises(Unsafe):
        convert("a.pdf", keep_warm=60)
    assert list(folders()) == []  # nothing was started


def test_a_socket_nobody_listens_on_is_removed_and_other_files_are_not() -> None:
    path = socket_path("abcdef01-0001")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
    plain = path.with_name("notes.sock")
    plain.write_text("not a socket")
    assert list(live()) == []
    assert not path.exists() and plain.exists()


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b"[]\n", b'{"models": 7, "idle_seconds": "x", "device": []}\n'])
def test_an_answer_that_makes_no_sense_is_unknown_not_an_error(answer: bytes) -> None:
    path = socket_path("abcdef01-0001")
    with listening(path, answer):
        (worker,) = (one.record() for one in live())
        assert (worker.id, worker.pid, worker.python, worker.device) == ("abcdef01-0001", os.getpid(), "?", "?")
        assert worker.models == () and worker.idle_seconds is None


def test_an_answer_is_listed_safely() -> None:
    told = {
        "ok": True,
        "python": "/bin/python",
        "device": "cpu",
        "models": ["org/m\x1b[31m"],
        "idle_seconds": 3,
        "busy": True,
    }
    with listening(socket_path("abcdef01-0001"), json.dumps(told).encode() + b"\n"):
        (worker,) = (one.record() for one in live())
    assert worker.busy and worker.idle_seconds == 3.0 and "\x1b" not in worker.models[0]


def test_a_busy_worker_is_idle_for_no_second_and_a_silent_one_for_nobody_knows_how_many() -> None:
    told = b'{"busy": true, "idle_seconds": null}\n'
    with listening(socket_path("abcdef01-0001"), told), listening(socket_path("abcdef01-0002"), b""):
        assert [one.record().idle_seconds for one in live()] == [0.0, None]


def test_a_worker_that_does_not_answer_is_still_unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 0.3)
    path = socket_path("abcdef01-0001")
    deaf = (
        "import signal, socket, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", deaf, str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        assert unload("abcdef01", patience=0.2) == ("abcdef01-0001",)
        assert process.wait(10) == -9 and time.monotonic() - began < 10
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_unloading_nobody() -> None:
    assert unload() == ()
    with pytest.raises(LookupError, match="there are: none"):
        unload("abcdef01")


def test_only_jobs_that_agree_share_a_worker() -> None:
    env = {"HF_HOME": "/hf", "COLUMNS": "80"}
    one = fingerprint("/bin/python", SPEC, env)
    assert fingerprint("/bin/python", SPEC, {"COLUMNS": "200", "HF_HOME": "/hf"}) == one
    others = [
        fingerprint("/opt/python", SPEC, env),
        fingerprint("/bin/python", {**SPEC, "device": "cuda"}, env),
        fingerprint("/bin/python", {**SPEC, "pipeline": "vlm"}, env),
        fingerprint("/bin/python", SPEC, {**env, "HF_HOME": "/other"}),
        fingerprint("/bin/python", SPEC, {**env, "CUDA_VISIBLE_DEVICES": "1"}),
    ]
    assert len({one, *others}) == 6
