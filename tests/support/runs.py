"""Sample runs in every state, built from records, all on one fixed clock."""

from __future__ import annotations

from typing import Any

from cachetop.conversion.records import (
    Document,
    Download,
    Job,
    Jobs,
    KernelSeen,
    Load,
    Notice,
    Phase,
    Run,
    Stage,
    Worker,
)

T0 = 1_795_442_531.0
"""When every sample run started (epoch seconds)."""
LAYOUT = "docling-project/docling-layout-heron"
TABLES = "docling-project/docling-models"
GIB = 2**30
FILE = "/home/ana/annual-report-2025.pdf"


def job(state: str = "running", tail: str = "a3f2", **more: Any) -> Job:
    """One job of the fixed clock."""
    fields: dict[str, Any] = {
        "id": f"20261123-140211-{tail}",
        "state": state,
        "files": (FILE,),
        "pipeline": "standard",
        "device": "cuda:1",
        "started": T0,
        "seconds": None,
        "folder": f"/home/ana/.local/state/cachetop/jobs/20261123-140211-{tail}",
    }
    return Job(**{**fields, **more})


def _stage(name: str, first: float, every: float, seconds: float, count: int) -> list[Stage]:
    return [Stage(stage=name, page=i + 1, end=T0 + first + i * every + seconds, seconds=seconds) for i in range(count)]


def loads(resident: float = 1.0) -> tuple[Load, ...]:
    """The two models of the standard pipeline; `resident` is the share of their bytes that was warm in RAM."""
    return (
        Load(
            repo=LAYOUT, path=None, revision="main", bytes=171_658_996, resident_before=int(171_658_996 * resident),
            started=T0 + 4.9, read_seconds=0.2, read_bytes=171_658_996, moved_seconds=0.35, moved_bytes=171_658_996,
            seconds=0.55, parameters=42_760_000, device="cuda:1", vram=171_658_996,
        ),
        Load(
            repo=TABLES, path=None, revision="v2.3.0", bytes=212_758_388,
            resident_before=int(212_758_388 * resident), started=T0 + 5.5, read_seconds=0.4, read_bytes=212_758_388,
            moved_seconds=0.3, moved_bytes=212_758_388, seconds=0.7, parameters=52_600_000, device="cuda:1",
            vram=212_758_388,
        ),
    )  # fmt: skip


def running() -> Run:
    """Page 17 of 40, 24.6 s after the start, on a GPU, warm on disk."""
    until = 24.6
    pages = tuple((i + 1, T0 + 8.6 + i * 0.97, True) for i in range(17))
    stages = (
        *(s for s in _stage("layout", 6.2, 0.72, 0.60, 24)),
        *(s for s in _stage("ocr", 7.1, 0.78, 0.30, 22)),
        *(s for s in _stage("table", 7.6, 0.97, 0.95, 17)),
    )
    held = ((5.0, 0.60), (5.4, 0.76), (6.1, 0.96), (6.9, 1.30), (8.2, 1.52), (10.4, 1.70), (13.9, 2.14), (until, 2.14))
    return Run(
        job=job(),
        start="disk-warm",
        python="/home/ana/docling/bin/python",
        versions={"python": "3.11.9", "docling": "2.142.1", "torch": "2.14.1"},
        phases=(
            Phase(name="import", spans=((T0, T0 + 4.9),), seconds=4.9),
            Phase(name="load", spans=((T0 + 4.9, T0 + 6.2),), seconds=1.25),
            Phase(name="compile", spans=((T0 + 6.9, T0 + 7.15),), seconds=0.25),
            Phase(name="convert", spans=((T0 + 6.2, None),)),
        ),
        progress={"convert": (17, 40, "pages")},
        documents=(Document(file=FILE, pages=40, pages_done=17),),
        loads=loads(),
        kernels=(
            KernelSeen(
                cache="triton", key="K" * 52, name="softmax_kernel", sm="sm_90", milliseconds=250.0, hit=False,
                time=T0 + 7.15,
            ),
        ),
        stages=tuple(sorted(stages, key=lambda s: s.end)),
        pages=pages,
        vram=tuple((T0 + at, 1, int(gib * GIB)) for at, gib in held),
    )  # fmt: skip


