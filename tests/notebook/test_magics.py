"""The magics, in a real InteractiveShell."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from cachetop import api
from cachetop.gpu.records import Gpu, Gpus, Memory
from cachetop.notebook.show import text
from support import hubcache, notebooks, triton_cache
from support.notebook_shell import Shell, complaint, make_shell, run


def test_snapshots(shell: Shell, hub: Path) -> None:
    assert [repo.id for repo in run(shell, "%cachetop models").repos] == ["org/model", "other/thing"]
    assert [repo.id for repo in run(shell, "%cachetop models org/*").repos] == ["org/model"]
    assert run(shell, "%cachetop models size>1TB").repos == ()
    assert run(shell, "%cachetop gpus").schema == "cachetop.gpus/1"
    assert run(shell, "%cachetop jobs").schema == "cachetop.jobs/1"
    assert run(shell, "%cachetop doctor").schema == "cachetop.doctor/1"
    assert run(shell, "%cachetop").schema == "cachetop.status/1"


def test_snapshots_take_filters(shell: Shell, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [repo.id for repo in run(shell, "%cachetop models --filter size>1KB other/*").repos] == ["other/thing"]
    everything = run(shell, "%cachetop doctor")
    places = run(shell, "%cachetop doctor places")
    assert {one.area for one in places.findings} == {"places"} and len(places.findings) < len(everything.findings)
    assert {one.subject for one in run(shell, "%cachetop doctor HF_HOME").findings} == {"HF_HOME"}
    notes = run(shell, "%cachetop doctor severity=note area=places")
    assert notes.findings and "note" in notes._repr_mimebundle_()["text/plain"].split("\n")[0]


def test_gpus_are_chosen_by_index_name_or_memory(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two = tuple(
        Gpu(
            index=n,
            uuid=f"GPU-{n}",
            name=name,
            sm=sm,
            memory=Memory(total=80 << 30, used=0, free=free << 30, reserved=0),
            utilization=None,
            temperature=None,
            power=None,
            processes=(),
            unattributed=None,
        )
        for n, (name, sm, free) in enumerate((("NVIDIA H100", "sm_90", 70), ("NVIDIA A100", "sm_80", 3)))
    )
    monkeypatch.setattr(api, "gpus", lambda: Gpus(available=True, gpus=two))
    for words, chosen in (("", [0, 1]), ("1", [1]), ("*h100", [0]), ("free>20GB", [0]), ("sm=80", [1]), ("gpu-0", [0])):
        assert [gpu.index for gpu in run(shell, f"%cachetop gpus {words}").gpus] == chosen
    assert {"0", "1"} <= set(completions(shell, "%cachetop gpus "))
    assert "there are GPU 0 (NVIDIA H100), GPU 1" in complaint(shell, "%cachetop gpus 7", capsys)


def test_models_by_words_presets_order_and_one_in_depth(shell: Shell, hub: Path) -> None:
    hubcache.healthy(hub, "org/large", weights=90_000)
    (hub / "models--org--large" / "snapshots" / hubcache.OTHER).mkdir()
    found = run(shell, "%cachetop models --sort size --limit 1")
    assert [repo.id for repo in found.repos] == ["org/large"]
    assert f"Models: 1 shown of {found.total} repos" in text(found) and found.total == 3
    assert [repo.id for repo in run(shell, "%cachetop models superseded").repos] == ["org/large"]
    assert [repo.id for repo in run(shell, "%cachetop models --preset superseded").repos] == ["org/large"]
    names = [repo.id for repo in run(shell, "%cachetop models --sort name:desc").repos]
    assert names == sorted(names, reverse=True), "and it is shown in that order"
    rows = [line.split()[0] for line in text(run(shell, "%cachetop models --sort name:desc")).splitlines()[3:6]]
    assert rows == names
    one = run(shell, "%cachetop models show org/large@main")
    assert (one.id, one.revision) == ("org/large", hubcache.COMMIT)
    assert "complete" in text(one) and "REVISION" in text(one)


def test_kernels_by_sm(shell: Shell, world: Path) -> None:
    root = world / ".triton" / "cache"
    triton_cache.synthetic(root, 14)
    found = run(shell, "%cachetop kernels --sm 9.0 --cache triton")
    assert {entry.sm for entry in found.entries} == {("sm_90",)}
    assert len(run(shell, "%cachetop kernels triton_poi_fused_3").entries) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%cachetop nonsense", "invalid choice"),
        ("%cachetop models size>>1", "filter"),
        ("%cachetop models siz>1", "'siz' is not a filter here; there are accessed,"),
        ("%cachetop models type>1", "the filter on 'type' compares texts"),
        ("%cachetop models --sort colour", "is no order; there are accessed,"),
        ("%cachetop models --limit -1", "--limit"),
        ("%cachetop models --preset none", "stale-partials"),
        ("%cachetop models show no/where", "no repo 'no/where' is in the cache"),
        ("%cachetop models verify", "on the command line"),
        ("%cachetop kernels --sm ninety", "SM"),
        ("%cachetop kernels --cache nope", "triton"),
        ("%cachetop convert", "required"),
        ("%cachetop convert not-there.pdf", "is not a file"),
        ("%cachetop auto maybe", "on"),
        ("%cachetop doctor severity>warning", "only = and !="),
        ("%cachetop kernels --assume-sm ninety", "SM"),
        ("%cachetop models 'open", "cannot be read"),
        ("%%cachetop --only disks\n1", "models, kernels, vram"),
        ("%%cachetop --json 1x\n1", "variable"),
        ("%%cachetop --json class\n1", "variable"),
        ("%%cachetop --json nowhere/report.json\n1", "no folder"),
        ("%%cachetop --nope\n1", "unrecognized"),
    ],
)
def test_misuse_is_one_sentence(shell: Shell, line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in complaint(shell, line, capsys)


def test_help_is_printed(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, "%cachetop kernels --help")
    assert "--stale" in capsys.readouterr().out
    assert "--only" in shell.find_line_magic("cachetop").__doc__


def report_of(shell: Shell) -> dict[str, Any]:
    """The one report that was displayed."""
    (shown,) = shell.display_pub.outputs
    shell.display_pub.outputs.clear()
    found: dict[str, Any] = shown["data"]["application/vnd.cachetop.report.v1+json"]
    return found


def test_a_cell_is_run_in_the_users_namespace_and_reported(
    shell: Shell, hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hub / "models--org--model" / "snapshots" / hubcache.COMMIT / "config.json"
    shell.user_ns["path"] = path
    run(shell, "%%cachetop --json kept\ncontent = open(path).read()\nlen(content)")
    report = report_of(shell)
    assert report["models"][0]["repo"] == "org/model"
    assert shell.user_ns["content"] == path.read_text()
    assert shell.user_ns["kept"] == report
    assert str(len(path.read_text())) in capsys.readouterr().out  # the last expression is echoed


def test_the_report_goes_to_a_file(shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, f"%%cachetop --json {tmp_path}/report.json\n1")
    assert json.loads((tmp_path / "report.json").read_text())["schema"] == "cachetop.report/1"
    assert "cannot be written" in complaint(shell, f"%%cachetop --json {tmp_path}/no/report.json\n1", capsys)


def test_a_failing_cell_is_reported_and_fails(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    result = shell.run_cell("%%cachetop\n1/0")
    assert not result.success  # so that `run all` stops
    said = "".join(capsys.readouterr())
    assert said.count("Traceback (most recent call last)") == 1  # its own; ours is one line
    assert "CellFailed: ZeroDivisionError: division by zero" in said
    assert [problem["rule"] for problem in report_of(shell)["problems"]] == ["exception"]


def test_a_cell_may_await(shell: Shell) -> None:
    run(shell, "%%cachetop\nimport asyncio\nawait asyncio.sleep(0.05)\ndone = True")
    assert shell.user_ns["done"]
    assert report_of(shell)["seconds"] >= 0.05


AWAITING = {
    "value": "%%cachetop --json first\nimport asyncio\nawait asyncio.sleep(0.05)\ntext = open(path).read()\nlen(text)",
    "quiet": "%%cachetop\nawait asyncio.sleep(0)\n5;",
    "loop": "%%cachetop\nassert asyncio.get_running_loop() is loop\nawait asyncio.sleep(0)",
    "fails": "%%cachetop --json failed\nawait asyncio.sleep(0)\n1 / 0",
    "interrupted": "%%cachetop --json cut\nimport os, signal\n"
    "asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGINT)\nawait asyncio.sleep(60)",
    "misused": "%%cachetop --only disks\nawait asyncio.sleep(0)",
    "keeps": "first['models'][0]['repo'], failed['problems'][0]['message'], cut['problems'][0]['rule']",
}


def test_cells_await_in_the_loop_of_a_real_kernel(hub: Path, tmp_path: Path) -> None:
    path = hub / "models--org--model" / "snapshots" / hubcache.COMMIT / "config.json"
    first = f"%load_ext cachetop\nimport asyncio\npath = {str(path)!r}\nloop = asyncio.get_running_loop()"
    done = notebooks.execute(notebooks.of_cells(first, *AWAITING.values()), tmp_path, allow_errors=True)
    shown = dict(zip(AWAITING, (cell.outputs for cell in done.cells[1:]), strict=True))
    kinds = {name: [output.output_type for output in outputs] for name, outputs in shown.items()}
    assert kinds["value"] == ["execute_result", "display_data"]
    assert shown["value"][0]["data"]["text/plain"] == str(len(path.read_text()))
    assert kinds["quiet"] == kinds["loop"] == ["display_data"]
    for name, error in (("fails", "ZeroDivisionError"), ("interrupted", "CancelledError")):
        assert kinds[name] == ["error", "display_data", "error"], shown[name]
        assert [shown[name][n]["ename"] for n in (0, 2)] == [error, "CellFailed"]
    assert kinds["misused"] == ["stream"] and "UsageError: 'disks'" in shown["misused"][0]["text"]
    said = "('org/model',\n 'The block ended with ZeroDivisionError: division by zero',\n 'exception')"
    assert shown["keeps"][0]["data"]["text/plain"] == said


def test_a_syntax_error_is_reported(shell: Shell) -> None:
    assert not shell.run_cell("%%cachetop\nif").success
    assert "SyntaxError" in report_of(shell)["problems"][0]["message"]


def test_only_what_was_asked_is_watched(shell: Shell) -> None:
    run(shell, "%%cachetop --only models,vram\n1")
    assert report_of(shell)["only"] == ["models", "vram"]


def test_one_line_after_each_cell_that_cost_something(
    shell: Shell, hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hub / "models--org--model" / "snapshots" / hubcache.COMMIT / "config.json"
    run(shell, "%cachetop auto on")
    run(shell, "1 + 1")
    run(shell, f"text = open({str(path)!r}).read()")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("cachetop")]
    assert len(lines) == 1
    assert "1 file of 1 model" in lines[0]
    run(shell, f"%%cachetop\ntext = open({str(path)!r}).read()")
    run(shell, "%cachetop auto off")
    run(shell, f"text = open({str(path)!r}).read()")
    assert "cachetop:" not in capsys.readouterr().out


@pytest.mark.parametrize("end", ["6 * 7;", "6 * 7;  # quiet", "if True:\n    pass\n6 * 7;\n"])
def test_a_semicolon_silences_the_last_expression(shell: Shell, end: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, f"%%cachetop\n{end}")
    assert "42" not in capsys.readouterr().out
    assert report_of(shell)["schema"] == "cachetop.report/1"
    run(shell, "%%cachetop\n';'; 6 * 7")
    assert "42" in capsys.readouterr().out


def test_a_silenced_cell_still_fails_aloud(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert not shell.run_cell("%%cachetop\nprint('said'); 1/0;").success
    said = "".join(capsys.readouterr())
    assert "said" in said and said.count("Traceback (most recent call last)") == 1


def completions(shell: Shell, line: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return list(shell.Completer.complete(line_buffer=line, cursor_pos=len(line))[1])


def test_completion(shell: Shell, hub: Path, world: Path) -> None:
    triton_cache.synthetic(world / ".triton" / "cache", 7)
    assert "models" in completions(shell, "%cachetop ")
    assert completions(shell, "%cachetop kern") == ["kernels"]
    assert completions(shell, "%cachetop models org/") == ["org/model"]
    assert completions(shell, "%cachetop kernels --s") == ["--sm", "--stale"]
    assert completions(shell, "%cachetop kernels --sm sm_1") == ["sm_100", "sm_120"]
    assert completions(shell, "%cachetop convert --pipeline na") == ["native"]
    assert completions(shell, "%cachetop prune k") == ["kernels"]
    assert completions(shell, "%cachetop prune kernels --st") == ["--stale"]
    assert completions(shell, "%cachetop prune kernels --sm sm_1") == ["sm_100", "sm_120"]
    assert completions(shell, "%cachetop prune models org/") == ["org/model"]
    assert completions(shell, "plan = %cachetop prune models --det") == ["--detached"]
    assert completions(shell, "%%cachetop --o") == ["--only"]
    assert completions(shell, "%%cachetop --only v") == ["vram"]


def test_completion_in_a_notebook_has_nothing_of_python_beside_it(shell: Shell) -> None:
    from IPython.core.completer import provisionalcompleter

    def offered(line: str) -> list[str]:
        with provisionalcompleter():
            return [one.text for one in shell.Completer.completions(line, len(line))]

    assert offered("%cachetop kernels --st") == ["--stale"]
    assert offered("%cachetop prune kernels --a") == ["--all", "--assume-sm"]
    assert "staticmethod" in offered("x = st")


def test_files_are_completed(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "one.pdf").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert completions(shell, "%cachetop convert pa") == ["papers/"]
    assert completions(shell, "%cachetop convert papers/o") == ["papers/one.pdf"]
    assert completions(shell, "%cachetop convert ~/papers/o") == ["~/papers/one.pdf"]


def test_unloading_takes_everything_away(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell = make_shell()
    transformers = len(shell.input_transformers_cleanup)
    before = {kind: set(found) for kind, found in shell.magics_manager.magics.items()}
    for _ in range(2):
        shell.run_line_magic("load_ext", "cachetop")
        run(shell, "%cachetop auto on")
        shell.run_line_magic("unload_ext", "cachetop")
        assert {kind: set(found) for kind, found in shell.magics_manager.magics.items()} == before
        assert not shell.events.callbacks["pre_run_cell"]
        assert len(shell.input_transformers_cleanup) == transformers
        assert completions(shell, "%cachetop kern") != ["kernels"]
    capsys.readouterr()
    shell.run_cell("%cachetop")
    assert "not found" in "".join(capsys.readouterr())


def test_two_shells_do_not_know_each_other(shell: Shell, world: Path) -> None:
    other = make_shell()
    other.run_line_magic("load_ext", "cachetop")
    other.run_line_magic("unload_ext", "cachetop")
    assert run(shell, "%cachetop jobs").jobs == ()


def test_the_plain_live_view_updates_and_stops(shell: Shell, hub: Path) -> None:
    run(shell, "%cachetop live --plain")
    outputs = shell.display_pub.outputs

    def until(number: int) -> None:
        deadline = time.monotonic() + 20
        while len(outputs) < number and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(outputs) >= number

    until(3)
    assert "org/model" in outputs[-1]["data"]["text/html"]
    assert outputs[-1]["update"]
    run(shell, "%cachetop live stop")
    number = len(outputs)
    time.sleep(1.5)
    assert len(outputs) == number
