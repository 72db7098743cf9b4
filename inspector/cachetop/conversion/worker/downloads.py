"""See models being fetched: `snapshot_download` with a progress bar that reports instead of drawing."""

import functools
import importlib
import os
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from .record import Recorder

_TICK = 0.2


class NotFetched(Exception):
    """A repo is neither in the cache nor to be had; the message names it, `hint` says what to do."""

    def __init__(self, repo: str, where: str, why: str) -> None:
        super().__init__(f"The model {repo} is not complete in {where} and cannot be downloaded: {why}")
        self.hint = (
            f"Where the hub can be reached, run: hf download {repo}; then copy the cache here. "
            "Or use --pipeline native, which needs no model."
        )


def watch_downloads(recorder: Recorder) -> None:
    """Wrap `huggingface_hub.snapshot_download`, which docling looks up when it calls it. Raises ImportError."""
    import huggingface_hub
    from huggingface_hub import constants

    # only a subclass of the hub's own bar is told which bar it is
    tqdm: Any = importlib.import_module("huggingface_hub.utils").tqdm
    original = huggingface_hub.snapshot_download

    @functools.wraps(original)
    def snapshot_download(repo_id: str, *args: Any, **options: Any) -> Any:
        class Bar(tqdm):  # type: ignore[misc]
            """Counts without drawing; the bar of bytes reports."""

            def __init__(self, *args: Any, **told: Any) -> None:
                # of the two bars of bytes, one counts what is fetched and one what is complete
                self.reports = told.get("unit") == "B" and not str(told.get("name")).endswith(".transfer")
                super().__init__(*args, **{**told, "disable": True})
                self.got, self.last, self.guard = int(told.get("initial") or 0), 0.0, threading.Lock()

            def update(self, n: float | None = 1) -> bool | None:
                if not self.reports:
                    return None
                with self.guard:
                    self.got += int(n or 0)
                    now = time.monotonic()
                    if now - self.last >= _TICK or (self.total and self.got >= self.total):
                        self.last = now
                        recorder.emit(
                            "download", repo=repo_id, file="*", bytes=self.got, total=int(self.total or 0) or None
                        )
                return None

        options.setdefault("tqdm_class", Bar)
        if not constants.HF_HUB_OFFLINE:  # until the first byte comes, or is known not to be needed
            recorder.emit("step", phase="load", what=repo_id)
        try:
            return original(repo_id, *args, **options)
        except Exception as error:
            raise NotFetched(repo_id, constants.HF_HUB_CACHE, _sentence(error)) from error

    huggingface_hub.snapshot_download = snapshot_download


def watch_rapidocr(recorder: Recorder) -> None:
    """Wrap RapidOCR's own download, which comes at the first page with text in an image and asks no hub setting.

    Raises ImportError, AttributeError where RapidOCR has no such function.
    """
    library: Any = importlib.import_module("rapidocr.utils.download_file").DownloadFile
    original = library.run.__func__

    @functools.wraps(original)
    def run(cls: Any, asked: Any) -> Any:
        path, url = str(asked.save_path), str(asked.file_url)
        if os.path.exists(path):
            return original(cls, asked)
        host, name = urlsplit(url).hostname or "its server", os.path.basename(path)
        recorder.emit(
            "warning", message=f"RapidOCR fetches {name} from {host} for the text in images; it heeds no setting of "
            "the hub.", hint=None,
        )  # fmt: skip
        over = threading.Event()
        threading.Thread(target=_grow, args=(recorder, path, name, over), name="ocr-download", daemon=True).start()
        try:
            result = original(cls, asked)
        except Exception as error:
            recorder.emit(
                "warning", message=f"RapidOCR could not fetch {name} from {host}: {_sentence(error)}",
                hint=f"Text in images is not read. Put the file at {path}, take the languages whose models are "
                "installed (no --ocr-lang), or use --no-ocr.",
            )  # fmt: skip
            raise
        finally:
            over.set()
        got = os.path.getsize(path) if os.path.exists(path) else 0
        recorder.emit("download", repo="RapidOCR", file=name, bytes=got, total=got or None)
        return result

    library.run = classmethod(run)


def _grow(recorder: Recorder, path: str, name: str, over: threading.Event) -> None:
    """Tell how much of a file has come, until it is over; its size in the end is not known here."""
    while not over.wait(_TICK):
        if os.path.exists(path):
            recorder.emit("download", repo="RapidOCR", file=name, bytes=os.path.getsize(path), total=None)


def _sentence(error: BaseException) -> str:
    """The first line of an error, ended like a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if text.endswith(".") else text + "."