def now_of(run: Run) -> float:
    """The moment to look at a running sample."""
    return T0 + 24.6


def queued() -> Run:
    """Nothing but the job."""
    return Run(job=job("queued", device="auto", pipeline="auto"))


def importing() -> Run:
    """1.4 s into the imports."""
    return Run(job=job(), phases=(Phase(name="import", spans=((T0, None),)),))


def loading() -> Run:
    """The first model is being read, 312 of 770 tensors in."""
    first = Load(
        repo=LAYOUT, path=None, revision="main", bytes=171_658_996, resident_before=42_000_000, started=T0 + 5.0
    )
    return Run(
        job=job(),
        start="cold",
        versions={"docling": "2.142.1", "torch": "2.14.1"},
        phases=(
            Phase(name="import", spans=((T0, T0 + 4.9),), seconds=4.9),
            Phase(name="load", spans=((T0 + 4.9, None),)),
        ),
        progress={"load": (312, 770, "tensors")},
        loads=(first,),
    )


def downloading() -> Run:
    """A model that is not in the cache yet is being fetched."""
    return Run(
        job=job(),
        phases=(
            Phase(name="import", spans=((T0, T0 + 4.9),), seconds=4.9),
            Phase(name="load", spans=((T0 + 4.9, None),)),
        ),
        downloads=(Download(repo=LAYOUT, file="model.safetensors", bytes=44_600_000, total=171_658_996),),
    )


def done(state: str = "done", status: str = "success") -> Run:
    """All 40 pages, 48.9 s, with its output written."""
    half = running()
    pages = tuple((i + 1, T0 + 8.6 + i * 0.97, True) for i in range(40))
    stages = (*_stage("layout", 6.2, 0.72, 0.60, 40), *_stage("ocr", 7.1, 0.78, 0.30, 40),
              *_stage("table", 7.6, 0.97, 0.95, 40))  # fmt: skip
    end = pages[-1][1]
    return Run(
        job=job(state, seconds=end + 0.3 - T0),
        start="disk-warm",
        status=status,
        python=half.python,
        versions=half.versions,
        phases=(
            *half.phases[:3],
            Phase(name="convert", spans=((T0 + 6.2, end),), seconds=end - T0 - 6.2),
            Phase(name="export", spans=((end, end + 0.3),), seconds=0.3),
        ),
        progress={"convert": (40, 40, "pages")},
        documents=(
            Document(
                file=FILE, status=status, pages=40, pages_done=40, seconds=40.2,
                outputs=("/home/ana/out/annual-report-2025.md",),
            ),
        ),
        loads=half.loads,
        kernels=half.kernels,
        stages=tuple(sorted(stages, key=lambda s: s.end)),
        pages=pages,
        vram=half.vram,
        finished=end + 0.3,
    )  # fmt: skip


def native() -> Run:
    """A short CPU run without models: 12 pages in 1.9 s."""
    pages = tuple((i + 1, T0 + 1.5 + i * 0.03, True) for i in range(12))
    return Run(
        job=job("done", "beef", pipeline="native", device="cpu", seconds=1.9),
        start_reason="the native pipeline loads no models",
        status="success",
        versions={"docling": "2.142.1"},
        phases=(
            Phase(name="import", spans=((T0, T0 + 1.35),), seconds=1.35),
            Phase(name="convert", spans=((T0 + 1.4, T0 + 1.84),), seconds=0.44),
            Phase(name="export", spans=((T0 + 1.84, T0 + 1.9),), seconds=0.06),
        ),
        progress={"convert": (12, 12, "pages")},
        documents=(Document(file=FILE, status="success", pages=12, pages_done=12, outputs=("/home/ana/out/a.md",)),),
        pages=pages,
        compile_note="CPU run: no GPU kernels",
        finished=T0 + 1.9,
    )


