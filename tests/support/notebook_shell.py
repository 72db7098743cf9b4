"""A real InteractiveShell, and what its cells give and say."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

Shell = Any


def make_shell() -> Shell:
    """A shell of its own, without history, that keeps what is displayed."""
    from traitlets.config import Config

    config = Config()
    config.HistoryAccessor.enabled = False
    config.HistoryManager.enabled = False
    kind: Any = InteractiveShell
    return kind(config=config, display_pub_class=CapturingDisplayPublisher)


def run(shell: Shell, source: str) -> Any:
    """The result of a cell that must not fail."""
    result = shell.run_cell(source)
    assert result.success, result
    return result.result


def complaint(shell: Shell, source: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said to a cell that is misused: one message and no traceback."""
    capsys.readouterr()
    shell.run_cell(source)
    said = "".join(capsys.readouterr())
    assert "UsageError: " in said
    assert "Traceback" not in said
    return said
