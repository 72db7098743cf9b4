"""`cachetop convert`: convert documents with Docling and see where the time goes."""

from __future__ import annotations

import argparse
import sys

from cachetop.cli.exits import DONE, FAILED, Refused

_PIPELINES = ("auto", "standard", "vlm", "native", "offline")
_FORMATS = ("md", "json", "html", "text", "doctags")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb."""
    verb = verbs.add_parser("convert", help="convert documents, every phase shown", description=__doc__)
    verb.add_argument("files", nargs="+", metavar="FILE", help="a document: PDF, Office, HTML, Markdown, image")
    verb.add_argument("--pipeline", choices=_PIPELINES, default="auto", help="native and offline need no model cache")
    verb.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="where the models run")
    verb.add_argument("--to", action="append", choices=_FORMATS, help="output format, md by default; may be repeated")
    verb.add_argument("--output", metavar="DIR", help="where outputs go (default: the job's own folder)")
    verb.add_argument("--force", action="store_true", help="overwrite existing outputs")
    verb.add_argument("--python", metavar="PATH", help="the interpreter or environment that has docling")
    verb.add_argument(
        "--keep-warm",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="keep the worker that long after its last job",
    )
    verb.add_argument(
        "--vram-budget", type=_size, metavar="SIZE", help="a worker that holds more VRAM than this is not kept"
    )
    verb.add_argument(
        "--fetch",
        action=argparse.BooleanOptionalAction,
        help="fetch missing models without asking, or never (default: ask on a terminal, else fetch)",
    )
    _docling(verb)
    verb.add_argument(
        "--run-cold",
        action="store_true",
        help="measure a cold start: drop the models' own files from RAM, use fresh kernel folders, a new worker",
    )
    verb.add_argument("--detach", action="store_true", help="print the job's id and leave it running")
    verb.add_argument("--json", action="store_true", help="JSON Lines, one event a line")
    verb.set_defaults(run=run)


_SWITCHES = (
    ("ocr", "do_ocr", True, "read text in images"),
    ("tables", "do_table_structure", True, "rebuild tables cell by cell"),
    ("force-ocr", "force_full_page_ocr", False, "read every page as an image"),
    ("enrich-code", "do_code_enrichment", False, "recognise code blocks; a model of its own"),
    ("enrich-formula", "do_formula_enrichment", False, "recognise formulas; a model of its own"),
    ("enrich-picture-classes", "do_picture_classification", False, "classify pictures; a model of its own"),
    ("enrich-picture-description", "do_picture_description", False, "describe pictures; a model of its own"),
)
"""docling's command line's name, its option's name, docling's default, and what it does."""


def _docling(verb: argparse.ArgumentParser) -> None:
    """The options of docling that change what is done, under its command line's own names."""
    group = verb.add_argument_group("docling's own options")
    for flag, name, both, words in _SWITCHES:
        action = argparse.BooleanOptionalAction if both else "store_true"
        group.add_argument(f"--{flag}", dest=name, action=action, default=None, help=words)
    group.add_argument("--ocr-lang", metavar="LANG[,LANG]", help="languages of the text in images, in order")
    group.add_argument("--vlm-preset", metavar="NAME", help="the model of the vlm pipeline (granite_docling)")
    group.add_argument("--page-range", type=_pages, metavar="FIRST-LAST", help="only these pages, from 1")
    group.add_argument("--pdf-password", metavar="TEXT", help="for encrypted PDFs; - asks for it")
    group.add_argument(
        "--compile-torch-models", action="store_true", help="torch.compile where docling can: slow once, then faster"
    )


def _pages(text: str) -> tuple[int, int]:
    from cachetop.conversion.options import pages

    try:
        return pages(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _password(said: str | None) -> str | None:
    """The password; for `-` it is asked for, without an echo."""
    if said != "-":
        return said
    from getpass import getpass

    try:
        return getpass("password of the PDF: ")
    except EOFError:
        raise Refused("no password was given, so nothing was started") from None


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _size(text: str) -> int:
    from cachetop.base.units import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """Start the job and follow it to its end."""
    from cachetop.api import convert
    from cachetop.base.record import why
    from cachetop.cli.fetch import settle
    from cachetop.cli.follow import follow
    from cachetop.cli.table import emit
    from cachetop.config import ConfigError
    from cachetop.conversion import options
    from cachetop.conversion.records import Jobs
    from cachetop.conversion.workers import workers

    try:
        asked = options.make(
            {name: getattr(args, name) for _, name, _, _ in _SWITCHES if getattr(args, name) is not None},
            ocr_lang=[part for part in (args.ocr_lang or "").split(",") if part],
            vlm_preset=args.vlm_preset,
            compile_torch_models=args.compile_torch_models,
            page_range=args.page_range,
            password=_password(args.pdf_password),
            cold=args.run_cold,
        )
        asks = not args.json and not args.detach and sys.stdin.isatty() and sys.stderr.isatty()
        handle = convert(
            args.files,
            pipeline=settle(args.files, args.pipeline, asked, args.python, args.fetch, asks),
            device=args.device,
            to=args.to or ("md",),
            output=args.output,
            force=args.force,
            python=args.python,
            keep_warm=args.keep_warm,
            options=asked,
            vram_budget=args.vram_budget,
        )
    except (ValueError, ConfigError) as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(f"the job could not be started: {error.filename or ''} {why(error)}", FAILED) from error
    if args.detach:
        if args.json:
            emit(Jobs(jobs=(handle.job(),), workers=workers()))
        else:
            print(handle.id)
        return DONE
    return follow(handle, args.json, cancels=True)
