"""`cachetop convert`: convert documents with Docling and see where the time goes."""

from __future__ import annotations

import argparse

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
    verb.add_argument("--detach", action="store_true", help="print the job's id and leave it running")
    verb.add_argument("--json", action="store_true", help="JSON Lines, one event a line")
    verb.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def run(args: argparse.Namespace) -> int:
    """Start the job and follow it to its end."""
    from cachetop.base.record import why
    from cachetop.cli.follow import follow
    from cachetop.cli.table import emit
    from cachetop.conversion.launch import convert
    from cachetop.conversion.records import Jobs

    try:
        handle = convert(
            args.files,
            pipeline=args.pipeline,
            device=args.device,
            to=args.to or ("md",),
            output=args.output,
            force=args.force,
            python=args.python,
            keep_warm=args.keep_warm,
        )
    except ValueError as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(f"the job could not be started: {error.filename or ''} {why(error)}", FAILED) from error
    if args.detach:
        if args.json:
            emit(Jobs(jobs=(handle.job(),)))
        else:
            print(handle.id)
        return DONE
    return follow(handle, args.json, cancels=True)
