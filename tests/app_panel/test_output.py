"""The OUTPUT tab: what a run's worker printed, the newest at the bottom; and the commands that mend problems."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import msgspec
import pytest

from cachetop.base.record import Problem
from cachetop.cli import parser
from cachetop.conversion.folder import create
from cachetop.gpu.records import Gpus
from cachetop.hub.mending import Subject, command
from cachetop.hub.records import Models, Repo
from cachetop.kernelcache.records import Kernels
from cachetop.summary import FIXES, problems
from cachetop_tui.panel import output
from cachetop_tui.workbench.problems import Finder, review_of
from support import pictures, runs
from support.opening import opened, screen, until

SPEC = {"files": ["/docs/a.pdf"], "pipeline": "auto", "device": "auto"}


def test_the_end_of_what_was_printed_is_read_and_made_safe() -> None:
    folder = create(SPEC)
    folder.stderr.write_text("".join(f"line {n}\n\n" for n in range(50_000)) + "\x1b[31mred\x1b[0m hf_" + "A" * 34)
    lines = output.read(folder.id)
    assert len(lines) == output.MOST and lines[-2] == "line 49999"
    assert "\x1b" not in lines[-1] and "AAAA" not in lines[-1] and "red" in lines[-1]
    assert output.read("20260101-000000-none") == ()
    folder.stderr.unlink()
    os.symlink("/etc/passwd", folder.stderr)
    assert output.read(folder.id) == ()


async def test_the_tab_follows_what_is_printed_and_stays_where_one_scrolled(world: Path) -> None:
    folder = create(SPEC)
    run = runs.done()
    run = type(run)(**{**{f: getattr(run, f) for f in run.__struct_fields__}, "job": _renamed(run.job, folder.id)})
    folder.stderr.write_text("".join(f"line {n} of it\n" for n in range(40)))
    source = pictures.everything(jobs=runs.jobs(run), runs=(run,))
    async with opened((160, 45), source) as (app, pilot):
        await pilot.press("4", "v", "v", "v")
        await until(pilot, lambda: "line 39 of it" in screen(app))
        await pilot.press(*["up"] * 5)
        await until(pilot, lambda: "line 39 of it" not in screen(app) and "line 34 of it" in screen(app))
        with folder.stderr.open("a") as file:
            file.write("one more\n")
        await until(
            pilot, lambda: app.overview.panel._printed[1] is not None and len(app.overview.panel._printed[1]) == 41
        )
        assert "line 34 of it" in screen(app) and "one more" not in screen(app)
        await pilot.press("pagedown")
        await until(pilot, lambda: "one more" in screen(app))


def _renamed(job: object, name: str) -> object:
    from msgspec.structs import replace

    return replace(job, id=name)  # type: ignore[type-var]


def sick(rule: str, name: str = "org/sick model") -> Repo:
    subject = Subject("model", name, "/cache", f"models--{name.replace('/', '--')}", {"main": "a" * 40})
    fix = command(rule, subject, [("a" * 40, "model.bin")])
    return pictures.repo(name, (), problems=(Problem(rule=rule, message="It is sick.", fix=fix),))


@pytest.mark.parametrize(
    "rule",
    ["missing-blob", "wrong-size", "corrupt", "read-error", "no-snapshots", "orphan-blob", "stray-file", "foreign-link",
     "unreadable", "io-error", "missing-commit", "bad-ref", "repo-link", "not-a-folder", "too-deep"],
)  # fmt: skip
def test_each_problem_of_a_repo_has_a_command_that_can_be_run(rule: str) -> None:
    (found,) = problems(Models(repos=(sick(rule),)), Kernels(), Gpus(available=True))
    assert found.fix is not None
    words = shlex.split(found.fix)
    if words[0].startswith("CACHETOP_HUB_ROOTS="):  # /cache is none of those that are looked at
        assert words.pop(0) == "CACHETOP_HUB_ROOTS=/cache"
    assert words[0] in ("hf", "cachetop", "chmod", "sudo", "find", "findmnt", "ls", "mv", "du")
    assert "sick model" in found.fix or rule == "repo-link"
    if words[0] == "cachetop":
        parser(words[1]).parse_args(words[1:])
    if words[:2] == ["cachetop", "prune"]:
        selection = review_of(msgspec.structs.replace(found, fix=shlex.join(words)))
        assert selection is not None and selection.names == ("org/sick model",)


def test_every_general_fix_is_a_command_line_of_this_program() -> None:
    for fix in set(FIXES.values()):
        words = shlex.split(fix)
        assert words[0] == "cachetop" and parser(words[1]).parse_args(words[1:]).verb == words[1]


def test_a_name_that_looks_like_an_option_is_put_into_no_command() -> None:
    for rule in ("missing-blob", "no-snapshots"):
        (found,) = problems(Models(repos=(sick(rule, "--force"),)), Kernels(), Gpus(available=True))
        assert found.fix == "cachetop doctor"


def test_watches_that_ran_out_have_the_command_that_raises_them() -> None:
    finder = Finder()
    finder.watch("polling", "no more watches: raise fs.inotify.max_user_watches")
    assert [one.fix for one in finder.found] == ["sudo sysctl fs.inotify.max_user_watches=1048576"]
