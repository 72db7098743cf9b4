"""`%cachetop prune` and `undo`: a plan first, deleted when it is confirmed, brought back."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachetop.cli import prune as cli
from cachetop.notebook.words import complete, line_parser, parse
from cachetop.prune.records import Blocked, Cost, Failed, Item, Keeping, Plan, Rebuild, Result, Skipped, Undone
from support import hubcache, triton_cache
from support.notebook_shell import Shell, complaint, run
from support.pruning import allocated, picture, trash_of


@pytest.fixture(autouse=True)
def no_emptier_left(world: Path) -> Iterator[None]:
    """End the detached processes that this test's plans started, by the journal they were given."""
    yield
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"cachetop.prune.emptier" in words and any(word.startswith(os.fsencode(world)) for word in words):
            os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def triton(world: Path) -> Path:
    """A Triton cache of 14 entries, two of them for sm_75, that nobody is compiling into."""
    root = triton_cache.synthetic(world / ".triton" / "cache", 14)
    triton_cache.backdate(root, 60)
    return root


def forms(shown: Any) -> tuple[str, str]:
    bundle = shown._repr_mimebundle_()
    return bundle["text/plain"], bundle["text/html"]


def test_a_plan_is_shown_and_nothing_goes_before_it_is_confirmed(shell: Shell, triton: Path) -> None:
    before, occupied = picture(triton), allocated(triton)
    planned = run(shell, "planned = %cachetop prune kernels --sm 7.5 --now\nplanned")
    assert len(planned.plan.items) == 2
    for shown in forms(planned):
        assert "2 items would go" in shown and "Nothing has been deleted" in shown and "execute()" in shown
        assert all((item.name or item.key) in shown for item in planned.plan.items)
    assert picture(triton) == before
    result = run(shell, "planned.execute()")
    assert len(result.deleted) == 2
    assert result.freed == planned.plan.frees == occupied - allocated(triton)
    assert not trash_of(triton)
    for shown in (*forms(result), *forms(planned)):
        assert "2 deleted" in shown or "was executed" in shown


def test_undo_brings_it_back(shell: Shell, hub: Path) -> None:
    hubcache.settle(hub)
    before = picture(hub)
    result = run(shell, "%cachetop prune models org/model --yes")
    assert "1 item would go" in shell.display_pub.outputs[-1]["data"]["text/plain"]
    assert not (hub / "models--org--model").exists() and (hub / "models--other--thing").exists()
    assert result.held and f"%cachetop undo {result.id}" in forms(result)[1]
    undone = run(shell, "%cachetop undo")
    assert undone.id == result.id and "1 item brought back" in forms(undone)[0]
    assert picture(hub) == before


def test_a_plan_is_executed_once(shell: Shell, triton: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, "planned = %cachetop prune kernels --sm 75 --now\nplanned.execute()")
    assert "executed before" in complaint(shell, "planned.execute()", capsys)


@pytest.mark.parametrize("how", ["open", "mmap"])
def test_what_this_kernel_uses_is_blocked(shell: Shell, hub: Path, how: str) -> None:
    hubcache.settle(hub)
    weights = hub / "models--org--model" / "snapshots" / hubcache.COMMIT / "onnx" / "model.onnx"
    planned = run(shell, "planned = %cachetop prune models --all --now\nplanned")
    assert len(planned.plan.items) == 2
    run(shell, f"import mmap\nheld = open({str(weights)!r}, 'rb')")
    if how == "mmap":
        run(shell, "file, held = held, mmap.mmap(held.fileno(), 0, prot=mmap.PROT_READ)\nfile.close()")
    later = run(shell, "%cachetop prune models --all --dry-run")
    assert [item.key for item in later.items] == ["other/thing"]
    assert f"in use: open or mapped by this process (pid {os.getpid()})" in forms(later)[0]
    assert "  org/model" in forms(later)[0]
    assert len(run(shell, "%cachetop prune models --all --dry-run --force").items) == 2
    result = run(shell, "planned.execute()")  # it was free when the plan was made
    assert [Path(path).name for path in result.deleted] == ["models--other--thing"]
    assert weights.exists() and "this process" in forms(result)[1]
    run(shell, "held.close()")
    assert len(run(shell, "%cachetop prune models --all --now --yes").deleted) == 1
    assert not weights.exists()


