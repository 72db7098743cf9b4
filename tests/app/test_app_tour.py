"""The six tasks at 80x24 by keyboard alone: the steps of the docs' tour, walked on a sandbox."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cachetop
from cachetop.base import units
from cachetop.conversion.folder import folders
from cachetop.conversion.history import picture
from cachetop.demo.sandbox import Sandbox, build
from cachetop_tui.panes.models_data import on_disk

DOCS = Path(__file__).parents[2] / "docs"
HEAVY = ("torch", "transformers", "docling_ibm_models")


def _tour() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cachetop_docs_tour", DOCS / "tour.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


tour = _tour()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox without tiny models, which take long to make; its kernels are compiled, for seven SMs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in HEAVY:
            patch.setitem(sys.modules, name, None)
        sandbox = build(tmp_path_factory.mktemp("tour") / "sandbox")
    yield sandbox


@pytest.fixture
def sandbox(built: Sandbox, monkeypatch: pytest.MonkeyPatch, world: Path) -> Sandbox:
    """The sandbox, entered for one test."""
    for name, value in built.environment().items():
        monkeypatch.setenv(name, value)
    return built


async def _walked(sandbox: Sandbox, name: str) -> tuple[str, Any]:
    """What is on the screen after a step, and the app, which has ended then."""
    seen: list[tuple[str, Any]] = []
    await tour.walk(sandbox, name, lambda at: seen.append((at.screen(), at.app)))
    return seen[0]


async def test_how_full_each_cache_is(sandbox: Sandbox) -> None:
    text, _ = await _walked(sandbox, "1-how-full")
    models, kernels = cachetop.models(), cachetop.kernels()
    assert f"{units.size(sum(map(on_disk, models.repos)))} on disk" in text
    for cache in kernels.caches:
        if cache.size_on_disk:
            assert f"▾ {cache.id} " in text and units.size(cache.size_on_disk) in text


async def test_the_biggest_repo_and_its_revisions(sandbox: Sandbox) -> None:
    text, _ = await _walked(sandbox, "2-biggest-repo")
    largest = max((repo for repo in cachetop.models().repos if repo.type == "model"), key=lambda repo: repo.size)
    assert largest.id in text and len(largest.revisions) > 1
    assert all(revision.commit[:12] in text for revision in largest.revisions)


async def test_the_stale_kernels_and_why(sandbox: Sandbox) -> None:
    text, _ = await _walked(sandbox, "3-stale-kernels")
    assert "WHY IT IS STALE" in text and "it is for sm_90" in text and "the GPU here is" in text


async def test_who_holds_vram(sandbox: Sandbox) -> None:
    text, app = await _walked(sandbox, "4-who-holds-vram")
    gpu = app.overview.picture.gpus.gpus[0]
    for process in gpu.processes:
        assert str(process.pid) in text and units.memory(process.memory) in text
        assert all(model.repo in text and model.evidence in text for model in process.models)


async def test_a_file_is_converted_and_the_result_read(sandbox: Sandbox) -> None:
    text, _ = await _walked(sandbox, "5-convert")
    run = picture(next(folders()))
    assert run.status == "success" and run.job.files == (str(sandbox.document),)
    (written,) = run.documents[0].outputs
    words = re.findall(r"[A-Za-z]{4,}", Path(written).read_text())
    assert words and sum(word in text for word in words[:20]) >= 10


async def test_what_was_pruned_is_brought_back(sandbox: Sandbox) -> None:
    before = {entry.path: entry.sm for entry in cachetop.kernels().entries}
    stale = sum("sm_89" not in sms for sms in before.values())
    assert stale > 0
    text, _ = await _walked(sandbox, "6-prune-and-undo")
    assert f"{stale} back." in text
    assert {entry.path: entry.sm for entry in cachetop.kernels().entries} == before
    assert not any(sandbox.folder.glob("triton/.cachetop-trash-*/*"))


def test_each_step_is_in_the_docs_with_its_picture() -> None:
    page = (DOCS / "tour.md").read_text(encoding="utf-8")
    for name in tour.STEPS:
        assert f"(tour/{name}.svg)" in page and (DOCS / "tour" / f"{name}.svg").is_file(), name
