"""Start the worker: make this folder a package of a private name and run it.

Python puts the folder of a script in front of `sys.path`; there its modules would be importable by their
bare names and could hide others. So it is taken off again before anything else is imported.
"""

import os
import sys

_FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != os.path.realpath(_FOLDER)]

import importlib  # noqa: E402
import types  # noqa: E402


def start() -> int:
    """Run the job folder named on the command line; returns the exit code."""
    if len(sys.argv) != 2:
        print("usage: PYTHON worker JOBDIR", file=sys.stderr)
        return 2
    package = types.ModuleType("cachetop_worker")
    package.__path__ = [_FOLDER]
    sys.modules["cachetop_worker"] = package
    code: int = importlib.import_module("cachetop_worker.lifecycle").main(sys.argv[1])
    return code


if __name__ == "__main__":
    sys.exit(start())
