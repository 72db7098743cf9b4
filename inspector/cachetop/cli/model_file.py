"""`cachetop models show REPO --file NAME`: one file of a revision, as the app's document shows it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.cli.exits import DONE, FAILED, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachetop.hub.one_file import AboutFile
    from cachetop.hub.records import File, Repo, Revision

_LINES = 20
"""Lines of a text, and names of the same blob, that are shown to people."""


def run(repos: Sequence[Repo], revision: str | None, name: str, as_json: bool) -> int:
    """Describe the file `name` of the first of `repos` that has it. Raises Refused."""
    from cachetop.cli.table import emit
    from cachetop.hub.one_file import describe_file

    try:
        about = describe_file(*_find(repos, revision, name))
    except LookupError as gone:
        raise Refused(str(gone.args[0]), FAILED) from None
    if as_json:
        emit(about)
    else:
        print("\n".join(report(about)))
    return DONE


def _find(repos: Sequence[Repo], revision: str | None, name: str) -> tuple[Repo, Revision, File]:
    from cachetop.hub.about import described

    wrong, known = "", []
    for repo in repos:
        try:
            chosen = described(repo, revision)
        except LookupError as error:
            wrong = wrong or f"{error.args[0]}; `cachetop models show {repo.id}` lists them."
            continue
        if chosen is None:
            continue
        file = next((file for file in chosen.files if file.name == name), None)
        if file is not None:
            return repo, chosen, file
        known += [file.name for file in chosen.files]
    raise Refused(wrong or f"{repos[0].id} has no file {clean(name)!r} here.{_like(name, known)}", FAILED)


def _like(name: str, known: Sequence[str]) -> str:
    """Names that may have been meant."""
    from difflib import get_close_matches

    found = [each for each in known if each.rpartition("/")[2] == name][:3] or get_close_matches(name, known[:5000], 3)
    return f" Is it {' or '.join(dict.fromkeys(found))}?" if found else ""


def report(about: AboutFile) -> Iterator[str]:
    """The lines for people."""
    from cachetop.cli.models_show import tensor_lines
    from cachetop.cli.table import table
    from cachetop.hub.file_facts import file_facts

    yield f"{about.repo}  {about.name}"
    yield from (f"  {label:<14}{clean(text)}" for label, text in file_facts(about, time.time()))
    if about.problem:
        yield f"  {about.problem}"
    if about.shared:
        rows = [(one.commit[:12], ", ".join(one.refs) or "detached", one.name) for one in about.shared[:_LINES]]
        yield from ("", *table(("THE SAME BLOB", "REFS", "NAME"), rows))
        if about.sharers > len(rows):
            yield f"… and {about.sharers - len(rows):,} more"
    if about.tensors:
        yield from ("", *tensor_lines(about.tensors))
    elif about.text is not None:
        yield from ("", *about.text[:_LINES])
        if not about.text_whole or len(about.text) > _LINES:
            yield f"… it goes on, {units.size(about.size)} in all"
