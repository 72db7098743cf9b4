"""The socket of a worker: one JSON line asks, one JSON line answers."""

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

_LIMIT = 64 << 10
_PATIENCE = 5.0
_LAST_ANSWERS = 1.0

Answer = dict[str, Any]


class Server:
    """Listens on a Unix stream socket (0600); only processes of the same user are answered."""

    def __init__(self, path: str, answer: Callable[[dict[str, Any]], Answer]) -> None:
        self._path = path
        self._answer = answer
        self._socket = _bind(path)
        self._inode = os.stat(path).st_ino
        self._peers: set[threading.Thread] = set()
        threading.Thread(target=self._run, name="socket", daemon=True).start()

    def close(self) -> None:
        """Remove the socket, if it is still this worker's, and let those who asked have their answers."""
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        deadline = time.monotonic() + _LAST_ANSWERS
        for peer in self._peers.copy():
            peer.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(peer,), name="peer", daemon=True)
            thread.start()
            self._peers = {known for known in (*self._peers, thread) if known.is_alive()}

    def _serve(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            peer.settimeout(_PATIENCE)
            if _user(peer) != os.geteuid():
                return
            data = b""
            while b"\n" not in data and len(data) < _LIMIT:
                more = peer.recv(4096)
                if not more:
                    break
                data += more
            peer.sendall(json.dumps(self._reply(data), default=str).encode() + b"\n")

    def _reply(self, data: bytes) -> Answer:
        try:
            asked = json.loads(data)
        except ValueError:
            return {"ok": False, "reason": "the request is no line of JSON"}
        if not isinstance(asked, dict):
            return {"ok": False, "reason": "the request is no JSON object"}
        try:
            return self._answer(asked)
        except (OSError, ValueError) as error:
            return {"ok": False, "reason": str(error)}


def _bind(path: str) -> socket.socket:
    """Bind and listen; a socket that nobody listens on any more is replaced. Raises OSError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        try:
            made.bind(path)
        except OSError:
            if _alive(path):
                raise
            os.unlink(path)
            made.bind(path)
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(before)
    made.listen(8)
    return made


def _alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
        return True


def _user(peer: socket.socket) -> int:
    """The peer's effective user id, from the kernel."""
    found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", found)[1])
