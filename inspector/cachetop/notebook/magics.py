"""`%cachetop` and `%%cachetop`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from cachetop import api
from cachetop.base.hostile import show
from cachetop.base.record import Record
from cachetop.notebook import choose
from cachetop.notebook.auto import Auto
from cachetop.notebook.cell import Cell
from cachetop.notebook.convert import convert
from cachetop.notebook.live import Lives
from cachetop.notebook.output import Output
from cachetop.notebook.words import Answered, Misuse, cell_parser, line_parser, parse


@magics_class
class CachetopMagics(Magics):
    """The magics of one shell."""

    def __init__(self, shell: InteractiveShell, auto: Auto) -> None:
        super().__init__(shell)
        self._user = shell
        self._auto = auto
        self._lives = Lives(shell)

    def close(self) -> None:
        """Stop what goes on after a cell: the line after each, and live views."""
        self._auto.switch(False)
        self._lives.stop()

    @no_var_expand
    @line_cell_magic
    def cachetop(self, line: str, cell: str | None = None) -> Any:
        """Look at the model caches, the kernel caches and VRAM; report what a cell cost."""
        with _understood():
            if cell is None:
                return self._line(line)
            Cell(self._user, line, cell).run()
        return None

    async def awaited(self, line: str, cell: str) -> None:
        """`%%cachetop` on a cell that awaits; `cachetop.notebook.awaited` makes such cells call it."""
        with _understood():
            await Cell(self._user, line, cell).run_async()

    def _line(self, line: str) -> Any:
        asked = parse(line_parser(), line)
        try:
            match asked.word:
                case None | "status":
                    return api.status()
                case "models":
                    return self._models(asked)
                case "kernels":
                    filters = [*asked.filter, *asked.filters]
                    return choose.kernels(filters, asked.sm, asked.cache, asked.stale, asked.assume_sm)
                case "gpus":
                    return choose.gpus(asked.filter)
                case "jobs":
                    return api.jobs()
                case "doctor":
                    return choose.doctor(asked.filter)
                case "convert":
                    return convert(asked, Output(self._user))
                case "prune":
                    from cachetop.notebook.prune import prune

                    return prune(asked, Output(self._user))
                case "undo":
                    from cachetop.notebook.prune import take_back

                    return take_back(asked)
                case "live":
                    return self._lives.stop() if asked.stop else self._lives.start(asked.plain)
                case "auto":
                    self._auto.switch(asked.switch == "on")
        except ValueError as error:
            raise UsageError(show(str(error))) from None
        return None

    def _models(self, asked: Namespace) -> Record:
        """The repos that match, or one of them in depth."""
        word, *names = asked.filter or [""]
        if word == "show" and len(names) == 1:
            return choose.repo(names[0])
        if word == "verify":
            raise ValueError("checksums are computed on the command line: !cachetop models verify")
        return choose.models([*asked.filter, *asked.filters], asked.preset, asked.sort, asked.limit)


@contextmanager
def _understood() -> Iterator[None]:
    """A line that is not understood becomes IPython's usage error, without a traceback."""
    try:
        yield
    except Answered:
        return
    except Misuse as error:
        raise UsageError(show_lines(str(error))) from None


def show_lines(text: str) -> str:
    """`show` for a text of several lines."""
    return "\n".join(show(line) for line in text.split("\n"))


CachetopMagics.cachetop.__doc__ = "\n".join(
    (
        "Look at the model caches, the kernel caches and VRAM; report what a cell cost.",
        "",
        line_parser().format_help(),
        cell_parser().format_help(),
    )
)
