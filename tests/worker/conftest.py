"""What the worker's tests share: tiny models, and documents to convert."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachetop.demo.paper import write_pdf
from support.models import tiny_home
from support.workers import environment


@pytest.fixture(scope="session")
def tiny_hub(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """HF_HOME with the tiny models; one for all test processes."""
    base = tmp_path_factory.getbasetemp()
    return tiny_home(base if worker_id == "master" else base.parent)


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """PDFs by their number of pages."""
    folder = tmp_path_factory.mktemp("papers")
    return {pages: write_pdf(folder / f"paper{pages}.pdf", pages) for pages in (1, 3, 40)}


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment without models, and without a hub to get them from."""
    return environment(tmp_path / "home", HF_HUB_OFFLINE="1")
