"""What may be written after `%cachetop` and `%%cachetop`: the parsers, and the completion made from them."""

from __future__ import annotations

import argparse
import glob
import os
import shlex
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NoReturn

from cachetop.conversion.launch import FORMATS
from cachetop.conversion.records import PIPELINES
from cachetop.hub.choose import PRESETS, SORTS
from cachetop.notebook.track import PARTS

_TRASH = "Shows what the trash holds; its execute() unlinks it for good."
_HOW = {
    "dry-run": "only the plan, without execute()",
    "yes": "execute it at once",
    "now": "keep nothing for undo",
    "force": "also what is only in use",
    "read-only": "refuse to change anything",
}


class Misuse(Exception):
    """A line that cannot be understood; the message says why and how it is written."""


class Answered(Exception):
    """The line asked for help, and got it."""


class Parser(argparse.ArgumentParser):
    """Raises instead of ending the program, which is the user's kernel."""

    def error(self, message: str) -> NoReturn:
        raise Misuse(f"{message}\n{self.format_usage().strip()}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise Answered(message or "")


def line_parser() -> Parser:
    """`%cachetop WORD ...`."""
    parser = Parser(prog="%cachetop", description="Look at the model caches, the kernel caches and VRAM.")
    words = parser.add_subparsers(dest="word", metavar="WORD", parser_class=Parser)
    words.add_parser("status", help="everything in a few lines (without a word, too)")
    models = words.add_parser("models", help="the Hugging Face cache")
    models.add_argument(
        "filter",
        nargs="*",
        help="a repo's name (org/*), or size>1GB, accessed>7d, type=model, superseded; or: show REPO[@REVISION]",
    )
    models.add_argument("--preset", choices=tuple(PRESETS), help="filters and an order that are asked for often")
    models.add_argument("--sort", metavar="KEY[:asc|:desc]", help=f"by {', '.join(sorted(SORTS))}; default: size")
    models.add_argument("--limit", type=_count, metavar="N", help="at most N repos")
    models.add_argument("--filter", dest="filters", metavar="EXPR", action="append", default=[], help="the same")
    kernels = words.add_parser("kernels", help="the kernel caches")
    kernels.add_argument("filter", nargs="*", help="a kernel's name (add_*), or size>1MB, created>1d, state=complete")
    kernels.add_argument("--filter", dest="filters", metavar="EXPR", action="append", default=[], help="the same")
    kernels.add_argument("--sm", metavar="SM", help="only entries for this SM: 90, 9.0, sm_90")
    kernels.add_argument("--cache", metavar="KIND", help="only this kind of cache: triton, inductor, ...")
    kernels.add_argument("--stale", action="store_true", help="only entries with a rule that says they are of no use")
    kernels.add_argument("--assume-sm", metavar="SM", action="append", default=[], help="judge as if the GPU were this")
    gpus = words.add_parser("gpus", help="GPUs, their memory and processes")
    gpus.add_argument("filter", nargs="*", help="a GPU's index, UUID or name (*H100*), or free>20GB, sm=sm_90")
    words.add_parser("jobs", help="conversions, and resident workers")
    doctor = words.add_parser("doctor", help="which variable decides which folder, limits, versions, the driver")
    doctor.add_argument("filter", nargs="*", help="an area (places), a subject (hub*), or severity=warning")
    convert = words.add_parser("convert", help="convert documents, with live phases; gives .document .markdown .report")
    convert.add_argument("file", nargs="+", help="documents")
    convert.add_argument("--pipeline", choices=PIPELINES, default="auto")
    convert.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    convert.add_argument(
        "--to", action="append", choices=FORMATS, default=[], help="also write this; md and json always"
    )
    convert.add_argument("--output", metavar="DIR", help="where outputs go; default: the job's folder")
    convert.add_argument("--force", action="store_true", help="overwrite existing files in DIR")
    convert.add_argument("--python", metavar="PATH", help="the interpreter that has docling")
    convert.add_argument("--keep-warm", type=float, default=0, metavar="SECONDS", help="keep the worker and its models")
    _pruning(words)
    live = words.add_parser("live", help="a live view of all three")
    live.add_argument("stop", nargs="?", choices=("stop",), help="stop every live view of this kernel")
    live.add_argument("--plain", action="store_true", help="an updating display instead of the widget")
    auto = words.add_parser("auto", help="one quiet line after each cell that cost something")
    auto.add_argument("switch", choices=("on", "off"))
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of repos; write for example 10")
    return int(text)


def _pruning(words: Any) -> None:
    """`prune` and `undo`, with the selectors of the command line."""
    about = "Shows a plan; its execute() does it. Nothing in use, downloading or compiling is touched."
    prune = words.add_parser("prune", help="a plan of what would be deleted; its execute() does it", description=about)
    prune.add_argument("--policy", action="store_true", help="what the rules in the configuration say (prune.policy)")
    _how(prune, "top_")
    inner = prune.add_subparsers(dest="what", metavar="kernels|models|trash", parser_class=Parser)
    kernels = inner.add_parser("kernels", help="kernel-cache entries", description=about)
    kernels.add_argument("names", nargs="*", metavar="KEY", help="entries by their key")
    kernels.add_argument("--stale", action="store_true", help="what a rule says is of no use here any more")
    kernels.add_argument("--sm", metavar="SM", help="made for this SM: 90, 9.0, sm_90 or sm_90a")
    kernels.add_argument("--assume-sm", metavar="SM", action="append", default=[], help="judge as if the GPU were this")
    kernels.add_argument("--cache", metavar="KIND", help="this kind of cache (triton), or one id (inductor:2)")
    kernels.add_argument("--ir-only", action="store_true", help="drop the intermediate stages, keep what Triton loads")
    models = inner.add_parser("models", help="repos, revisions, dead downloads", description=about)
    models.add_argument("names", nargs="*", metavar="REPO[@REVISION]", help="repos, or revisions by commit or ref")
    models.add_argument("--detached", action="store_true", help="revisions that no ref names")
    models.add_argument("--superseded", action="store_true", help="such, while a ref names another one of the repo")
    for one in (kernels, models):
        one.add_argument("--older-than", metavar="SPAN", help="last used longer ago than this: 30d, 12h")
        one.add_argument("--incomplete", action="store_true", help="what never finished and nobody works on")
        one.add_argument("--max-size", metavar="SIZE", help="the least recently used, down to this: 20G, 500MB")
        one.add_argument("--filter", metavar="EXPR", action="append", default=[], help="as in the listing: size>1GB")
        one.add_argument("--all", action="store_true", help="everything")
        _how(one, "")
    trash = inner.add_parser("trash", help="what earlier prunes hold for undo", description=_TRASH)
    trash.add_argument("--cancel", action="store_true", help="keep what is left until the trash is emptied by hand")
    _how(trash, "")
    undo = words.add_parser("undo", help="bring back what the newest prune deleted, while the trash holds it")
    undo.add_argument("plan", nargs="?", metavar="PLAN", help="a plan's id")
    undo.add_argument("--read-only", action="store_true", help="refuse to change anything")


def _how(parser: Parser, prefix: str) -> None:
    """How a plan is taken; `prefix` keeps the options before and after `kernels` apart, which argparse mixes up."""
    for name, about in _HOW.items():
        parser.add_argument(f"--{name}", dest=prefix + name.replace("-", "_"), action="store_true", help=about)


def cell_parser() -> Parser:
    """`%%cachetop ...`."""
    parser = Parser(prog="%%cachetop", description="Run the cell and report what it read, compiled and left in VRAM.")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PART", help=f"watch only {', '.join(PARTS)} (commas join)"
    )
    parser.add_argument(
        "--json", metavar="NAME", help="put the report into this variable, or into this file if it ends in .json"
    )
    return parser


