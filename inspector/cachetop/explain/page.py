"""The page itself: which block follows which, filled with words and figures."""

from __future__ import annotations

import os

from cachetop.base import units
from cachetop.base.hostile import clean
from cachetop.explain.blocks import Block, Bullets, Command, Grid, Heading, Paragraph, markdown
from cachetop.explain.example import EXAMPLE
from cachetop.explain.figures import CacheFigure, Figures
from cachetop.explain.words import Words, load

_STARTS = ("cold", "disk_warm", "resident")


def page(words: Words, figures: Figures, example: bool = False) -> list[Block]:
    """All blocks. `example`: the figures are those of the docs, not of the reader's machine."""
    values = _values(words, figures)
    return [
        Heading(words("title"), 1),
        Paragraph(words("lead")),
        *_here(words, figures, values, example),
        Heading(words("differences.heading")),
        _differences(words, values),
        Heading(words("starts.heading")),
        Paragraph(words("starts.body")),
        _starts(words),
        Paragraph(words("starts.after")),
        *([] if example else _runs(words, figures)),
        Heading(words("compiles.heading")),
        Paragraph(words("compiles.body")),
        _bullets(words, "compiles.items", values),
        Heading(words("commands.heading")),
        *_commands(words, values),
        Heading(words("folklore.heading")),
        *_folklore(words),
        Heading(words("terms.heading")),
        _bullets(words, "terms.items", values),
        Heading(words("more.heading")),
        Paragraph(words("more.body")),
    ]


def document(language: str) -> str:
    """The page in docs/ as Markdown, with the figures of the example. Raises ValueError for an unknown language."""
    words = load(language)
    head = f"<!-- {words('words.generated')} -->\n\n{words('words.other_language')}\n\n"
    return head + markdown(page(words, EXAMPLE, example=True))


def _here(words: Words, figures: Figures, values: dict[str, str], example: bool) -> list[Block]:
    lines = [values["gpu_line"]]
    where = {"path": _home(figures.hub_path), "why": _why(words, figures.hub_variable)}
    lines.append(words("machine.hub" if figures.hub_exists else "machine.hub_missing", **where))
    lines += [
        words(
            "machine.cache",
            kind=cache.kind,
            path=_home(cache.path),
            why=_why(words, cache.variable),
            entries=_count(words, cache.entries),
            size=_size(words, cache.size),
        )
        for cache in figures.caches
        if cache.exists
    ]
    absent = [f"{cache.kind} (`{_home(cache.path)}`)" for cache in figures.caches if not cache.exists]
    if absent:
        lines.append(words("machine.caches_missing", caches=", ".join(absent)))
    if figures.by_sm:
        lines.append(words("machine.by_sm", by_sm=", ".join(f"{sm}: {count}" for sm, count in figures.by_sm)))
    if figures.usable is not None:
        lines.append(words("machine.usable", usable=str(figures.usable), known=str(figures.known)))
    heading = Heading(words("words.example_heading" if example else "words.here_heading"))
    return [heading, *([Paragraph(words("words.example_note"))] if example else []), Bullets(tuple(lines))]


def _differences(words: Words, values: dict[str, str]) -> Grid:
    rows = []
    for name in words.below("differences.rows"):
        row = f"differences.rows.{name}"
        rows.append((words(f"{row}.label"), words(f"{row}.model", **values), words(f"{row}.kernel", **values)))
    return Grid(("", words("words.model"), words("words.kernel")), tuple(rows))


def _starts(words: Words) -> Grid:
    rows = [
        tuple(words(f"starts.rows.{name}.{column}") for column in ("label", *_STARTS))
        for name in words.below("starts.rows")
    ]
    return Grid(("", *(words(f"starts.{state}") for state in _STARTS)), tuple(rows))


def _runs(words: Words, figures: Figures) -> list[Block]:
    """This machine's own runs, to hold against the table above."""
    if not figures.runs:
        return [Paragraph(words("starts.no_run"))]
    lines = []
    for run in figures.runs:
        known = run.start.replace("-", "_") if run.start else "no_models"
        phases = ", ".join(
            f"{words(f'starts.phases.{name}')} {_duration(words, seconds * 1000)}" for name, seconds in run.phases
        )
        lines.append(
            words(
                "starts.run",
                state=words(f"starts.{known}"),
                pipeline=run.pipeline,
                pages=str(run.pages),
                phases=phases or words("words.unknown"),
            )
        )
    return [Paragraph(words("starts.here")), Bullets(tuple(lines))]


