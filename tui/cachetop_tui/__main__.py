"""The `cachetop` command: no verb opens the app, a verb goes to the headless half without Textual."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Entry point; returns the exit code."""
    words = sys.argv[1:]
    from cachetop.cli import APP_OPTIONS
    from cachetop.cli import main as headless
    from cachetop_tui.terminal import can_draw

    asked = APP_OPTIONS.keys() & set(words)
    rest = [word for word in words if word not in APP_OPTIONS]
    drawn = can_draw(os.environ, sys.stdin.isatty() and sys.stdout.isatty())
    if rest[:1] == ["keys"] and drawn:
        _name_commands()
    if rest and rest[0] != "demo":
        return headless(words)
    if "--ascii" in asked:
        os.environ["CACHETOP_ASCII"] = "1"
    if "--read-only" in asked:
        os.environ["CACHETOP_READ_ONLY"] = "1"
    mouse = "--no-mouse" not in asked
    if drawn and rest[:1] == ["demo"] and not {"--once", "-h", "--help"} & set(rest):
        return _demo(rest, mouse)
    if rest or not drawn:
        return headless(rest)
    from cachetop_tui.app import run

    return run(mouse=mouse)


def _name_commands() -> None:
    """Let `cachetop keys` say which command each key runs."""
    from cachetop.cli import keys
    from cachetop_tui.commands.meaning import meaning

    keys.meaning = meaning


def _demo(words: list[str], mouse: bool) -> int:
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

    return run(sandbox, mouse)


if __name__ == "__main__":
    sys.exit(main())
