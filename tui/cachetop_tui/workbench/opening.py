"""Which document a row opens, and how what it shows is fetched. Fetching is done off the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cachetop.base.hostile import clean
from cachetop.base.turns import in_turns
from cachetop_tui.background import in_background
from cachetop_tui.marks import Line, Row
from cachetop_tui.panes import gpu_data
from cachetop_tui.workbench.picture import Picture
from cachetop_tui.workbench.tabs import Document

if TYPE_CHECKING:
    from cachetop.gpu.detail import ProcessDetail
    from cachetop.gpu.records import Gpu, Process
    from cachetop.hub.one_file import AboutFile
    from cachetop.hub.records import Repo, Revision
    from cachetop.summary import StatusProblem
    from cachetop_tui.model_tasks import Task

    Look = Callable[[Gpu, Process], ProcessDetail]

_PROCESS = "process"
_looks: list[Look] = []


def use_look(look: Look) -> None:
    """Let `look` fetch what a process document shows: the app's own, which knows the process's history."""
    _looks[:] = [look]


def opens(row: Row) -> bool:
    """Whether the row has a document."""
    return row.kind in ("repo", "revision", "file", "entry", "job", "process", "problem", "setting", "prospect") or (
        row.kind == "line" and _pid(row) is not None
    )


def marks(row: Row) -> bool:
    """Whether the row can be marked for a plan."""
    return row.kind in ("repo", "revision", "entry")


def document_of(row: Row, picture: Picture) -> Document | None:
    """The document of a row of a pane or of the side bar; None where it has none (any more)."""
    subject = row.subject
    if isinstance(subject, tuple) and len(subject) == 4:  # a row of the side bar
        subject = subject[3]
    if row.kind == "repo":
        return repo_document(subject, picture)
    if row.kind == "revision":
        return revision_document(*subject)
    if row.kind == "file":
        return file_document(row.key, picture)
    if row.kind == "entry":
        return kernel_document(subject, picture)
    if row.kind == "job":
        return report_document(subject)
    if row.kind == "process":
        return process_document(*subject)
    place, _, rest = row.key.partition("\0")
    held = rest.partition("\0")[2]  # a model that the process holds
    for repo in picture.models.repos if picture.models is not None and held and row.kind == "line" else ():
        if repo.id == held:
            return repo_document(repo, picture)
    pid = _pid(row)
    for gpu in picture.gpus.gpus if picture.gpus is not None and pid is not None else ():
        for process in gpu.processes:
            if process.pid == pid and gpu_data.place(gpu) == place:
                return process_document(gpu, process)
    return None


def is_process(document: Document) -> bool:
    """Whether it is about a process, and so changes by itself."""
    return document.key.startswith(f"{_PROCESS}\0")


def process_of(document: Document, picture: Picture) -> tuple[Gpu, Process] | None:
    """The process a document is about, in the newest sample; None for another document, or when it has left."""
    for gpu in picture.gpus.gpus if picture.gpus is not None and is_process(document) else ():
        for process in gpu.processes:
            if _process_key(gpu, process) == document.key:
                return gpu, process
    return None


def _pid(row: Row) -> int | None:
    """The process that a row of the GPU pane is about."""
    parts = row.key.split("\0")
    return int(parts[1]) if row.kind == "line" and len(parts) > 1 and parts[1].isdigit() else None


def problem_of(row: Row) -> StatusProblem | None:
    """The problem a row of the list or of the side bar is about, None for any other row."""
    if row.kind != "problem":
        return None
    found: StatusProblem = row.subject[3] if isinstance(row.subject, tuple) else row.subject
    return found


def name_of(row: Row) -> str:
    """The whole name of what a row stands for, to be copied; for a problem the command that mends it."""
    from cachetop_tui.workbench.problems import fix_of

    problem = problem_of(row)
    if problem is not None:
        return fix_of(problem)
    subject = row.subject
    if isinstance(subject, tuple) and len(subject) == 4:
        subject = subject[3]
    if row.kind == "revision":
        return f"{clean(subject[0].id)}@{clean(subject[1].commit)}"
    if row.kind == "repo" or row.kind == "job":
        return clean(subject.id)
    if row.kind == "entry":
        return clean(subject.key)
    if row.kind == "file":
        return clean(subject.name)
    if row.kind == "process":
        return str(subject[1].pid)
    pid = _pid(row)
    return "" if pid is None else str(pid)


def label_of(row: Row) -> str:
    """What typing finds a row by: what is written on it, without drawing it. Empty for a row without a name."""
    subject = row.subject
    if isinstance(subject, tuple) and len(subject) == 4:
        return str(subject[0])
    if row.kind == "revision":
        return f"{' '.join(subject[1].refs)} {subject[1].commit}"
    if row.kind == "entry":
        return str(subject.name or subject.key)
    if row.kind == "sm":
        return str(subject[0].sm)
    if row.kind == "cache":
        return str(subject.cache.id)
    if row.kind == "problem":
        return f"{subject.rule} {subject.subject}"
    if isinstance(subject, Line):
        return subject.text
    if row.kind == "partial":
        return str(subject[1].file or subject[1].blob)
    if row.kind == "file" and row.depth > 2:  # in a folder: its own name
        return str(subject.name).rpartition("/")[2]
    return str(getattr(subject, "id", None) or getattr(subject, "name", None) or getattr(subject, "path", ""))


def revision_document(repo: Any, revision: Any) -> Document:
    """A revision against the one that main names; main's own against one that another ref names, else any other."""
    from cachetop_tui.documents import diff

    others = [one for one in repo.revisions if one.commit != revision.commit]
    others.sort(key=lambda one: ("main" not in one.refs, not one.refs))
    pair = diff.Pair(repo.id, revision, others[0] if others else None)
    name = clean(repo.id)
    return Document(
        f"revision\0{repo.root}\0{repo.type}\0{repo.id}\0{revision.commit}",
        f"{name.rpartition('/')[2]}@{diff.named(revision)}",
        ("models", name, diff.named(revision)),
        lambda: diff.compare(pair),
        diff.lines,
    )


