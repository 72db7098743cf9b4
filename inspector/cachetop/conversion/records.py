"""Jobs, workers and runs, as frozen records (`cachetop.jobs/1`); what is concluded from a run is in `verdicts`.

A job is a folder; its events are `events.jsonl` in it. `Run` is those events folded into one picture that
grows while the job runs and that the app, `jobs show` and the notebook all draw. Times are epoch seconds,
durations seconds, sizes bytes, pages count from 1.
"""

from __future__ import annotations

from cachetop.base.record import Record
from cachetop.conversion.waits import Stall, Step, Waiting

JOBS_SCHEMA = "cachetop.jobs/1"
STATES = ("queued", "running", "done", "failed", "cancelled", "lost")
PHASES = ("import", "load", "compile", "convert", "export")
PIPELINES = ("auto", "standard", "vlm", "native", "offline")
STARTS = ("cold", "disk-warm", "resident")


class Job(Record, frozen=True):
    """One conversion job, as listed."""

    id: str
    state: str
    files: tuple[str, ...]
    pipeline: str
    device: str
    started: float
    seconds: float | None
    folder: str
    pid: int | None = None
    status: str | None = None
    """success, partial, failed or cancelled once it has finished; a partial job is in the state `failed`."""


class HeldModel(Record, frozen=True):
    """A model in a resident worker, and what loading it cost."""

    model: str
    bytes: int | None
    seconds: float | None
    vram: int | None


class Worker(Record, frozen=True):
    """A resident worker: a process that keeps its pipeline built between jobs."""

    id: str
    pid: int
    python: str
    device: str
    models: tuple[str, ...]
    idle_seconds: float | None
    """0 while it is busy; None where it does not answer."""
    memory: int | None
    """Bytes of the worker's own memory (RSS), not VRAM."""
    pipeline: str = ""
    busy: bool = False
    job: str | None = None
    """The id of the job it works on now."""
    held: tuple[HeldModel, ...] = ()


class Jobs(Record, frozen=True):
    """All jobs, newest first, and the resident workers."""

    schema: str = JOBS_SCHEMA
    jobs: tuple[Job, ...] = ()
    workers: tuple[Worker, ...] = ()


class Phase(Record, frozen=True):
    """One phase of a run: its stretches of time as (start, end or None while open) pairs."""

    name: str
    spans: tuple[tuple[float, float | None], ...] = ()
    seconds: float | None = None
    """From `phase-finished`, summed; None while nothing of it has finished."""

    @property
    def open(self) -> bool:
        """Whether the phase is running now."""
        return bool(self.spans) and self.spans[-1][1] is None


class Load(Record, frozen=True):
    """One model load: reading (disk to RAM), moving (RAM to VRAM) and the whole."""

    repo: str | None
    path: str | None
    revision: str | None
    bytes: int
    resident_before: int | None
    started: float
    read_seconds: float | None = None
    read_bytes: int | None = None
    moved_seconds: float | None = None
    moved_bytes: int | None = None
    seconds: float | None = None
    parameters: int | None = None
    device: str | None = None
    vram: int | None = None
    files: int | None = None


class KernelSeen(Record, frozen=True):
    """One kernel that was compiled or taken from a cache during the run."""

    cache: str
    key: str | None
    name: str | None
    sm: str | None
    milliseconds: float | None
    hit: bool
    time: float
    bytes: int | None = None
    """Of its files in the cache."""
    files: int | None = None


class Stage(Record, frozen=True):
    """One stage of one page: layout, ocr, table, ... `end` in epoch seconds."""

    stage: str
    page: int | None
    end: float
    seconds: float
    """Its share of the call: a call takes a batch of pages."""
    batch: int = 1


class Tokens(Record, frozen=True):
    """What a vision-language model wrote for one batch of pages, so far or in the end."""

    pages: tuple[int, ...]
    tokens: int
    prompt: int | None
    """Tokens of the question, the page image among them."""
    first: float | None
    """Seconds until the first token: the image and the prompt are read in that time."""
    seconds: float
    """From the first token to the latest."""
    done: bool
    time: float

    @property
    def rate(self) -> float | None:
        """Tokens a second for each page while they are written; None before the second token."""
        return (self.tokens - 1) / self.seconds if self.tokens > 1 and self.seconds > 0 else None


class Document(Record, frozen=True):
    """One input file of a run: how far it is, and its outputs once written."""

    file: str
    status: str | None = None
    pages: int | None = None
    pages_done: int = 0
    outputs: tuple[str, ...] = ()
    seconds: float | None = None


class Notice(Record, frozen=True):
    """A warning or an error of a run, with what to do about it."""

    level: str
    message: str
    hint: str | None
    time: float