def resident() -> Run:
    """A second run in the same process: no import and no load."""
    pages = tuple((i + 1, T0 + 1.2 + i * 0.62, True) for i in range(40))
    end = pages[-1][1]
    return Run(
        job=job("done", "c0de", seconds=end + 0.2 - T0),
        start="resident",
        status="success",
        versions={"docling": "2.142.1", "torch": "2.14.1"},
        phases=(
            Phase(name="convert", spans=((T0 + 0.02, end),), seconds=end - T0 - 0.02),
            Phase(name="export", spans=((end, end + 0.2),), seconds=0.2),
        ),
        documents=(Document(file=FILE, status="success", pages=40, pages_done=40, outputs=("/home/ana/out/b.md",)),),
        pages=pages,
        compile_note="nothing was written to any kernel cache; torch ships kernels for sm_90",
        finished=end + 0.2,
    )


def failed() -> Run:
    """The model could not be loaded."""
    return Run(
        job=job("failed", "dead", seconds=6.0),
        status="failed",
        phases=(
            Phase(name="import", spans=((T0, T0 + 4.9),), seconds=4.9),
            Phase(name="load", spans=((T0 + 4.9, None),)),
        ),
        notices=(
            Notice(level="warning", message="OCR is off: onnxruntime is not installed", hint=None, time=T0 + 5.0),
            Notice(
                level="error", message=f"{LAYOUT} is not in the cache and the network cannot be reached",
                hint="run `hf download docling-project/docling-layout-heron` once with a connection", time=T0 + 5.9,
            ),
        ),
        finished=T0 + 6.0,
    )  # fmt: skip


def cancelled() -> Run:
    """Stopped by the person after 17 pages."""
    half = running()
    return Run(
        job=job("cancelled", seconds=24.8), start="disk-warm", status="cancelled", phases=(
            *half.phases[:3], Phase(name="convert", spans=((T0 + 6.2, T0 + 24.7),), seconds=18.5),
        ), progress=half.progress, documents=half.documents, loads=half.loads, stages=half.stages, pages=half.pages,
        finished=T0 + 24.8,
    )  # fmt: skip


def partial() -> Run:
    """Two of three files converted; one page of the first failed."""
    pages = tuple((i + 1, T0 + 3.0 + i * 0.5, i != 4) for i in range(9))
    return Run(
        job=job("done", files=("/home/ana/a.pdf", "/home/ana/b.pdf", "/home/ana/scan.pdf"), seconds=8.0),
        start="cold",
        status="partial",
        phases=(
            Phase(name="import", spans=((T0, T0 + 1.3),), seconds=1.3),
            Phase(name="convert", spans=((T0 + 1.5, T0 + 7.8),), seconds=6.3),
            Phase(name="export", spans=((T0 + 7.8, T0 + 8.0),), seconds=0.2),
        ),
        documents=(
            Document(file="/home/ana/a.pdf", status="partial", pages=5, pages_done=5, outputs=("/home/ana/a.md",)),
            Document(file="/home/ana/b.pdf", status="success", pages=4, pages_done=4, outputs=("/home/ana/b.md",)),
            Document(file="/home/ana/scan.pdf", status="failure"),
        ),
        pages=pages,
        notices=(Notice(level="error", message="scan.pdf is encrypted", hint="remove its password", time=T0 + 7.0),),
        compile_note="CPU run: no GPU kernels",
        finished=T0 + 8.0,
    )


def lost() -> Run:
    """The worker vanished while it converted: no job-finished, the lock is free."""
    half = running()
    return Run(
        job=job("lost"), start="disk-warm", phases=half.phases, progress=half.progress, documents=half.documents,
        loads=half.loads, stages=half.stages, pages=half.pages, vram=half.vram,
    )  # fmt: skip