def file_document(row_key: str, picture: Picture) -> Document:
    """One file of a revision, by the key of its row. It keeps no record: there may be very many in one repo."""
    from cachetop_tui.documents import diff

    def records() -> tuple[Repo, Revision]:
        root, kind, name, commit, _ = row_key.split("\0", 4)
        for repo in picture.models.repos if picture.models is not None else ():
            if (repo.root, repo.type, repo.id) == (root, kind, name):
                for revision in repo.revisions:
                    if revision.commit == commit:
                        return repo, revision
        raise LookupError(f"{clean(name)} has no such revision in the cache any more.")

    def load() -> AboutFile:
        from cachetop.hub.one_file import describe_file
        from cachetop_tui.documents import file as document  # noqa: F401  # here, off the event loop
        from cachetop_tui.documents.repo import TENSORS

        repo, revision = records()
        for file in in_turns(revision.files, 1000):
            if file.name == called:
                return describe_file(repo, revision, file, TENSORS)
        raise LookupError(f"{clean(called)} is not in the cache any more.")

    _, _, name, commit, called = row_key.split("\0", 4)
    try:
        named = diff.named(records()[1])
    except LookupError:  # reading it will say so
        named = clean(commit, 7)
    title = clean(called)
    trail = ("models", clean(name), named, title)
    return Document(f"file\0{row_key}", title.rpartition("/")[2], trail, load, _file_lines)


def _file_lines(record: AboutFile, width: int, now: float) -> list[Line]:
    from cachetop_tui.documents import file as document  # `load` has imported it, off the event loop

    return document.lines(record, width, now)