def _bullets(words: Words, key: str, values: dict[str, str]) -> Bullets:
    return Bullets(tuple(words(f"{key}.{name}", **values) for name in words.below(key)))


def _commands(words: Words, values: dict[str, str]) -> list[Block]:
    blocks: list[Block] = []
    for name in words.below("commands.rows"):
        row = f"commands.rows.{name}"
        blocks.append(Command(words(f"{row}.command")))
        blocks.append(Paragraph(f"{words('words.shows')}: {words(f'{row}.shows')}"))
        blocks.append(Paragraph(f"{words('words.here')}: {words(f'{row}.here', **values)}"))
    return blocks


def _folklore(words: Words) -> list[Block]:
    rows = [f"folklore.rows.{name}" for name in words.below("folklore.rows")]
    head = ("", words("folklore.said"), words("folklore.true"))
    return [Grid(head, tuple((str(i), words(f"{row}.said"), words(f"{row}.true")) for i, row in enumerate(rows, 1)))]


def _values(words: Words, figures: Figures) -> dict[str, str]:
    """Every placeholder that more than one text may use."""

    def place(kind: str) -> str:
        found = figures.cache(kind)
        return _home(found.path) if found else words("words.unknown")

    largest = figures.largest
    return {
        "hub_path": _home(figures.hub_path),
        "hub_state": _hub_state(words, figures),
        "hf_home": _home(figures.hf_home),
        "token": words("words.yes" if figures.token else "words.missing"),
        "repos": _count(words, figures.repos),
        "models_size": _size(words, figures.models_size),
        "largest": f"`{clean(largest[0])}`, {_size(words, largest[1])}" if largest else words("words.none"),
        "entries": _count(words, figures.entries),
        "kernels_size": _size(words, figures.kernels_size),
        "entry_median": _size(words, figures.entry_median),
        "build_median": _duration(words, figures.build_median),
        "build_total": _duration(words, figures.build_total),
        "triton_path": place("triton"),
        "inductor_path": place("inductor"),
        "nvrtc_path": place("nvrtc"),
        "driver_path": place("cuda-driver"),
        "nvrtc_state": _cache_state(words, figures.cache("nvrtc")),
        "gpu_line": _gpu_line(words, figures),
    }


def _gpu_line(words: Words, figures: Figures) -> str:
    if not figures.gpus:
        return words("machine.no_gpu")
    unknown = words("words.unknown")
    return "; ".join(
        words(
            "machine.gpu",
            name=gpu.name,
            sm=gpu.sm or unknown,
            used=unknown if gpu.used is None else _number(words, units.memory(gpu.used)),
            total=unknown if gpu.total is None else _number(words, units.memory(gpu.total)),
        )
        for gpu in figures.gpus
    )


def _hub_state(words: Words, figures: Figures) -> str:
    if not figures.hub_exists:
        return words("words.missing")
    if figures.repos is None:
        return words("words.unknown")
    return words("words.repos", count=str(figures.repos), size=_size(words, figures.models_size))


def _cache_state(words: Words, cache: CacheFigure | None) -> str:
    if cache is None or not cache.exists:
        return words("words.missing")
    return words("words.entries", count=_count(words, cache.entries), size=_size(words, cache.size))


def _why(words: Words, variable: str | None) -> str:
    return words("words.set_by", variable=variable) if variable else words("words.default")


def _count(words: Words, count: int | None) -> str:
    return words("words.unknown") if count is None else str(count)


def _size(words: Words, count: int | None) -> str:
    return words("words.unknown") if count is None else _number(words, units.size(count))


def _duration(words: Words, milliseconds: float | None) -> str:
    if milliseconds is None:
        return words("words.unknown")
    return _number(words, units.duration(milliseconds / 1000))


def _number(words: Words, text: str) -> str:
    """A number with its unit as the language writes it."""
    return text.replace(".", ",") if words.language == "es" else text


def _home(path: str) -> str:
    """A path safe to show, with the home folder as `~`."""
    home = os.path.expanduser("~")
    return clean("~" + path[len(home) :] if path.startswith(home + "/") else path)
