"""`%cachetop` and `%%cachetop`."""

from __future__ import annotations

import os
import tokenize
from importlib import import_module
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from cachetop import api
from cachetop.base.hostile import show
from cachetop.base.record import why
from cachetop.notebook import choose
from cachetop.notebook.auto import Auto
from cachetop.notebook.convert import convert
from cachetop.notebook.live import Lives
from cachetop.notebook.output import Output
from cachetop.notebook.records import Report
from cachetop.notebook.show import bundle
from cachetop.notebook.track import Track
from cachetop.notebook.words import Answered, Misuse, cell_parser, line_parser, parse


class CellFailed(Exception):
    """The cell under `%%cachetop` failed. Its traceback has been shown; this one is a single line."""

    def _render_traceback_(self) -> list[str]:
        return [f"CellFailed: {self}"]


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
        try:
            if cell is None:
                return self._line(line)
            return self._cell(line, cell)
        except Answered:
            return None
        except Misuse as error:
            raise UsageError(show_lines(str(error))) from None

    def _line(self, line: str) -> Any:
        asked = parse(line_parser(), line)
        try:
            match asked.word:
                case None | "status":
                    return api.status()
                case "models":
                    return choose.models(asked.filter)
                case "kernels":
                    return choose.kernels(asked.filter, asked.sm, asked.cache, asked.stale)
                case "gpus":
                    return api.gpus()
                case "jobs":
                    return api.jobs()
                case "doctor":
                    return import_module("cachetop.doctor.examine").examine()
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

    def _cell(self, line: str, cell: str) -> None:
        asked = parse(cell_parser(), line)
        try:
            track = Track(",".join(asked.only) or None)
        except ValueError as error:
            raise Misuse(str(error)) from None
        if asked.json is not None and not (asked.json.isidentifier() or asked.json.endswith(".json")):
            raise Misuse(f"{asked.json!r} is neither a variable's name nor a file's that ends in .json")
        failed: BaseException | None = None
        try:
            with track:
                result = self._user.run_cell(cell, silent=self._is_silenced(cell))  # type: ignore[no-untyped-call]
                failed = result.error_before_exec or result.error_in_exec
                if failed is not None:
                    raise failed
        except BaseException as error:
            if error is not failed:
                raise
        Output(self._user).show(bundle(track.report))
        self._keep(asked.json, track.report)
        if failed is not None:
            raise CellFailed(show(f"{type(failed).__name__}: {failed} (its traceback and the report are above)"))

    def _is_silenced(self, cell: str) -> bool:
        """Whether a `;` ends the cell. IPython looks at the whole cell for it, whose first line is the magic."""
        try:
            return bool(DisplayHook.semicolon_at_end_of_expression(self._user.transform_cell(cell)))  # type: ignore[no-untyped-call]
        except (SyntaxError, tokenize.TokenError):
            return False  # running it says what is wrong

    def _keep(self, name: str | None, report: Report) -> None:
        if name is None:
            return
        if name.isidentifier():
            self._user.user_ns[name] = report.to_dict()
            return
        try:
            with open(os.path.expanduser(name), "w", encoding="utf-8") as file:
                file.write(report.to_json(indent=2) + "\n")
        except OSError as error:
            raise UsageError(f"{show(name)} cannot be written: {why(error)}") from None


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
