"""The life of a worker: one job, then, if it is to stay warm, one after the other until nobody asks.

Per job: hold the lock, record, choose pipeline and device, import, load, convert, export; whatever
happens, the last event is `job-finished`. Exit codes: 0 success, 1 failed or partial, 3 the GPU asked for
is missing, 130 cancelled, 2 the folder holds no job or another worker has it.
"""

import contextlib
import os
import queue
import stat
import sys
import threading
import time
import traceback
from typing import Any

from . import choose, cold, device, pipelines, vram
from .complaints import broken, paged, problem
from .control import Cancelled, Control
from .convert import Conversion, refuse
from .held import send_output_to, take_lock
from .hooks import ModelWatch
from .job import Job, load
from .kernels import KernelWatch
from .record import Recorder
from .serve import Server
from .stages import StageWatch
from .turn import Turn

_CODES = {"success": 0, "partial": 1, "failed": 1, "cancelled": 130}


def main(folder: str) -> int:
    """Run the job in `folder`, and those that follow; returns the exit code of the last one."""
    folder = os.path.abspath(folder)
    worker = Worker()
    code = worker.run(folder)
    worker.close()
    sys.stdout.flush()
    sys.stderr.flush()
    # docling's and torch's threads and destructors have nothing left to do, and take their time for it
    os._exit(code)


