"""Real notebook servers and a headless Chromium, driven by the DevTools protocol: no driver in between."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def jupyter(module: str, folder: Path) -> Iterator[str]:
    """`jupyterlab` or `notebook` on `folder`; yields its address. Its commands can be called from the page."""
    port = free_port()
    words = [
        module, "--no-browser", "--allow-root", "--expose-app-in-browser",
        f"--port={port}", "--ip=127.0.0.1", f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=",
        "--ServerApp.password=", "--LabApp.news_url=None", "--LabApp.check_for_updates_class="
        "jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with _serving(words, folder):
        _wait_for(f"http://127.0.0.1:{port}/api/status", 60)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def marimo(notebook: Path) -> Iterator[str]:
    """A marimo that runs this notebook as an app; yields its address."""
    port = free_port()
    with _serving(["marimo", "run", "--headless", "--no-token", f"--port={port}", notebook.name], notebook.parent):
        _wait_for(f"http://127.0.0.1:{port}/health", 60)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _serving(words: list[str], folder: Path) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            server.terminate()
            server.wait(20)


class Page:
    """One tab of a headless Chromium."""

    def __init__(self, socket_url: str) -> None:
        import websocket

        self._socket: Any = websocket.create_connection(socket_url, timeout=30, suppress_origin=True)
        self._number = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def until(self, script: str, seconds: float = 40) -> Any:
        """The first true value of an expression. Raises AssertionError when none comes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                found = self.evaluate(script)
            except AssertionError:
                found = None  # the page is not that far
            if found:
                return found
            time.sleep(0.2)
        raise AssertionError(f"the page never came to: {script}\n{self.evaluate('document.body.innerText')[:2000]}")

    def picture(self, path: Path) -> None:
        """A screenshot."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._socket.close()


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A headless Chromium with its own profile in `folder`."""
    assert CHROMIUM is not None
    port = free_port()
    words = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        f"--user-data-dir={folder}", f"--remote-debugging-port={port}", "--window-size=1200,900", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = json.loads(_wait_for(f"http://127.0.0.1:{port}/json/list", 60))
        page = Page(next(one["webSocketDebuggerUrl"] for one in told if one["type"] == "page"))
        try:
            yield page
        finally:
            page.close()
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(address: str, seconds: float) -> bytes:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def under_ci() -> bool:
    """Whether a missing browser is a failure."""
    return bool(os.environ.get("CI"))