def test_the_trash_is_shown_and_emptied_when_confirmed(shell: Shell, triton: Path) -> None:
    assert "The trash is empty" in forms(run(shell, "%cachetop prune trash"))[0]
    first, second = (run(shell, f"%cachetop prune kernels --sm {sm} --yes") for sm in ("75", "80"))
    held = trash_of(triton)
    assert len(held) == 2 and first.held and second.held
    waiting = run(shell, "waiting = %cachetop prune trash\nwaiting")
    assert set(waiting.plans) == {first.id, second.id}
    for shown in forms(waiting):
        assert "holds 2 plans" in shown and "execute()" in shown and first.id in shown
    notes = run(shell, "%cachetop prune trash --dry-run").notes
    assert notes[0] == "2 plans have something in the trash" and "can be brought back until" in notes[1]
    kept = run(shell, "%cachetop prune trash --cancel").notes
    assert len(kept) == 3 and all("kept until you empty the trash" in note for note in kept[1:])
    assert trash_of(triton) == held
    result = run(shell, "waiting.execute()")
    assert result.freed == first.held + second.held and not result.failed and not trash_of(triton)
    assert "The trash was emptied" in forms(result)[1]
    run(shell, "%cachetop prune kernels --sm 86 --yes")
    assert trash_of(triton)
    assert run(shell, "%cachetop prune trash --yes").freed and not trash_of(triton)


