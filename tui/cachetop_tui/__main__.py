"""The `cachetop` command: no verb opens the app, a verb goes to the headless half without Textual."""

from __future__ import annotations

import sys


def main() -> int:
    """Entry point; returns the exit code."""
    words = sys.argv[1:]
    from cachetop.cli import main as headless

    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if terminal and words[:1] == ["demo"] and not {"--once", "-h", "--help"} & set(words):
        return _demo(words)
    if words or not terminal:
        return headless(words)
    from cachetop_tui.app import run

    return run()


def _demo(words: list[str]) -> int:
    """Build the sandbox, move into it and open the app on it."""
    from cachetop.cli import parser
    from cachetop.cli.demo import prepare
    from cachetop.cli.exits import INTERRUPTED, USAGE, Refused

    try:
        sandbox = prepare(parser("demo").parse_args(words))
    except Refused as refused:
        print(f"cachetop: {refused}", file=sys.stderr)  # noqa: T201
        return refused.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    from cachetop_tui.app import run

    return run(sandbox)


if __name__ == "__main__":
    sys.exit(main())
