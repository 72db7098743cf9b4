"""Before a conversion that would have to fetch models: which, how big; fetch them now, or choose another pipeline."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from cachetop.cli.exits import FAILED, Refused
from cachetop.cli.table import say
from cachetop.conversion.options import Options

_ANSWERS = {"": "fetch", "f": "fetch", "n": "native", "o": "offline", "s": "stop"}


def settle(
    files: Iterable[str], pipeline: str, options: Options, python: str | None, fetch: bool | None, asks: bool
) -> str:
    """The pipeline to run, once it is said and settled whether missing models are fetched.

    `fetch` None asks where `asks`, else fetches, as docling would. Raises Refused, NoInterpreter.
    """
    from cachetop.conversion import environment
    from cachetop.conversion.interpreters import choose
    from cachetop.conversion.missing import missing, sized
    from cachetop.conversion.worker.complaints import paged

    if pipeline not in ("auto", "standard", "vlm") or not any(paged(file) for file in files):
        return pipeline
    env = environment.for_worker(os.environ)
    found = missing(pipeline, options, choose(python, env), env)
    if found is None:
        return pipeline
    if fetch is False:
        if pipeline != "auto":
            raise Refused(f"{found.sentence}, and --no-fetch forbids the download. {_other()}", FAILED)
        os.environ["HF_HUB_OFFLINE"] = "1"  # the worker then takes the best that needs no model
        return pipeline
    found = sized(found, env)
    if found.forbidden:
        return pipeline  # the job says it, or does without
    say(f"cachetop: {found.sentence}.")
    for repo in found.repos:
        if repo.reason:
            say(f"          the hub does not tell the size of {repo.id}: {repo.reason}")
    if fetch is None and asks:
        return _ask(pipeline)
    say("          It is fetched first; --no-fetch forbids that.")
    return pipeline


def _ask(pipeline: str) -> str:
    while True:
        print(
            "          Fetch it now [f], use native [n] or offline [o] instead, or stop [s]? ", end="", file=sys.stderr
        )
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise Refused("nothing was answered, so nothing was started", FAILED)
        answer = _ANSWERS.get(line.strip().lower()[:1])
        if answer == "stop":
            raise Refused(f"nothing was started. {_other()}", FAILED)
        if answer is not None:
            return pipeline if answer == "fetch" else answer


def _other() -> str:
    return "--pipeline native needs no model, offline those in Python packages."
