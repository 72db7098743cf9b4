"""Cold, disk-warm and resident for real, and that the verdict names the right cause each time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from cachetop.base.residency import resident as in_ram
from cachetop.conversion.launch import convert
from cachetop.conversion.options import make
from cachetop.conversion.report import examine
from cachetop.conversion.verdicts import Examined
from cachetop.conversion.workers import unload, workers


@contextmanager
def kept_in_ram(folder: Path) -> Iterator[None]:
    """Read the weights again and again: a kernel that reclaims idle pages early must not make a warm run cold."""
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            for path in folder.rglob("*.safetensors"):
                path.read_bytes()
            over.wait(1.0)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()


class Told(NamedTuple):
    cold: Examined
    warm: Examined
    resident: Examined
    left_behind: int


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, papers: dict[int, Path], tiny_hub: Path) -> Iterator[Told]:
    """Three runs of the standard pipeline on one file: cold on purpose, a new process, the same process."""
    base = tmp_path_factory.mktemp("starts")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "HF_HOME": str(tiny_hub), "HF_HUB_OFFLINE": "1", "CACHETOP_STATE_DIR": str(base / "state"),
            "XDG_RUNTIME_DIR": str(base / "run"), "OMP_NUM_THREADS": "2",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        patch.delenv("CACHETOP_READ_ONLY", raising=False)
        blobs = [path.resolve() for path in tiny_hub.rglob("model_artifacts/*/accurate/*.safetensors")]
        os.sync()
        os.posix_fadvise(descriptor := os.open(blobs[0], os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        if in_ram(str(blobs[0])) != 0:
            pytest.skip("this file system cannot be dropped from RAM")
        paper = str(papers[3])
        try:
            convert(paper, pipeline="standard", keep_warm=60, options=make(cold=True)).wait(120)
            cold = examine()
            left_behind = len(workers())
            with kept_in_ram(tiny_hub):
                convert(paper, pipeline="standard", keep_warm=60).wait(120)
            warm = examine()
            convert(paper, pipeline="standard", keep_warm=60).wait(120)
            yield Told(cold, warm, examine(), left_behind)
        finally:
            unload()


def cause(one: Examined, name: str) -> str:
    """The sentence of the verdict for a cause, empty when there is none."""
    return next((verdict.message for verdict in one.report.verdict if verdict.cause == name), "")


def test_a_cold_run_reads_the_weights_from_disk_and_says_so(told: Told) -> None:
    one = told.cold
    assert (one.run.status, one.run.start) == ("success", "cold")
    assert one.run.dropped is not None and all(load.resident_before == 0 for load in one.run.loads if load.bytes > 1e6)
    assert cause(one, "start").startswith("cold on purpose")
    assert told.left_behind == 0, "a cold run leaves no worker, and takes none"
    kernels = Path(one.run.job.folder) / "kernels"
    assert not kernels.exists() or not any(path.is_file() for path in kernels.rglob("*")), "the CPU compiled nothing"
    assert "CPU run" in cause(one, "compile")


def test_a_new_process_finds_the_weights_in_ram(told: Told) -> None:
    one = told.warm
    assert (one.run.status, one.run.start) == ("success", "disk-warm")
    assert "page cache" in cause(one, "start")
    assert one.run.dropped is None
    keeping = next(advice for advice in one.report.advice if advice.saves)
    phases = one.report.phases
    assert keeping.saves == pytest.approx(phases["import"] + phases["load"])


def test_the_same_process_has_everything(told: Told) -> None:
    one = told.resident
    assert (one.run.status, one.run.start) == ("success", "resident")
    assert set(one.report.phases) == {"convert", "export"}
    assert cause(one, "start").startswith("resident")
    comparison = one.report.comparison
    assert comparison is not None and comparison.start == ("resident", "disk-warm")
    assert comparison.reasons["import"].startswith("same process") and "loaded" in comparison.reasons["load"]
    assert "faster" in cause(one, "comparison")
    mine, theirs = (sum(seconds for _, seconds in bar) for bar in comparison.bars)
    assert mine == pytest.approx(one.report.seconds, abs=0.3) and theirs > mine


def test_text_pages_are_not_given_to_ocr(told: Told) -> None:
    assert one_of(told.resident, "table") > 0
    assert one_of(told.resident, "ocr") < 0.2


def one_of(one: Examined, stage: str) -> float:
    """Seconds of a stage."""
    return one.report.stages.get(stage, 0.0)