def shuffled() -> Run:
    """Pages come in completion order, and of some the number of all pages is not known."""
    numbers = (2, 6, 5, 4, 3, 1)
    return Run(
        job=job(),
        phases=(Phase(name="convert", spans=((T0, None),)),),
        documents=(Document(file=FILE, pages_done=6),),
        pages=tuple((number, T0 + 1 + i * 0.5, True) for i, number in enumerate(numbers)),
        stages=tuple(
            Stage(stage="layout", page=n, end=T0 + 1 + i * 0.5, seconds=0.4) for i, n in enumerate(reversed(numbers))
        ),
    )


def thousand() -> Run:
    """980 of 1,000 pages with six stages each and a VRAM sample every second."""
    names = ("preprocess", "layout", "ocr", "layout_post", "table", "assemble")
    seconds = (0.05, 0.30, 0.20, 0.02, 0.90, 0.04)
    stages = []
    for page in range(980):
        for offset, (name, took) in enumerate(zip(names, seconds, strict=True)):
            stages.append(
                Stage(stage=name, page=page + 1, end=T0 + 7 + page * 0.95 + offset * 0.1 + took, seconds=took)
            )
    return Run(
        job=job(),
        start="cold",
        phases=(
            Phase(name="import", spans=((T0, T0 + 4.9),), seconds=4.9),
            Phase(name="load", spans=((T0 + 4.9, T0 + 6.2),), seconds=1.3),
            Phase(name="convert", spans=((T0 + 6.2, None),)),
        ),
        progress={"convert": (980, 1000, "pages")},
        documents=(Document(file=FILE, pages=1000, pages_done=980),),
        loads=loads(0.1),
        stages=tuple(sorted(stages, key=lambda s: s.end)),
        pages=tuple((i + 1, T0 + 8.5 + i * 0.95, True) for i in range(980)),
        vram=tuple((T0 + i, 1, GIB + i * 10**6) for i in range(935)),
    )


def hostile() -> Run:
    """Names and messages that try to write to the terminal, or to be markup."""
    name = "/home/ana/[red]ev\x1b[31mil\u202e\n名前のとても長い文書ファイル[/red].pdf"
    return Run(
        job=job("failed", "\x1b[2J", files=(name,), pipeline="[bold]x", device="\x07cuda"),
        status="failed",
        versions={"\x1b[31mdocling": "1\x1b[0m"},
        phases=(Phase(name="import", spans=((T0, T0 + 1),), seconds=1.0),),
        documents=(Document(file=name, status="failure"),),
        loads=(Load(repo="o\x1b[5m/[blink]m", path=None, revision=None, bytes=10, resident_before=0, started=T0 + 1),),
        stages=(Stage(stage="la\x1b]0;owned\x07yout", page=None, end=T0 + 2, seconds=0.5),),
        notices=(
            Notice(level="error", message="bad \x1b[2J[link=x]file[/link] token=hf_abcdefghij123", hint=None, time=T0),
        ),
        finished=T0 + 3,
    )


ALL = {
    "running": running, "queued": queued, "importing": importing, "loading": loading, "downloading": downloading,
    "done": done, "native": native, "resident": resident, "failed": failed, "cancelled": cancelled,
    "partial": partial, "lost": lost, "shuffled": shuffled, "thousand": thousand, "hostile": hostile,
}  # fmt: skip


def jobs(*runs: Run) -> Jobs:
    """The listing that goes with some runs, with one resident worker."""
    return Jobs(
        jobs=tuple(run.job for run in runs),
        workers=(
            Worker(
                id="w1", pid=41877, python="/home/ana/docling/bin/python", device="cuda:1", models=(LAYOUT, TABLES),
                idle_seconds=38.0, memory=2_297_807_667, pipeline="standard",
            ),
        ),
    )  # fmt: skip
