"""Execute the notebooks of the documentation again and keep their outputs: `python docs/execute.py [NAME...]`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).with_name("notebooks")
_WRITTEN: Any = nbformat  # its functions have no types


def main() -> None:
    """Each in a kernel and a folder of its own, without a debugger's warnings."""
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    for path in sorted(FOLDER.glob("*.ipynb")):
        if len(sys.argv) > 1 and path.stem not in sys.argv[1:]:
            continue
        notebook = _WRITTEN.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            place = {"metadata": {"path": folder}}
            NotebookClient(notebook, timeout=200, resources=place, record_timing=False).execute()
        _WRITTEN.write(notebook, path)
        print(path)


if __name__ == "__main__":
    main()
