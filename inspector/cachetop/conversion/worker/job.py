"""The job as the launcher wrote it: `job.json` in the job's folder."""

import json
import os
from dataclasses import dataclass
from typing import Any

PIPELINES = ("auto", "standard", "vlm", "native", "offline")
EXTENSIONS = {"md": ".md", "json": ".json", "html": ".html", "text": ".txt", "doctags": ".doctags"}
_LIMIT = 8 << 20


@dataclass(frozen=True)
class Job:
    """One job; see `load` for where it comes from."""

    id: str
    folder: str
    files: tuple[str, ...]
    pipeline: str
    device: str
    to: tuple[str, ...]
    output: str | None
    force: bool
    keep_warm: float
    compile: bool
    socket: str | None
    worker: str | None
    roots: dict[str, str]

    @property
    def options(self) -> dict[str, Any]:
        """What a resident worker must have in common with a job to run it; output formats do not count."""
        return {"pipeline": self.pipeline, "device": self.device, "compile": self.compile}

    @property
    def output_folder(self) -> str:
        """Where the outputs go."""
        return self.output or os.path.join(self.folder, "outputs")


def load(folder: str) -> Job:
    """Read `job.json`. Raises OSError, or ValueError with a sentence when it is no job."""
    path = os.path.join(folder, "job.json")
    with open(path, "rb") as file:
        data = file.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise ValueError(f"{path} is larger than {_LIMIT} bytes and was not read.")
    try:
        told = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error
    if not isinstance(told, dict) or not isinstance(told.get("files"), list):
        raise ValueError(f"{path} describes no job: it has no list of files.")
    pipeline = told.get("pipeline") or "auto"
    if pipeline not in PIPELINES:
        raise ValueError(f"{path} asks for the unknown pipeline {pipeline!r}; there are {', '.join(PIPELINES)}.")
    to = tuple(dict.fromkeys(told.get("to") or ["md"]))
    unknown = [name for name in to if name not in EXTENSIONS]
    if unknown:
        raise ValueError(f"{path} asks for the unknown format {unknown[0]!r}; there are {', '.join(EXTENSIONS)}.")
    return Job(
        id=str(told.get("id") or os.path.basename(os.path.normpath(folder))),
        folder=folder,
        files=tuple(str(name) for name in told["files"]),
        pipeline=pipeline,
        device=str(told.get("device") or "auto"),
        to=to,
        output=told.get("output") or None,
        force=bool(told.get("force")),
        keep_warm=float(told.get("keep_warm") or 0),
        compile=bool(told.get("compile")),
        socket=told.get("socket") or None,
        worker=told.get("worker"),
        roots={str(kind): str(path) for kind, path in (told.get("roots") or {}).items()},
    )
