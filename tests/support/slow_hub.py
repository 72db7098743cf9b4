"""A hub on the loopback that serves one model slowly, so that its download can be met half-way."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

COMMIT = "c" * 40
FILES = {f"part{number}.safetensors": bytes([number]) * 300_000 for number in range(4)}
_CHUNK = 30_000


@contextmanager
def slow_hub(rate: float = 600_000) -> Iterator[str]:
    """The endpoint (HF_ENDPOINT) of a hub with the model `org/slow`: FILES at `rate` bytes a second each."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(True)

        def do_HEAD(self) -> None:
            self._answer(False)

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def _answer(self, body: bool) -> None:
            if "/tree/" in self.path:
                self._json([
                    {"type": "file", "path": name, "size": len(data), "oid": "a" * 40,
                     "lfs": {"oid": etag(data), "size": len(data), "pointerSize": 130}}
                    for name, data in FILES.items()
                ])  # fmt: skip
            elif "/api/" in self.path:
                siblings = [{"rfilename": name} for name in FILES]
                self._json({"_id": "1", "id": "org/slow", "sha": COMMIT, "siblings": siblings, "tags": []})
            else:
                data = FILES[self.path.rpartition("/")[2]]
                self.send_response(200)
                for key, value in {
                    "ETag": f'"{etag(data)}"',
                    "X-Repo-Commit": COMMIT,
                    "Content-Length": len(data),
                }.items():
                    self.send_header(key, str(value))
                self.end_headers()
                for start in range(0, len(data) if body else 0, _CHUNK):
                    try:
                        self.wfile.write(data[start : start + _CHUNK])
                    except OSError:
                        return  # the downloader was killed
                    time.sleep(_CHUNK / rate)

        def _json(self, told: object) -> None:
            data = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
