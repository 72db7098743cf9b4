"""A crash report: a private file with the traceback, without the values of variables and without secrets."""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from pathlib import Path

from cachetop import __version__, locations
from cachetop.base.hostile import mask


def write(error: BaseException) -> Path | None:
    """Write a report of `error` below the state folder; None where that cannot be written."""
    lines = [
        f"cachetop {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"TERM={os.environ.get('TERM', '')}, {time.strftime('%Y-%m-%d %H:%M:%S %z')}",
        "",
        *traceback.format_exception(error),
    ]
    folder = locations.state_dir() / "crashes"
    path = folder / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(mask("\n".join(lines)))
    except OSError:
        return None
    return path


def sentence(error: BaseException, path: Path | None) -> str:
    """What the person is told."""
    what = f"cachetop crashed: {type(error).__name__}. Conversions go on."
    if path is None:
        return f"{what} No report could be written.\n{''.join(traceback.format_exception(error))}"
    return f"{what} The report is in {path}"


def last_words(error: BaseException) -> None:
    """Say on stderr what happened, with a report. For what goes wrong before or after the app."""
    print(sentence(error, write(error)), file=sys.stderr)  # noqa: T201