class Download(Record, frozen=True):
    """A file being fetched by the run."""

    repo: str
    file: str
    bytes: int
    total: int | None
    since: tuple[float, int] | None = None
    """When it was first told of (epoch seconds), and how much there was then."""
    time: float = 0.0
    """When it was last told of."""

    @property
    def rate(self) -> float | None:
        """Bytes a second since it was first told of; None before the second time."""
        if self.since is None or self.time - self.since[0] < 0.1 or self.bytes <= self.since[1]:
            return None
        return (self.bytes - self.since[1]) / (self.time - self.since[0])


class Allocated(Record, frozen=True):
    """What the worker's torch allocator had on one GPU when it last told; sizes in bytes."""

    gpu: int
    """torch's index, which CUDA_VISIBLE_DEVICES may have moved."""
    time: float
    allocated: int
    """In tensors."""
    reserved: int
    """Taken from the driver: the tensors and what is kept for the next ones."""
    uuid: str | None = None
    process: int | None = None
    """What the process held by the driver's account: `reserved`, its context and other libraries."""
    peak: int | None = None
    """The most that was in tensors at one moment, so far."""


class VramUse(Record, frozen=True):
    """What a run held on one GPU, in bytes; None where it was not measured."""

    gpu: int
    before: int
    """Used on the whole GPU when the run first looked."""
    peak: int
    """The most that was used on the whole GPU."""
    phases: dict[str, int]
    """Phase -> the most that was used on the whole GPU while it went on."""
    weights: dict[str, int]
    """Model -> what loading it added."""
    activations: int | None
    """The most that was in tensors at one moment, less the weights: activations, a language model's context cache."""
    kept: int | None
    """What torch's allocator kept in the end for the next tensors."""
    context: int | None
    """What the process held besides torch's memory: the CUDA context, its kernels, other libraries' workspaces."""


class TakenGpu(Record, frozen=True):
    """The GPU a job was given, NVML's index, and how long it waited for it (seconds)."""

    index: int
    uuid: str | None
    name: str | None
    waited: float
    message: str | None


class Check(Record, frozen=True):
    """One thing that was looked at to choose the device, with its sentence."""

    check: str
    ok: bool
    message: str


class Run(Record, frozen=True):
    """A job's events folded into one picture; grows while the job runs."""

    job: Job
    start: str | None = None
    start_reason: str | None = None
    status: str | None = None
    """success, partial, failed or cancelled once it has finished."""
    python: str | None = None
    versions: dict[str, str] = {}
    phases: tuple[Phase, ...] = ()
    progress: dict[str, tuple[int, int | None, str]] = {}
    """Phase -> (done, total, unit) of its latest `progress` event."""
    documents: tuple[Document, ...] = ()
    loads: tuple[Load, ...] = ()
    kernels: tuple[KernelSeen, ...] = ()
    downloads: tuple[Download, ...] = ()
    stages: tuple[Stage, ...] = ()
    pages: tuple[tuple[int, float, bool], ...] = ()
    """Finished pages as (page, time, success), in the order they came."""
    tokens: tuple[Tokens, ...] = ()
    """One for each batch of pages that a vision-language model wrote."""
    waiting: Waiting | None = None
    """The call that was last seen to keep others waiting; None once a stage or a page has finished since."""
    dropped: int | None = None
    """Bytes of weights that were dropped from RAM on purpose before the run, which measures a cold start."""
    vram: tuple[tuple[float, int, int], ...] = ()
    """(time, gpu, used) samples."""
    phase_vram: tuple[tuple[int, str, int], ...] = ()
    """(gpu, phase, the most that was used while it went on)."""
    allocators: tuple[Allocated, ...] = ()
    """The newest of each GPU, by torch's index."""
    hooks_inactive: tuple[tuple[str, str], ...] = ()
    notices: tuple[Notice, ...] = ()
    compile_note: str | None = None
    """Why nothing was compiled, derived from what was watched; None while unknown."""
    finished: float | None = None
    device: str | None = None
    """The device that was chosen; None until the worker has told."""
    checks: tuple[Check, ...] = ()
    gpu: TakenGpu | None = None
    """The GPU it was given; None on a CPU, and where torch alone chose."""
    queued: str | None = None
    """Who had the GPUs while it waited for one, in words."""
    pipeline: str | None = None
    """The pipeline that was chosen, and why; None until the worker has told."""
    pipeline_reason: str | None = None
    reason: str | None = None
    """Why it did not succeed, in one word: no-gpu, worker-died, ..."""
    heard: float | None = None
    """When its newest event came; samples of VRAM, which come by themselves, do not count."""
    step: Step | None = None
    stalled: Stall | None = None
    """What it is stuck at, as whoever reads the events sees it now."""
