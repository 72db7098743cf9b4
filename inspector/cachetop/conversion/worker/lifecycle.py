"""The life of a worker: one job, then, if it is to stay warm, one after the other until nobody asks.

Per job: hold the lock, record, choose pipeline and device, import, load, convert, export; whatever
happens, the last event is `job-finished`. Exit codes: 0 success, 1 failed or partial, 3 the GPU asked for
is missing, 130 cancelled, 2 the folder holds no job or another worker has it.
"""

import os
import sys
import threading
import traceback
from typing import Any

from . import choose, cold, device, pipelines, vram
from .complaints import broken, paged, problem
from .control import Cancelled, Control
from .convert import Conversion, refuse
from .desk import Desk
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
        self.desk = Desk(self.control, self._about)
        self._server: Server | None = None
        self._lock = -1
        """That of the job at hand."""
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
        self.desk.open(job)
        code = 0
        following: Job | None = job
        while following is not None:
            code = self._job(following)
            following = self.desk.next()
        return code

    def _about(self) -> dict[str, Any]:
        engine, models = self.engine, self.watches.models
        return {
            "python": sys.executable,
            "device": engine.device.shown if engine else None,
            "gpu": self.turn.card.uuid if self.turn.card else None,
            "pipeline": engine.pipeline if engine else None,
            "models": list(models.held),
            "held": list(models.held.values()),
        }

    def _job(self, job: Job) -> int:
        held = self.desk.begin(job)
        try:
            lock = take_lock(job, "", held)
        except OSError as error:
            print(f"The job {job.id} cannot be locked, another worker may run it: {error}", file=sys.stderr)
            self.desk.release(self.engine is not None)
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
                self.desk.release(self.engine is not None)
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
            self._server = Server(path, self.desk.answer)
        except OSError as error:
            self.desk.keep_warm = 0
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
                message=f"Of the weight files {len(left)} stayed in RAM, because they belong to another user or cannot "
                f"be read: {left[0]}",
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

    def _mind_budget(self, job: Job) -> None:
        """A worker that would wait for the next job with more VRAM than it may have does not wait."""
        held = vram.kept() if job.vram_budget is not None and self.desk.keep_warm > 0 else None
        if held is not None and job.vram_budget is not None and held > job.vram_budget:
            self.desk.keep_warm = 0
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
