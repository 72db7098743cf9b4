"""The exit codes, and the exception that carries one with its sentence."""

from __future__ import annotations

DONE = 0
FAILED = 1
"""Failed or partly failed, a root that could not be read, a partial conversion."""
USAGE = 2
NO_GPU = 3
"""A GPU or driver was asked for by name and is missing."""
NOTHING_MATCHED = 4
INTERRUPTED = 130


class Refused(Exception):
    """Stop the verb: the message says what happened, to what, and what to do."""

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code
