"""Starting a conversion: a job folder, then a resident worker that fits, or a new process.

The worker is a session of its own with nothing of this terminal, so that neither Ctrl-C nor a dropped line
reaches it. Whoever started it, or anybody else, follows the job by its folder.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cachetop.base.hostile import clean
from cachetop.base.record import why
from cachetop.conversion import cancel, cards, death, environment, interpreters, workers
from cachetop.conversion.events import Event, Tail
from cachetop.conversion.folder import JobFolder, create, find, tidy
from cachetop.conversion.history import picture
from cachetop.conversion.options import Options, fresh_folders, leave_password
from cachetop.conversion.process import here
from cachetop.conversion.records import PIPELINES, Job, Run

FORMATS = ("md", "json", "html", "text", "doctags")
WORKER = Path(__file__).parent / "worker"
_DEVICE = re.compile(r"(auto|cpu|cuda(:\d{1,3})?)\Z")
_TICK = 0.03
_LOOK = 0.5
"""Seconds without an event after which the lock is looked at."""


class JobHandle:
    """A job to follow: started here or, by `attach`, anywhere."""

    def __init__(self, folder: JobFolder, process: subprocess.Popen[bytes] | None = None) -> None:
        self._job = folder
        self._reaper = None
        if process is not None:
            told = (folder, process, death.oom_kills())
            self._reaper = threading.Thread(target=_reap, args=told, name=f"job {folder.id}", daemon=True)
            self._reaper.start()

    @property
    def id(self) -> str:
        """The job's id."""
        return self._job.id

    @property
    def folder(self) -> Path:
        """The job's folder."""
        return self._job.path

    def job(self) -> Job:
        """The job as it is listed now. Raises ValueError when its `job.json` has become unreadable."""
        job = self._job.job()
        if job is None:
            raise ValueError(f"the job.json of {self.id} cannot be read")
        return job

    def run(self) -> Run:
        """The whole picture as it stands now."""
        return picture(self._job)

    def events(
        self,
        timeout: float | None = None,
        stop: Callable[[], bool] | None = None,
        idle: Callable[[], object] | None = None,
    ) -> Iterator[Event]:
        """Every event from the first on, as they come, up to `job-finished` or until `stop()` is true.

        `idle()` is called twice a second while nothing comes. A job whose worker died gets its `job-finished` from
        here. Raises TimeoutError when `timeout` seconds passed and the job is not finished.
        """
        tail = Tail(self._job.events)
        deadline = None if timeout is None else time.monotonic() + timeout
        looked = time.monotonic()
        while True:
            events = tail.poll()
            for event in events:
                yield event
                if event["event"] == "job-finished":
                    return
            if stop is not None and stop():
                return
            now = time.monotonic()
            if deadline is not None and now > deadline:
                raise TimeoutError(f"job {self.id} is not finished after {timeout:g} s")
            if events:
                looked = now
            elif now - looked > _LOOK:
                looked = now
                if self._dead() and not death.record(self._job):
                    break
                if idle is not None:
                    idle()
            time.sleep(_TICK)
        yield from tail.poll()

    def wait(self, timeout: float | None = None) -> Run:
        """Wait for the end; returns the whole picture. Raises TimeoutError."""
        for _ in self.events(timeout):
            pass
        return self.run()

    def cancel(self) -> Job | None:
        """Stop the job; see `cachetop.conversion.cancel.cancel`."""
        return cancel.cancel(self._job)

    def __repr__(self) -> str:
        return f"<JobHandle {self.id}>"

    def _repr_html_(self) -> str:
        return self.run()._repr_html_()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The run as it stands when it is shown."""
        return self.run()._repr_mimebundle_(include, exclude)

    def _dead(self) -> bool:
        """Whether nobody will write to the job any more. The reaper knows more than a free lock: it goes first."""
        if self._reaper is not None and self._reaper.is_alive():
            return False
        job = self._job.job()
        return job is None or job.state not in ("queued", "running")


def convert(
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    pipeline: str = "auto",
    device: str = "auto",
    to: Iterable[str] = ("md",),
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    python: str | None = None,
    keep_warm: float = 0,
    options: Options | None = None,
    env: Mapping[str, str] | None = None,
    gpus: Callable[[], Sequence[cards.Card]] = tuple,
    vram_budget: int | None = None,
) -> JobHandle:
    """Start converting `files` and return at once.

    `pipeline` is auto, standard, vlm, native or offline; `device` auto, cpu, cuda or cuda:N; `to` some of md,
    json, html, text, doctags. Outputs go to `output`, else into the job's folder; an existing file is not
    overwritten without `force`. `python` is the interpreter that has docling (default: see
    `interpreters.choose`). With `keep_warm` the worker stays that many seconds after its last job, models
    loaded; a worker that fits is used whether asked for or not, and one that is busy takes the job when it is done.
    `gpus` tells which GPUs there are, and is asked only where one may be used: one worker runs on each, so a job
    takes an idle worker that fits, else a GPU without a worker, else that of an idle worker, which is ended, and
    else waits. `vram_budget` is how many bytes of VRAM a worker may hold while it waits for the next job.
    `options` (see `options.make`) are docling's switches, pages, a password, a cold start; a cold run never goes to
    a resident worker and never becomes one. `env` stands in for this process's environment.

    A file that is missing or is no document is an error of the job, not of this call. Raises ValueError with a
    sentence for arguments that make no sense, NoInterpreter among them, and OSError when the state folder
    cannot be written.
    """
    given = environment.for_worker(os.environ if env is None else env)
    asked = options or Options()
    spec = {**_spec(files, pipeline, device, to, output, force, keep_warm), **asked.spec(), "vram_budget": vram_budget}
    chosen = interpreters.choose(python, given)
    if python is not None:
        _remember(chosen.path)
    tidy()
    spec["python"] = chosen.path
    group = workers.fingerprint(chosen.path, spec, given)
    spec["worker"] = f"{group}-{secrets.token_hex(2)}"
    spec["socket"] = str(workers.socket_path(spec["worker"])) if keep_warm and not asked.cold else None
    folder = create(spec)
    if asked.password is not None:
        leave_password(folder.path, asked.password)
    if asked.cold:
        given |= fresh_folders(folder.path / "kernels")
    spec["roots"] = environment.watched_roots(given)
    there = list(workers.live())
    fitting = [] if asked.cold else [one for one in there if one.id.startswith(group + "-") and "busy" in one.answer]
    if _hand_over(folder, spec, [one for one in fitting if one.answer["busy"] is not True]):
        return JobHandle(folder)
    known = cards.usable(gpus(), device, given) if device != "cpu" and pipeline != "native" else []
    choices = cards.ordered(known, there)
    # on CPUs too a busy worker that fits is waited for; another process would only get in its way
    if not (choices and choices[0].free_to_take) and _hand_over(folder, spec, fitting):
        return JobHandle(folder)
    spec["gpus"] = [card.spec() for card in choices]
    folder.rewrite(spec)
    return JobHandle(folder, _spawn(chosen.path, folder, given))


def attach(job: str | None = None) -> JobHandle:
    """Follow a job by its id (or a unique part of it), the newest by default. Raises LookupError."""
    return JobHandle(find(job))


def _spec(
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    pipeline: str,
    device: str,
    to: Iterable[str],
    output: str | os.PathLike[str] | None,
    force: bool,
    keep_warm: float,
) -> dict[str, Any]:
    """`job.json` without what only the launch knows. Raises ValueError."""
    paths = [files] if isinstance(files, str | os.PathLike) else list(files)
    if not paths:
        raise ValueError("there is nothing to convert: name at least one file")
    if pipeline not in PIPELINES:
        raise ValueError(f"{clean(pipeline)!r} is not a pipeline; there are {', '.join(PIPELINES)}")
    if not _DEVICE.match(device):
        raise ValueError(f"{clean(device)!r} is not a device; write auto, cpu, cuda or cuda:0")
    formats = list(dict.fromkeys(to)) or ["md"]
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"{clean(name)!r} is not an output format; there are {', '.join(FORMATS)}")
    if not 0 <= keep_warm < 1e9:
        raise ValueError("keep_warm is a number of seconds, 0 or more")
    if output is not None and os.path.exists(output) and not os.path.isdir(output):
        raise ValueError(f"{clean(output)} is a file; outputs need a folder")
    return {
        "files": [os.path.abspath(os.fspath(path)) for path in paths],
        "pipeline": pipeline,
        "device": device,
        "to": formats,
        "output": None if output is None else os.path.abspath(output),
        "force": force,
        "keep_warm": keep_warm,
        "socket": None,
        "worker": None,
        "host": here(),
    }


def _remember(python: str) -> None:
    try:
        interpreters.remember(Path.cwd(), python)
    except OSError:
        pass  # a convenience; the job itself says what is wrong with the state folder


def _hand_over(folder: JobFolder, spec: dict[str, Any], fitting: Iterable[workers.Live]) -> bool:
    """Give the job to one of these workers, the idle ones first; a busy one queues it. Whether one took it."""
    for one in sorted(fitting, key=lambda one: one.answer["busy"] is True):
        folder.rewrite({**spec, "worker": one.id, "socket": str(one.path)})
        try:
            answer = workers.request(one.path, {"cmd": "convert", "job": str(folder.path), "queue": True})
            if answer.get("ok") is True:
                return True
        except (OSError, ValueError):
            continue
    return False


def _spawn(python: str, folder: JobFolder, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a worker on the job, in a session of its own. Raises NoInterpreter."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    printed = os.open(folder.stderr, flags, 0o600)
    try:
        return subprocess.Popen(
            [python, str(WORKER), str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            cwd=folder.path,
            env=dict(env),
            start_new_session=True,
        )
    except OSError as error:
        death.record(folder)
        raise interpreters.NoInterpreter(f"{clean(python)} cannot be started: {why(error)}") from error
    finally:
        os.close(printed)


def _reap(folder: JobFolder, process: subprocess.Popen[bytes], kills: int | None) -> None:
    """Collect the worker when it ends, so that it leaves no zombie, and say how it ended if it did not."""
    death.record(folder, process.wait(), kills)
