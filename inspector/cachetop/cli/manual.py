"""The man page, made from the same parsers as the help when the package is built. Standard library only, but for
argparse-manpage: building needs nothing of what cachetop needs to run."""

from __future__ import annotations

from collections.abc import Iterator

from cachetop._version import __version__
from cachetop.cli import parser

_MORE = {
    "EXIT STATUS": {
        "0": "done; a listing with problems in it is done",
        "1": "failed or partly failed, a cache folder that could not be read, a partial conversion",
        "2": "usage or configuration",
        "3": "a GPU or a driver was asked for by name and is missing",
        "4": "--exit-code was given and nothing matched",
        "130": "interrupted",
    },
    "ENVIRONMENT": {
        "CACHETOP_CONFIG": "the configuration file, instead of the one below FILES",
        "CACHETOP_STATE_DIR": "the folder of jobs, journals and history, instead of the one below FILES",
        "CACHETOP_READ_ONLY": "1: delete nothing and bring nothing back",
        "CACHETOP_ASCII": "1: the app draws with ASCII only",
        "NO_COLOR": "the app and the reports use no colour",
    },
    "FILES": {
        "~/.config/cachetop/config.toml": "settings; `cachetop doctor` names it and says what decided on it",
        "~/.local/state/cachetop": "jobs with their outputs, journals of what was deleted, history",
        ".cachetop-trash-*": "below a cache: what the last prune took, until it is unlinked",
    },
    "NOTES": {
        "BCC": "has a tool named cachetop(8), which counts hits of the page cache. This one answers to "
        "`python -m cachetop` too.",
    },
}


def page(date: str) -> str:
    """The whole page in troff, `date` in its footer."""
    from argparse_manpage.manpage import Manpage

    found = Manpage(
        parser(whole=True),
        {
            "date": date,
            "version": __version__,
            "manual_title": "cachetop",
            "description": "models, compiled kernels and VRAM, live",
        },
        "single-commands-section",
    )
    return "\n".join([*_as_written(str(found).rstrip().splitlines()), *_sections(), ""])


def _as_written(lines: list[str]) -> Iterator[str]:
    """Lines of usage are not filled into one another, and a line that is only `...` is no request of troff's."""
    usage = False
    for line in lines:
        if line.startswith("usage: "):
            usage = True
            yield ".nf"
        elif usage and not line.strip():
            usage = False
            yield ".fi"
        yield f"\\&{line}" if usage or line.startswith(("..", "'")) else line


def _sections() -> list[str]:
    lines = []
    for title, entries in _MORE.items():
        lines.append(f".SH {title}")
        for name, text in entries.items():
            lines += [".TP", f"\\fB{_plain(name)}\\fR", _plain(text)]
    return lines


def _plain(text: str) -> str:
    """Text that troff does not interpret."""
    escaped = text.replace("\\", "\\\\").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
