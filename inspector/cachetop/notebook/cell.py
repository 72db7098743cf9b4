"""`%%cachetop`: a cell, run in the user's namespace and reported, whether it fails or not."""

from __future__ import annotations

import os
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from keyword import iskeyword
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

from cachetop.base.hostile import show
from cachetop.base.record import why
from cachetop.notebook.output import Output
from cachetop.notebook.records import Report
from cachetop.notebook.show import bundle
from cachetop.notebook.track import Track
from cachetop.notebook.words import Misuse, cell_parser, parse


class CellFailed(Exception):
    """The cell under `%%cachetop` failed. Its traceback has been shown; this one is a single line."""

    def _render_traceback_(self) -> list[str]:
        return [f"CellFailed: {self}"]


class Cell:
    """One cell with the options on its first line. Raises Misuse for options that make no sense."""

    def __init__(self, shell: InteractiveShell, line: str, source: str) -> None:
        asked = parse(cell_parser(), line)
        try:
            self._track = Track(",".join(asked.only) or None)
        except ValueError as error:
            raise Misuse(str(error)) from None
        self._json: str | None = _checked(asked.json)
        self._shell: Any = shell  # its methods have no types
        self._source = source
        self._failed: BaseException | None = None

    def run(self) -> None:
        """Run it and show its report. Raises CellFailed when it failed."""
        with self._watched():
            self._take(self._shell.run_cell(self._source, silent=self._is_silenced()))
        self._end()

    async def run_async(self) -> None:
        """The same for a cell that awaits, in the loop that is running: what IPython's `run_cell` does around it."""
        events, silent = self._shell.events, self._is_silenced()
        transformed = self._shell.transform_cell(self._source)
        with self._watched():
            result = None
            try:
                result = await self._shell.run_cell_async(self._source, silent=silent, transformed_cell=transformed)
            finally:
                events.trigger("post_execute")
                if not silent:
                    events.trigger("post_run_cell", result)
            self._take(result)
        self._end()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            with self._track:
                yield
        except BaseException as error:
            if error is not self._failed:
                raise

    def _take(self, result: ExecutionResult) -> None:
        """End the block as the cell ended."""
        self._failed = result.error_before_exec or result.error_in_exec
        if self._failed is not None:
            raise self._failed

    def _end(self) -> None:
        report, failed = self._track.report, self._failed
        Output(self._shell).show(bundle(report))
        self._keep(report)
        if failed is not None:
            said = f"{type(failed).__name__}: {failed}".removesuffix(": ")
            raise CellFailed(show(f"{said} (its traceback and the report are above)"))

    def _is_silenced(self) -> bool:
        """Whether a `;` ends the cell. IPython looks at the whole cell for it, whose first line is the magic."""
        try:
            transformed = self._shell.transform_cell(self._source)
            return bool(DisplayHook.semicolon_at_end_of_expression(transformed))  # type: ignore[no-untyped-call]
        except (SyntaxError, tokenize.TokenError):
            return False  # running it says what is wrong

    def _keep(self, report: Report) -> None:
        name = self._json
        if name is None:
            return
        if not name.endswith(".json"):
            self._shell.user_ns[name] = report.to_dict()
            return
        try:
            with open(os.path.expanduser(name), "w", encoding="utf-8") as file:
                file.write(report.to_json(indent=2) + "\n")
        except OSError as error:
            raise UsageError(f"{show(name)} cannot be written: {why(error)}") from None


def _checked(name: str | None) -> str | None:
    """Where the report goes. A cell may take hours: what cannot be is said before it runs. Raises Misuse."""
    if name is None or (name.isidentifier() and not iskeyword(name)):
        return name
    if not name.endswith(".json"):
        raise Misuse(f"{name!r} is neither a variable's name nor a file's that ends in .json")
    folder = os.path.dirname(os.path.expanduser(name)) or "."
    if not os.path.isdir(folder):
        raise Misuse(f"{name!r} cannot be written: there is no folder {folder!r}")
    return name