class Worker:
    """What outlives a job: the hooks, the converter and the socket."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.watches = pipelines.Watches(
            self.recorder, ModelWatch(self.recorder), StageWatch(self.recorder), KernelWatch(self.recorder)
        )
        self.control = Control(self.recorder, self.close)
        self.turn = Turn(self.recorder)
        self.engine: pipelines.Engine | None = None
        self.options: dict[str, Any] = {}
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._server: Server | None = None
        self._accepting = threading.Lock()
        self._closed = False
        self._busy: Job | None = None
        self._waiting: dict[str, tuple[Job, int]] = {}
        """Jobs that wait for their turn, each with its lock, which says that somebody will do it."""
        self._given_up: set[str] = set()
        self._first: Job | None = None
        self._keep_warm = 0.0
        self._lock = -1
        """That of the job at hand."""
        self._idle_since = time.monotonic()
        self._memory = bytearray(1 << 20)
        self._start: str | None = None

    def close(self) -> None:
        """Remove the socket."""
        if self._server is not None:
            self._server.close()

    def run(self, folder: str) -> int:
        """The first job, then the socket's."""
        try:
            job = load(folder)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            return 2
        self._first, self._busy = job, job
        self._keep_warm = job.keep_warm
        self.options = job.options
        self.control.listen(lambda: self._queue.put(None))
        code = 0
        following: Job | None = job
        while following is not None:
            if following.id not in self._given_up:
                code = self._job(following)
            following = self._next()
        return code

    def _next(self) -> Job | None:
        """Wait for a job until the worker has been idle too long; None when it shall end."""
        job = None
        with contextlib.suppress(queue.Empty):
            if not self._closed and not self.control.leaving.is_set():
                job = self._queue.get(timeout=self._keep_warm)
        if job is not None:
            return job
        with self._accepting:
            self._closed = True
        with contextlib.suppress(queue.Empty):
            while job is None:
                job = self._queue.get_nowait()  # one that was accepted at the last moment
        return job

    # what the socket asks

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer one request; runs on the socket's threads."""
        command = asked.get("cmd")
        if command == "status":
            return self._status()
        if command == "convert":
            return self._accept(asked.get("job"), asked.get("queue") is True)
        if command == "cancel":
            busy = self._busy
            if self._give_up(asked.get("job")):
                return {"ok": True}
            if busy is None or asked.get("job") not in (None, busy.id):
                return {"ok": False, "reason": "this worker does not run that job"}
            self.control.cancel()
            return {"ok": True}
        if command == "unload":
            self.control.leaving.set()
            if self._busy is not None:
                self.control.cancel()
            self._queue.put(None)
            return {"ok": True}
        return {"ok": False, "reason": f"unknown command {command!r}"}

    def _status(self) -> dict[str, Any]:
        busy, engine, first = self._busy, self.engine, self._first
        return {
            "ok": True,
            "id": first.worker if first else None,
            "pid": os.getpid(),
            "python": sys.executable,
            "device": engine.device.shown if engine else None,
            "gpu": self.turn.card.uuid if self.turn.card else None,
            "pipeline": engine.pipeline if engine else None,
            "models": list(self.watches.models.held),
            "held": list(self.watches.models.held.values()),
            "idle_seconds": None if busy else round(time.monotonic() - self._idle_since, 3),
            "busy": busy is not None,
            "job": busy.id if busy else None,
            "options": self.options,
        }

    def _give_up(self, name: Any) -> bool:
        """Cancel a job that waits; whether there was one of that name."""
        with self._accepting:
            job, lock = self._waiting.pop(name, (None, -1)) if isinstance(name, str) else (None, -1)
            if job is None:
                return False
            self._given_up.add(job.id)
        recorder = Recorder()
        recorder.open(os.path.join(job.folder, "events.jsonl"), job.id)
        recorder.emit(
            "job-started", files=list(job.files), pipeline=job.pipeline, device=job.device, python=sys.executable,
            versions=choose.versions(), start=None,
        )  # fmt: skip
        recorder.finish("cancelled", None, "the job was cancelled before its turn", None)
        os.close(lock)
        return True

    def _accept(self, folder: Any, queues: bool) -> dict[str, Any]:
        if not isinstance(folder, str) or not os.path.isabs(folder):
            return {"ok": False, "reason": "the job is no absolute path"}
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return {"ok": False, "reason": "the job is no folder of this user"}
        job = load(folder)
        if job.options != self.options:
            return {"ok": False, "reason": "the job has other options than this worker", "options": self.options}
        with self._accepting:
            if self._closed or self.control.leaving.is_set():
                return {"ok": False, "reason": "the worker is ending"}
            if self._busy is not None or self._waiting:
                if not queues:
                    return {"ok": False, "busy": True, "reason": "the worker runs another job"}
                self._waiting[job.id] = job, take_lock(job, "queued")
                self._queue.put(job)
                return {"ok": True, "queued": True}
            self._busy = job
            self._keep_warm = job.keep_warm or self._keep_warm
            self._queue.put(job)
        return {"ok": True}

    # one job

    def _job(self, job: Job) -> int:
        with self._accepting:
            _, held = self._waiting.pop(job.id, (None, -1))
            self._busy = job
        try:
            lock = take_lock(job, "", held)
        except OSError as error:
            print(f"The job {job.id} cannot be locked, another worker may run it: {error}", file=sys.stderr)
            self._release()
            return 2
        self._lock = lock
        try:
            self.control.begin()
            self.recorder.open(os.path.join(job.folder, "events.jsonl"), job.id)
            send_output_to(os.path.join(job.folder, "stderr.log"))
            return self._recorded(job)
        finally:
            os.close(lock)

    def _recorded(self, job: Job) -> int:
        self._start = None
        status, reason, code = "failed", None, None
        models = self.watches.models
        models.forget()
        try:
            status = self._work(job)
        except Cancelled:
            status = "cancelled"
        except device.NoDevice as error:
            self._error(str(error), "Use --device cpu, or auto to take what there is.")
            reason, code = "no-gpu", 3
        except BaseException as error:
            self._memory.clear()  # room to say that there is none
            self._explain(error)
        finally:
            start, why = (self._start, None) if self._start else models.start()
            if start is None and not models.held and status == "failed":
                why = "the job ended before a model file was read"
            try:
                if status in ("success", "partial"):
                    self._note()
                self._mind_budget(job)
            finally:
                self._release()
                self.recorder.finish(status, start, why, reason)
        return _CODES[status] if code is None else code

    def _work(self, job: Job) -> str:
        password = job.password()
        sound = {path: problem(path) for path in job.files}
        needs_models = any(not trouble and paged(path) for path, trouble in sound.items())
        engine = self.engine
        if engine is not None and (engine.ready or not needs_models) and not all(sound.values()):
            self._start = "resident"
        self.recorder.emit(
            "job-started", files=list(job.files), pipeline=job.pipeline, device=job.device, python=sys.executable,
            versions=choose.versions(), start=self._start,
        )  # fmt: skip
        self.watches.kernels.open(job.roots)
        if self._server is None and job.socket:
            self._listen(job.socket)
        if all(sound.values()):
            # nothing here needs docling; a GPU or a device asked for by name is still checked
            _check_device(job)
            return refuse(job, sound, self.recorder)
        if engine is None:
            engine = self._build(job)
        else:
            self._say(engine)
        over = threading.Event()
        self.watches.stages.watch(over)
        sampler = vram.sample(self.recorder, engine.device.gpu) if engine.device.cuda else None
        engine.unlock(password)
        try:
            if needs_models and not engine.ready and engine.formats:
                self._load(engine)
            self.control.check()
            conversion = Conversion(job, engine, self.watches, self.control, password)
            status = conversion.run(sound)
        finally:
            over.set()
            if sampler is not None:
                sampler.set()
        if conversion.exhausted:
            self.engine = None
        return status

    def _listen(self, path: str) -> None:
        try:
            self._server = Server(path, self.answer)
        except OSError as error:
            self._keep_warm = 0
            self.recorder.emit(
                "warning",
                message=f"This worker takes no commands and ends after the job: {path} cannot be listened on: {error}.",
                hint="The job itself goes on; cancel it with a signal.",
            )

    def _build(self, job: Job) -> pipelines.Engine:
        choose.check_docling()
        # a GPU asked for by name and missing is the answer, whatever else is
        _check_device(job)
        picked = choose.pick(job.pipeline, job.docling)
        self.recorder.emit("pipeline", asked=picked.asked, chosen=picked.chosen, reason=picked.reason)
        if job.cold:
            self._cool(picked.chosen, job.docling)
        if picked.chosen != "native":
            self.turn.take(job.gpus, picked.weights, self.control, self._lock)
        card = self.turn.card
        with self.recorder.phase("import"):
            chosen = device.choose(
                job.device, picked.weights, picked.chosen != "native", None if card is None else card.index
            )
            if not chosen.cuda:
                self.turn.leave()
            self.watches.models.gpu = chosen.gpu
            self.control.check()
            engine = pipelines.build(picked, chosen, job, self.watches)
        self._say(engine)
        self.engine = engine
        self.control.check()
        return engine

    def _cool(self, pipeline: str, asked: dict[str, Any]) -> None:
        """Drop the weights from the page cache, and say what could not be dropped."""
        gone, left = cold.drop(cold.files(pipeline, asked))
        self.recorder.emit("dropped", bytes=gone, left=left)
        if left:
            self.recorder.emit(
                "warning",
                message=f"{len(left)} weight file(s) were not dropped from RAM, because they belong to another user "
                f"or cannot be read: {left[0]}",
                hint=None,
            )

    def _say(self, engine: pipelines.Engine) -> None:
        """Every job tells its device and its hooks, a resident worker's too."""
        chosen = engine.device
        self.recorder.emit("device", asked=chosen.asked, chosen=chosen.shown, checks=chosen.checks, sm=chosen.sm)
        models = self.watches.models
        stages = [] if any(entry["name"] == "stages" for entry in engine.inactive) else ["stages"]
        self.recorder.emit(
            "hooks", active=["progress", *stages, *models.active], inactive=[*engine.inactive, *models.inactive]
        )

    def _load(self, engine: pipelines.Engine) -> None:
        from docling.datamodel.base_models import InputFormat

        with self.recorder.phase("load"):
            try:
                engine.converter.initialize_pipeline(InputFormat.PDF)
            except BaseException:
                self.engine = None
                raise
            self.watches.models.settle()
        engine.ready = True

    def _release(self) -> None:
        """Be free before the last event: whoever has read that may hand over the next job."""
        with self._accepting:
            self._idle_since, self._busy = time.monotonic(), None
            self._closed = self._closed or ((self._keep_warm <= 0 or self.engine is None) and not self._waiting)

    def _mind_budget(self, job: Job) -> None:
        """A worker that would wait for the next job with more VRAM than it may have does not wait."""
        held = vram.kept() if job.vram_budget is not None and self._keep_warm > 0 else None
        if held is not None and job.vram_budget is not None and held > job.vram_budget:
            self._keep_warm = 0
            self.recorder.emit(
                "warning",
                message=f"This worker is not kept: it holds {held >> 20} MiB of VRAM, and the budget for resident "
                f"workers is {job.vram_budget >> 20} MiB.",
                hint="Raise convert.vram-budget in config.toml, or --vram-budget, to keep it for the next run.",
            )

    def _note(self) -> None:
        """Say why nothing was compiled, if nothing was."""
        watch, engine = self.watches.kernels, self.engine
        if engine is not None and not watch.seen and "compile" not in self.recorder.totals:
            self.recorder.emit("compile-note", message=watch.roots.note(engine.device))

    def _error(self, message: str, hint: str | None) -> None:
        self.recorder.emit("error", message=message, hint=hint)

    def _explain(self, error: BaseException) -> None:
        """An exception as a sentence; its traceback goes to stderr.log."""
        traceback.print_exception(type(error), error, error.__traceback__)
        self.engine = None
        self._error(*broken(error))


def _check_device(job: Job) -> None:
    """Raise NoDevice for a GPU that is not there, CannotRun for a device nobody knows."""
    try:
        device.quick(job.device)
    except ValueError as error:
        raise choose.CannotRun(str(error)) from None