def parse(parser: Parser, line: str) -> argparse.Namespace:
    """Read a line. Raises Misuse, and Answered when it asked for help, which is printed."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise Misuse(f"{line.strip()!r} cannot be read: {error}") from None
    return parser.parse_args(words)


def complete(line: str, symbol: str) -> list[str]:
    """What may stand where `symbol` does at the end of `line`, which begins with `%cachetop` or `%%cachetop`."""
    magic, _, rest = line.lstrip().partition(" ")
    before = rest[: len(rest) - len(symbol)] if symbol else rest
    words = before.split()
    if magic == "%%cachetop":
        found = _options(cell_parser()) if not words or words[-1] != "--only" else list(PARTS)
    elif not words:
        found = list(_subparsers(line_parser()))
    else:
        found = list(_after(words, symbol))
    return sorted({one for one in found if one.startswith(symbol)})


def _after(words: list[str], symbol: str) -> Iterator[str]:
    parser = _subparsers(line_parser()).get(words[0])
    if parser is None:
        return
    name = words[0]
    inner = _subparsers(parser)
    if inner:
        if len(words) == 1:
            yield from inner
            yield from _options(parser)
        name = words[1] if len(words) > 1 else ""
        parser = inner.get(name)
        if parser is None:
            return
    options: dict[str, argparse.Action] = parser._option_string_actions
    last = options.get(words[-1])
    if last is not None and last.nargs != 0:
        yield from _values(words[-1], last)
        return
    yield from _options(parser)
    if name == "models":
        yield from _repos()
    elif name == "convert":
        yield from _files(symbol)
    elif name == "gpus":
        yield from (str(gpu.index) for gpu in import_module("cachetop.api").gpus().gpus)
    elif name == "doctor":
        yield from import_module("cachetop.doctor.examine").AREAS
    for action in parser._actions:
        if not action.option_strings and action.choices:
            yield from map(str, action.choices)


def _values(option: str, action: argparse.Action) -> Iterator[str]:
    from cachetop import api

    if action.choices:
        yield from map(str, action.choices)
    elif option in ("--sm", "--assume-sm"):
        yield from {sm for entry in api.kernels().entries for sm in entry.sm}
    elif option == "--cache":
        yield from {cache.kind for cache in api.kernels().caches}
    elif option == "--device":
        yield from ("auto", "cpu", "cuda")


def _repos() -> list[str]:
    from cachetop import api

    return [repo.id for repo in api.models().repos]


def _files(begun: str) -> Iterator[str]:
    for path in glob.glob(glob.escape(os.path.expanduser(begun)) + "*"):
        if shlex.quote(path) == path:  # what would need quotes is left to be typed
            written = begun + path.removeprefix(os.path.expanduser(begun))
            yield written + ("/" if os.path.isdir(path) else "")


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [name for name in parser._option_string_actions if name.startswith("--")]


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, Any]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}
