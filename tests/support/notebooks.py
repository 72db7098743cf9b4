"""Executes a notebook in a real kernel and finds the reports in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
_nbformat: Any = nbformat  # its functions have no types
REPORT = "application/vnd.cachetop.report.v1+json"


def read(name: str) -> Any:
    """A notebook of the documentation, with whatever outputs it was saved with."""
    return _nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def of_cells(*sources: str) -> Any:
    """A new notebook."""
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    v4 = _nbformat.v4
    return v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources], metadata={"kernelspec": spec})


def execute(notebook: Any, folder: Path, allow_errors: bool = False) -> Any:
    """The same notebook with fresh outputs; its kernel is this Python, and it begins in `folder`."""
    kernels = Path(sys.prefix) / "share" / "jupyter" / "kernels" / "python3"
    assert kernels.is_dir()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}},
        allow_errors=allow_errors,
    )  # fmt: skip
    client.execute()
    nbformat.validate(notebook)
    return notebook


def reports(notebook: Any) -> list[dict[str, Any]]:
    """Every report in the outputs, in order."""
    return [data[REPORT] for data in bundles(notebook) if REPORT in data]


def bundles(notebook: Any) -> list[dict[str, Any]]:
    """Every MIME bundle in the outputs, in order."""
    return [
        output["data"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output
    ]
