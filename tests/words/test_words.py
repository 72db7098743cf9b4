"""What `cachetop explain` and the page in docs/ say, in both languages."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.base.cells import width as cells
from cachetop.demo import handmade
from cachetop.explain.blocks import plain, wrap
from cachetop.explain.example import EXAMPLE
from cachetop.explain.figures import CacheFigure, Figures, GpuFigure, RunFigure
from cachetop.explain.page import document, page
from cachetop.explain.words import LANGUAGES, language_of, load

REPO = Path(__file__).parents[2]
NOTHING = Figures(
    hub_path="/nowhere",
    hub_variable="HF_HUB_CACHE",
    hub_exists=False,
    hf_home="/nowhere",
    token=False,
    repos=None,
    models_size=None,
    largest=None,
    caches=(CacheFigure("triton", "/closed", None, True, None, None),),
    entry_median=None,
    build_median=None,
    build_total=None,
    by_sm=(),
    known=0,
    usable=None,
    gpus=(),
)


def explain(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with a pipe for output."""
    return subprocess.run(
        [sys.executable, "-m", "cachetop", "explain", *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_both_languages_have_the_same_keys_in_the_same_order_and_the_same_placeholders() -> None:
    english, spanish = load("en"), load("es")
    assert list(english.keys().items()) == list(spanish.keys().items())
    assert len(english.keys()) > 80


def test_both_languages_say_the_same_numbers() -> None:
    """A figure corrected in one language and forgotten in the other would be told here."""

    def numbers(text: str) -> Counter[str]:
        text = re.sub(r"(?<=\d)[.,  ](?=\d)", "", text)
        return Counter(re.findall(r"\d+", text))

    spanish = dict(load("es").texts())
    for key, text in load("en").texts():
        assert numbers(text) == numbers(spanish[key]), key


def test_no_text_was_left_untranslated() -> None:
    spanish = dict(load("es").texts())
    for key, text in load("en").texts():
        if len(text.split()) > 4 and not key.endswith(".here"):
            assert spanish[key] != text, key


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("figures", [EXAMPLE, NOTHING])
def test_every_placeholder_is_filled(language: str, figures: Figures) -> None:
    for width in (40, 100):
        text = plain(page(load(language), figures), width)
        assert not re.search(r"[{}]", text)
        assert "None" not in text


def test_unknown_is_said_and_never_a_number() -> None:
    text = " ".join(plain(page(load("en"), NOTHING), 100).split())
    assert "models to download again: unknown" in text
    assert "repositories: unknown" in text
    assert "GPU: none answers" in text
    assert "`/closed` (default place): entries: unknown; unknown" in text
    assert "0 B" not in text and ": 0" not in text


def test_a_gpu_with_foreign_kernels_is_told() -> None:
    gpu = GpuFigure("NVIDIA H100", "sm_90", 3 * 2**30, 80 * 2**30)
    text = plain(page(load("es"), replace(EXAMPLE, gpus=(gpu,), usable=5)), 120)
    assert "NVIDIA H100, sm_90, 3,00 GiB de 80,0 GiB en uso" in text
    assert "pueden cargar 5 de 35" in text


def test_own_conversions_stand_beside_the_measured_ones() -> None:
    runs = (
        RunFigure("disk-warm", "standard", 12, (("import", 4.81), ("load", 0.9), ("convert", 7.25))),
        RunFigure(None, "native", 3, (("import", 1.2), ("convert", 0.071))),
    )
    text = " ".join(plain(page(load("es"), replace(EXAMPLE, runs=runs)), 100).split())
    assert "templado en disco: pipeline standard, páginas: 12; importar 4,8 s, cargar 900 ms, convertir 7,2 s" in text
    assert "sin archivos de modelo: pipeline native, páginas: 3; importar 1,2 s, convertir 71 ms" in text
    assert "No conversion has finished here yet" in plain(page(load("en"), EXAMPLE), 100)


def test_names_from_disk_are_shown_as_text_only() -> None:
    hostile = "/tmp/{repos}\x1b[31m\u202e/hub"
    figures = replace(
        EXAMPLE,
        hub_path=hostile,
        caches=(CacheFigure("triton", hostile, None, True, 1, 1),),
        largest=("\x1b]0;x\x07", 1),
    )
    text = plain(page(load("en"), figures), 100)
    assert "\x1b" not in text and "\u202e" not in text and "\x07" not in text
    assert "{repos}" in text


@given(st.text(), st.integers(min_value=2, max_value=80))
def test_wrapped_lines_fit_and_keep_every_word(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.replace("**", "").split())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [30, 60, 71, 72, 100, 160])
def test_the_page_fits_its_width(language: str, width: int) -> None:
    text = plain(page(load(language), EXAMPLE), width)
    commands = {load(language)(f"commands.rows.{row}.command") for row in load(language).below("commands.rows")}
    headings = {text for key, text in load(language).texts() if key.endswith(("heading", "title"))}
    for line in text.splitlines():
        if line.removeprefix("$ ") not in commands | headings and set(line) - {"-", "="}:
            assert cells(line) <= width, line


@pytest.mark.parametrize(
    ("env", "language"),
    [
        ({}, "en"),
        ({"LANG": "es_MX.UTF-8"}, "es"),
        ({"LANG": "es"}, "es"),
        ({"LANG": "es_ES.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "es_AR"}, "es"),
        ({"LANG": "est_EE.UTF-8"}, "en"),
        ({"LANG": "eso"}, "en"),
    ],
)
def test_the_locale_decides_the_language(env: dict[str, str], language: str) -> None:
    assert language_of(env) == language


def test_the_pages_in_docs_are_current() -> None:
    pages = runpy.run_path(str(REPO / "docs" / "write.py"))["PAGES"]
    for name, language in pages.items():
        path = REPO / "docs" / name
        assert path.read_text(encoding="utf-8") == document(language), f"{name} is old: run `python docs/write.py`"


def test_explain_tells_this_machines_own_numbers(world: Path) -> None:
    hub = world / ".cache" / "huggingface" / "hub"
    handmade.write(hub)
    (hub.parent / "token").write_text("hf_secretsecretsecret")
    told = explain("--lang", "en")
    assert told.returncode == 0, told.stderr
    text = " ".join(told.stdout.split())
    assert "repositories: 3;" in text
    assert "`cachetop-demo/tiny-encoder`" in text
    assert "login token in it: there" in text
    assert "`~/.cache/huggingface/hub`" in text
    assert "secret" not in told.stdout
    assert "\x1b" not in told.stdout


def test_explain_takes_the_variable_that_moves_a_cache(world: Path) -> None:
    told = explain("--lang", "en", TRITON_CACHE_DIR=str(world / "elsewhere"))
    assert "triton (`~/elsewhere`)" in " ".join(told.stdout.split())
    (world / "elsewhere").mkdir()
    told = explain("--lang", "es", TRITON_CACHE_DIR=str(world / "elsewhere"))
    assert "`~/elsewhere` (lo decide TRITON_CACHE_DIR)" in " ".join(told.stdout.split())


def test_spanish_reaches_a_terminal_without_accents() -> None:
    told = explain(LC_ALL="es_ES.ISO-8859-15", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert told.returncode == 0, told.stderr
    assert "Modelo o kernel?" in told.stdout
    assert told.stdout.isascii()


def test_an_unknown_language_is_a_usage_error() -> None:
    told = explain("--lang", "fr")
    assert told.returncode == 2
    assert "'fr'" in told.stderr
