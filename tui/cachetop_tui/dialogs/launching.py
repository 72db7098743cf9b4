"""Starting a conversion from the app, and turning what can go wrong into a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from cachetop.api import convert
from cachetop.base.hostile import show
from cachetop.base.record import why
from cachetop.config import ConfigError
from cachetop.conversion.again import cold
from cachetop.conversion.launch import JobHandle
from cachetop.conversion.options import Options

_PLAIN = Options()


@dataclass(frozen=True)
class StartRequest:
    """What a person asked for. `python` None is the interpreter cachetop chooses, `output` None the job's folder."""

    files: tuple[str, ...]
    pipeline: str = "auto"
    device: str = "auto"
    to: tuple[str, ...] = ("md",)
    output: str | None = None
    python: str | None = None
    keep_warm: float = 0.0
    options: Options = _PLAIN


class NotStarted(Exception):
    """The conversion was not started; the message is a sentence for the person, safe to show."""


def restart_cold(job: str) -> JobHandle:
    """Start a job's files anew, cold. Blocks. Raises NotStarted."""
    try:
        return convert(**cold(job))
    except (LookupError, ValueError, ConfigError) as error:
        raise NotStarted(show(str(error))) from error
    except OSError as error:
        raise NotStarted(f"the conversion could not be started: {why(error)}") from error


def start(request: StartRequest) -> JobHandle:
    """Start what was asked for and return at once. Blocks: it reads files and starts a process.

    Raises NotStarted.
    """
    try:
        return convert(
            request.files,
            pipeline=request.pipeline,
            device=request.device,
            to=request.to,
            output=request.output,
            python=request.python,
            keep_warm=request.keep_warm,
            options=request.options,
        )
    except (ValueError, ConfigError) as error:
        raise NotStarted(show(str(error))) from error
    except OSError as error:
        where = f"{show(str(error.filename))}: " if error.filename else ""
        raise NotStarted(f"the conversion could not be started: {where}{why(error)}") from error
