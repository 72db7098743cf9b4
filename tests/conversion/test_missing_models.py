"""Models that are not there: which, how big, fetched or not, on disk and from a hub on the loopback."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cachetop.cli.fetch import settle
from cachetop.conversion.interpreters import Interpreter
from cachetop.conversion.missing import Missing, missing, sized
from cachetop.conversion.options import Options
from cachetop.conversion.worker import needs
from cachetop.demo.paper import write_pdf
from support.slow_hub import FILES, etag, slow_hub

LAYOUT, TABLES = "docling-project/docling-layout-heron", "docling-project/docling-models"
FULL = Interpreter(
    path=sys.executable, origin="this one", python="3.11", docling="2.143.0", slim=False, torch="2.14.1", cuda=None,
    transformers="5.24.0", onnxruntime=None,
)  # fmt: skip
EACH = sum(len(data) for data in FILES.values())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with slow_hub(1e9) as address:
        yield address


def found(
    env: dict[str, str], pipeline: str = "standard", python: Interpreter = FULL, **options: Any
) -> Missing | None:
    return missing(pipeline, Options(docling=options), python, env)


def names(one: Missing | None) -> list[str]:
    return [repo.id for repo in one.repos] if one else []


def test_each_switch_and_preset_names_the_repo_it_loads(tmp_path: Path) -> None:
    env = {"HF_HOME": str(tmp_path)}
    assert names(found(env)) == names(found(env, "auto")) == [LAYOUT, TABLES]
    assert names(found(env, do_table_structure=False)) == [LAYOUT]
    more = names(found(env, do_formula_enrichment=True, do_code_enrichment=True, do_picture_classification=True))
    assert more[2:] == ["docling-project/CodeFormulaV2", "docling-project/DocumentFigureClassifier-v2.5"]
    assert names(found(env, "vlm", vlm_preset="smoldocling")) == ["docling-project/SmolDocling-256M-preview"]
    assert found(env, "vlm", vlm_preset="of_tomorrow") is None, "what it loads is not known here"
    assert found(env, "native") is None and found(env, "offline") is None
    assert found(env, python=msgspec.structs.replace(FULL, torch=None)) is None, "it could not run anyway"


def test_the_table_is_that_of_the_installed_docling() -> None:
    script = (
        "import json\nfrom docling.datamodel.pipeline_options import *\no = PdfPipelineOptions()\n"
        "print(json.dumps([{p: VlmConvertOptions.from_preset(p).model_spec.default_repo_id\n"
        "  for p in VlmConvertOptions.list_preset_ids()}, [o.code_formula_options.model_spec.default_repo_id,\n"
        "  o.picture_classification_options.model_spec.repo_id,\n"
        "  o.picture_description_options.model_spec.default_repo_id, o.layout_options.model_spec.repo_id]]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    presets, others = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert {name: need[0] for name, need in needs.PRESETS.items() if name in presets}.items() <= presets.items()
    local = {name for name, repo in presets.items() if "/" in repo and name not in needs.PRESETS}
    assert local <= {"gemma_12b", "gemma_27b", "unlimited_ocr"}, "only what needs another engine is left out"
    asked = {"do_code_enrichment": True, "do_picture_classification": True, "do_picture_description": True}
    assert set(others) <= {repo for repo, _, _ in needs.needed("standard", asked)}


def test_the_hub_tells_the_sizes_less_what_is_there(tmp_path: Path, endpoint: str) -> None:
    env = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": endpoint}
    one = found(env)
    assert one is not None and one.bytes is None
    blobs = tmp_path / "hub" / ("models--" + TABLES.replace("/", "--")) / "blobs"
    blobs.mkdir(parents=True)
    whole, part = list(FILES)[:2]
    (blobs / etag(FILES[whole])).write_bytes(FILES[whole])
    (blobs / f"{etag(FILES[part])}.incomplete").write_bytes(b"x" * 1000)
    asked = sized(one, env)
    assert [repo.bytes for repo in asked.repos] == [EACH, EACH - len(FILES[whole]) - 1000]
    assert asked.bytes == 2 * EACH - len(FILES[whole]) - 1000 and asked.forbidden is None
    assert LAYOUT in asked.sentence and "1.20 MB" in asked.sentence and str(tmp_path) in asked.sentence


def test_where_nothing_can_be_fetched_that_is_said(tmp_path: Path) -> None:
    for env, said in (
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "127.0.0.1 cannot be reached"),
        ({"DOCLING_ARTIFACTS_PATH": str(tmp_path / "none")}, "DOCLING_ARTIFACTS_PATH"),
    ):
        one = found({"HF_HOME": str(tmp_path), **env})
        assert one is not None
        assert said in (sized(one, env).forbidden or "")
        assert "size unknown" in one.sentence


def test_a_hub_that_knows_no_such_repo_leaves_the_size_unknown(tmp_path: Path) -> None:
    from support.hub import serving

    (tmp_path / "hub").mkdir()
    with serving(tmp_path / "hub") as address:
        env = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": address}
        one = found(env, do_table_structure=False)
        assert one is not None
        [repo] = sized(one, env).repos
    assert repo.bytes is None and repo.reason


def convert(tmp_path: Path, endpoint: str, answer: bytes | None, *words: str) -> tuple[int, str]:
    """`cachetop convert` of one page in a terminal where `answer` is typed, or without one: (exit code, stderr)."""
    paper = write_pdf(tmp_path / "paper.pdf", 1)
    env = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": endpoint}
    line = [sys.executable, "-m", "cachetop", "convert", str(paper), *words]
    if answer is None:
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stderr
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(line[0], line, env)
    seen = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        seen += piece
        if b"or stop [s]?" in seen and answer:
            os.write(terminal, answer + b"\n")
            answer = b""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def test_a_terminal_is_asked_and_another_pipeline_taken(tmp_path: Path, endpoint: str) -> None:
    code, said = convert(tmp_path, endpoint, b"n", "--pipeline", "vlm")
    assert code == 0, said
    assert "lacks ibm-granite/granite-docling-258M (1.20 MB)" in said and "pipeline native" in said
    assert not (tmp_path / "hf" / "hub").exists(), "nothing was fetched"


def test_a_terminal_may_say_stop(tmp_path: Path, endpoint: str) -> None:
    code, said = convert(tmp_path, endpoint, b"s", "--pipeline", "vlm")
    assert code == 1 and "nothing was started" in said
    assert not (tmp_path / "state" / "jobs").exists()


def test_no_fetch_forbids_it_by_name_and_makes_auto_do_without(
    tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = convert(tmp_path, endpoint, None, "--pipeline", "vlm", "--no-fetch")
    assert code == 1 and "granite-docling-258M" in said and "--pipeline native" in said
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "")  # put back afterwards
    assert settle(["paper.pdf"], "auto", Options(), None, False, False) == "auto"
    assert needs.offline(), "the worker finds that it may not fetch, and takes what needs no model"
