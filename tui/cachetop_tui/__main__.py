"""The `cachetop` command: no verb opens the app, a verb goes to the headless half without Textual."""

from __future__ import annotations

import sys


def main() -> int:
    """Entry point; returns the exit code."""
    words = sys.argv[1:]
    from cachetop.cli import main as headless

    if words or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return headless(words)
    from cachetop_tui.app import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