def repo_document(repo: Any, picture: Picture) -> Document:
    """A repo in depth, held against the VRAM that is free now."""

    def load() -> Any:
        from cachetop_tui.documents import repo as document

        return document.load(repo, picture.gpus)

    name = clean(repo.id)
    key = f"repo\0{repo.root}\0{repo.type}\0{repo.id}"
    return Document(key, name.rpartition("/")[2], ("models", name), load, _repo_lines)


def _repo_lines(about: Any, width: int, now: float) -> list[Line]:
    from cachetop_tui.documents import repo as document  # `load` has imported it, off the event loop

    return document.lines(about, width, now)


def task_document(task: Task) -> Document:
    """What is being done with repos, or was done last."""
    from cachetop_tui.documents import task as document
    from cachetop_tui.model_tasks import TITLES

    title = TITLES[task.state.kind]
    return Document(task.key, title, ("models", title), lambda: task.state, document.lines)


def kernel_document(entry: Any, picture: Picture) -> Document:
    """A kernel entry with one stage of its code, and how it differs from the same kernel for another SM."""
    from cachetop_tui.documents import kernel_page

    entries = picture.tree.kernels.entries if picture.tree is not None else ()
    held: list[kernel_page.Page] = []

    def load() -> Any:
        from cachetop import locations
        from cachetop.kernelcache.scan import Scanner

        kind = entry.kind
        scanner = Scanner([one for one in locations.kernel_roots() if one.kind == kind])
        gpus = picture.gpus.gpus if picture.gpus is not None else ()
        held[:] = [kernel_page.load(entry, entries, scanner, [gpu.sm for gpu in gpus if gpu.sm] or None)]
        return held[0]

    async def act(target: Any) -> None:
        for page in held:
            await in_background(page.act, target)

    name = clean(entry.name or entry.key, 80)
    key = f"kernel\0{entry.cache}\0{entry.path}"
    trail = ("kernels", clean(entry.cache, 24), ", ".join(entry.sm) or "any SM", name)
    return Document(key, name, trail, load, kernel_page.lines, act, kernel_page.head)


def process_document(gpu: Gpu, process: Process) -> Document:
    """A process on a GPU."""
    from cachetop_tui.documents import process as document

    def load() -> Any:
        if not _looks:
            raise LookupError("Nothing is being looked at yet.")
        return _looks[0](gpu, process)

    pid = f"pid {process.pid}"
    return Document(_process_key(gpu, process), pid, ("gpu", gpu.label, pid), load, document.lines)


def _process_key(gpu: Gpu, process: Process) -> str:
    return f"{_PROCESS}\0{gpu.key}\0{process.pid}\0{process.ticks}"


def result_document(job: Any) -> Document:
    """What a conversion wrote, its Markdown rendered."""
    from cachetop_tui.documents import result

    name = clean(job.files[0].rpartition("/")[2], 80) if job.files else clean(job.id, 40)
    trail = ("runs", name, "result")
    key = f"result\0{job.id}"
    return Document(key, f"{name} result", trail, lambda: result.load_text(job.id), result.lines, slow=True)


def tree_document(job: Any) -> Document:
    """The JSON a conversion wrote, as a tree."""
    from cachetop_tui.documents import result, tree

    name = clean(job.files[0].rpartition("/")[2], 80) if job.files else clean(job.id, 40)
    trail = ("runs", name, "JSON")
    return Document(
        f"tree\0{job.id}",
        f"{name} JSON",
        trail,
        lambda: result.load_tree(job.id),
        lambda *_: [],
        rows=tree.rows,
        places=tree.places,
    )


def report_document(job: Any) -> Document:
    """What a conversion spent its time on."""
    from cachetop_tui.documents import report as document

    name = clean(job.files[0].rpartition("/")[2], 80) if job.files else clean(job.id, 40)
    return Document(f"job\0{job.id}", name, ("runs", name), lambda: document.load(job.id), document.lines)
