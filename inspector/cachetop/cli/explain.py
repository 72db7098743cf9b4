"""`cachetop explain`: model or kernel, what they are and how they differ, with this machine's own numbers."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import unicodedata

from cachetop.cli.exits import DONE

_PIPE_WIDTH = 100


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Define the verb."""
    verb = verbs.add_parser("explain", help="model or kernel: what they are and how they differ", description=__doc__)
    verb.add_argument(
        "--lang", choices=("en", "es"), help="language; default: Spanish in a Spanish locale, else English"
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the page, wrapped to the terminal; plain text into a pipe."""
    from cachetop.explain.blocks import plain
    from cachetop.explain.figures import measure
    from cachetop.explain.page import page
    from cachetop.explain.words import language_of, load

    words = load(args.lang or language_of(os.environ))
    terminal = sys.stdout.isatty()
    width = min(shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns, 120) if terminal else _PIPE_WIDTH
    bold = terminal and os.environ.get("TERM", "dumb") != "dumb"
    print(_writable(plain(page(words, measure()), max(width, 30), bold)), end="")
    return DONE


def _writable(text: str) -> str:
    """`text` with accents dropped where the output cannot encode them: a page without accents beats none."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.replace("«", '"').replace("»", '"')
        return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return text
