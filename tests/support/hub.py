"""A hub on the loopback that serves the models of a cache folder, as far as `snapshot_download` asks."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit


@contextmanager
def serving(hub: Path, rate: float | None = None, *, gated: bool = False) -> Iterator[str]:
    """The endpoint (HF_ENDPOINT) of a hub that has what the cache folder `hub` has; `rate` in bytes a second.

    `gated`: it tells revisions and lists of files, and refuses every file as long as nobody accepts its terms.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(True)

        def do_HEAD(self) -> None:
            self._answer(False)

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def _answer(self, body: bool) -> None:
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            api = parts[:2] == ["api", "models"]
            if len(parts) < 4:
                self._send(404, b"{}", {}, body)
                return
            org, name, kind, revision, *rest = parts[2:] if api else parts
            repo = hub / f"models--{org}--{name}"
            ref = repo / "refs" / revision
            commit = ref.read_text() if ref.is_file() else revision
            snapshot = repo / "snapshots" / commit
            if not snapshot.is_dir():
                self._send(404, b"{}", {}, body)
            elif api and kind == "tree":
                tree = json.loads((repo / "trees" / f"{commit}.json").read_text())["files"]
                self._json([{"type": "file", "path": path, "size": told["size"], "oid": told["blob_id"], **_lfs(told)}
                            for path, told in tree.items()], body)  # fmt: skip
            elif api:
                self._json({"_id": "1", "id": f"{org}/{name}", "sha": commit, "siblings": [], "tags": []}, body)
            elif gated:
                self._send(403, b"", {"X-Error-Code": "GatedRepo", "X-Repo-Commit": commit}, body)
            elif not (file := snapshot.joinpath(*rest)).exists():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, body)
            else:
                headers = {"ETag": f'"{file.resolve().name}"', "X-Repo-Commit": commit}
                self._send(200, file.read_bytes(), headers, body)

        def _json(self, told: object, body: bool) -> None:
            self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"}, body)

        def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self._write(data)

        def _write(self, data: bytes) -> None:
            step = len(data) if rate is None else 1 << 18
            for at in range(0, len(data), step or 1):
                try:
                    self.wfile.write(data[at : at + step])
                except OSError:
                    return  # the client was killed
                if rate is not None:
                    time.sleep(step / rate)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _lfs(told: dict[str, object]) -> dict[str, object]:
    if "lfs_sha256" not in told:
        return {}
    return {"lfs": {"oid": told["lfs_sha256"], "size": told["lfs_size"], "pointerSize": 130}}