def test_the_policy_of_the_configuration(
    shell: Shell, triton: Path, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no [[prune.policy]]" in complaint(shell, "%cachetop prune --policy", capsys)
    assert "leave kernels" in complaint(shell, "%cachetop prune --policy kernels --all", capsys)
    config = world / ".config" / "cachetop" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[[prune.policy]]\nwhat = "kernels"\nsm = "75"\n[[prune.policy]]\nwhat = "kernels"\nsm = "80"\n')
    before = picture(triton)
    planned = run(shell, "planned = %cachetop prune --policy --now\nplanned")
    assert {item.sm for item in planned.plan.items} == {("sm_75",), ("sm_80",)}
    assert len(run(shell, "%cachetop prune --policy --dry-run").items) == len(planned.plan.items) == 4
    assert "read-only" in complaint(shell, "%cachetop prune --policy --yes --read-only", capsys)
    assert picture(triton) == before
    assert len(run(shell, "%cachetop prune --policy --yes --now").deleted) == 4
    assert not trash_of(triton)


@pytest.mark.parametrize("by", ["variable", "option"])
def test_read_only_refuses(
    shell: Shell, triton: Path, by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = picture(triton)
    option = "--read-only" if by == "option" else ""
    run(shell, f"planned = %cachetop prune kernels --all {option}\nplanned")
    if by == "variable":
        monkeypatch.setenv("CACHETOP_READ_ONLY", "1")
    run(shell, f"waiting = %cachetop prune trash {option}\nwaiting")
    for line in (
        "planned.execute()", f"%cachetop prune kernels --all --yes {option}", f"%cachetop undo {option}",
        "waiting.execute()", f"%cachetop prune trash --yes {option}",
    ):  # fmt: skip
        assert "read-only" in complaint(shell, line, capsys)
    assert picture(triton) == before


def test_the_configuration_counts(shell: Shell, triton: Path, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = world / ".config" / "cachetop" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[prune]\nundo = "0s"\nkeep = ["*"]\n')
    planned = run(shell, "planned = %cachetop prune kernels --sm 75\nplanned")
    assert not planned.plan.items and len(planned.plan.kept) == 2
    for shown in forms(planned):
        assert "Nothing to delete" in shown and "matches *" in shown and "execute" not in shown
    config.write_text('[prune]\nundo = "0s"\n')
    assert run(shell, "%cachetop prune kernels --sm 75 --yes").undo_until is None
    config.write_text('[prune]\nkeeep = ["*"]\n')
    assert "keeep" in complaint(shell, "%cachetop prune kernels --all --yes", capsys)


def test_a_large_plan_is_confirmed_by_its_size(
    shell: Shell, triton: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cachetop.base import units
    from cachetop.notebook import prune

    monkeypatch.setattr(prune, "THRESHOLD", 10)
    planned = run(shell, "planned = %cachetop prune kernels --sm 75 --now\nplanned")
    size = units.size(planned.plan.frees)
    assert f'execute("{size}")' in forms(planned)[0]
    assert size in complaint(shell, "planned.execute()", capsys)
    assert size in complaint(shell, "planned.execute('1 B')", capsys)
    assert len(run(shell, f"planned.execute({size!r})").deleted) == 2


def test_an_interrupt_stops_between_two_repos(shell: Shell, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cachetop.prune.execute import execute

    def interrupted(draft: Any, state: Path, **given: Any) -> Result:
        return execute(draft, state, progress=lambda *_: os.kill(os.getpid(), signal.SIGINT), **given)

    hubcache.settle(hub)
    monkeypatch.setattr("cachetop.notebook.prune.execute", interrupted)
    outcome = shell.run_cell("planned = %cachetop prune models --all\nplanned.execute()")
    assert isinstance(outcome.error_in_exec, KeyboardInterrupt)
    result = shell.user_ns["planned"].result
    assert len(result.deleted) == len(result.skipped) == 1
    assert "1 deleted" in shell.display_pub.outputs[-1]["data"]["text/plain"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%cachetop prune", "kernels or models"),
        ("%cachetop prune jobs", "invalid choice"),
        ("%cachetop prune kernels", "selector"),
        ("%cachetop prune models --yes", "selector"),
        ("%cachetop prune kernels --sm ninety", "SM"),
        ("%cachetop prune models --older-than soon", "soon"),
        ("%cachetop prune models --filter size>>1", "filter"),
        ("%cachetop undo", "No plan was executed"),
        ("%cachetop undo 0123", "no plan 0123"),
    ],
)
def test_misuse_deletes_nothing(
    shell: Shell, hub: Path, triton: Path, line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = picture(hub), picture(triton)
    assert said in complaint(shell, line, capsys)
    assert (picture(hub), picture(triton)) == before


def test_a_dry_run_is_a_record_only(shell: Shell, triton: Path) -> None:
    found = run(shell, "%cachetop prune kernels --all --dry-run --yes")
    assert isinstance(found, Plan) and len(found.items) == 14 and not hasattr(found, "execute")
    assert "14 items would go" in forms(found)[0]
    assert len(list(triton.iterdir())) == 14


@pytest.mark.parametrize("what", ["kernels", "models"])
def test_it_takes_the_selectors_of_the_command_line(what: str) -> None:
    def options(parser: argparse.ArgumentParser) -> dict[str, Any]:
        for word in ("prune", what):
            (inner,) = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
            parser = inner.choices[word]
        found = {name: action for action in parser._actions for name in action.option_strings}
        return {name: (action.nargs, action.default, type(action)) for name, action in found.items()}

    terminal = argparse.ArgumentParser()
    cli.add(terminal.add_subparsers())
    expected = {name: one[0::2] for name, one in options(terminal).items() if name not in ("--json", "--exit-code")}
    assert {name: one[0::2] for name, one in options(line_parser()).items()} == expected
    assert set(complete(f"%cachetop prune {what} --", "--")) >= {name for name in expected if name.startswith("--")}
    assert parse(line_parser(), f"prune {what} a b --all").names == ["a", "b"]


def test_names_in_a_plan_are_no_html() -> None:
    text = "<script>alert(1)</script> HF_TOKEN=hf_abcdefghijklm\x1b[31m"
    item = Item(
        kind=text,
        key=text,
        path=text,
        size_on_disk=1,
        reasons=(text,),
        rebuild=Rebuild(note=text),
        name=text,
        sm=(text,),
    )
    failed, skipped = (Failed(path=text, error=text),), (Skipped(path=text, reason=text),)
    plan = Plan(
        id=text, items=(item,), blocked=(Blocked(path=text, reason=text),), missing=(text,), notes=(text,),
        kept=(Keeping(path=text, key=text, pattern=text),), cost=Cost(milliseconds=None, download=None, sentence=text),
    )  # fmt: skip
    for record in (
        plan,
        Result(id=text, deleted=(text,), failed=failed, skipped=skipped, notes=(text,), undo_until=1.0),
        Undone(id=text, restored=(text,), failed=failed, skipped=skipped),
    ):
        plain, html = forms(record)
        assert "<script" not in html and "alert(1)" in html
        assert "abcdefghijklm" not in plain + html and "\x1b" not in plain + html
