"""What the panes say about a snapshot, as text; no terminal in between."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.base.record import Problem
from cachetop.gpu.records import Gpus
from cachetop.hub.records import Models, Root
from cachetop.kernelcache.records import Kernels
from cachetop_tui.marks import Line, sentences
from cachetop_tui.paint import Canvas, width_of
from cachetop_tui.panes import gpu, kernels, models, models_data
from cachetop_tui.panes.gpu_data import History, shares
from cachetop_tui.panes.kernel_rows import View as KernelView
from cachetop_tui.panes.kernel_rows import rows as kernel_rows
from cachetop_tui.panes.kernel_tree import Grower, grow, key_of
from cachetop_tui.panes.order import settle
from support import pictures

NOW = pictures.NOW
WIDTHS = (40, 60, 74, 93, 160)


def drawn(line: Line, width: int) -> str:
    """The cells of a line."""
    canvas = Canvas(width, 1)
    line.paint(canvas)
    return canvas.text()[0]


def model_lines(picture: Models, width: int = 90, view: models.View | None = None) -> list[str]:
    view = view or models.View(held=models_data.holders(pictures.gpus()))
    return [drawn(models.line(row, width, view, NOW), width) for row in models.rows(picture, width, view)]


def kernel_lines(picture: Kernels, width: int = 90, height: int = 40, view: KernelView | None = None) -> list[str]:
    view = view or KernelView(sms={"sm_75": (0,), "sm_90": (1,)})
    tree = grow(picture)
    return [drawn(kernels.line(row, width, view, NOW), width) for row in kernel_rows(tree, width, height, view)]


def gpu_lines(picture: Gpus | None, width: int = 60, height: int = 40, view: gpu.View | None = None) -> list[str]:
    return [drawn(line, width) for _, line in gpu.lines(picture, width, height, view or gpu.View(), NOW)]


def one(lines: list[str], part: str) -> str:
    found = [line for line in lines if part in line]
    assert found, f"{part!r} is in none of\n" + "\n".join(lines)
    return found[0]


# Models


def test_what_is_in_use_stands_first_then_the_biggest() -> None:
    names = [
        row.subject.id.partition("/")[2]
        for row in models.rows(pictures.models(), 90, models.View(held=models_data.holders(pictures.gpus())))
        if row.kind == "repo"
    ]
    assert names[:4] == [
        "Qwen2.5-VL-7B-Instruct", "Mistral-Small-3.2-24B-Instruct-2506", "docling-models", "docling-layout-heron",
    ]  # fmt: skip
    assert names.index("Llama-3.1-8B-Instruct") < names.index("fineweb-edu") < names.index("bge-m3")


def test_a_repo_says_size_share_in_ram_gpu_and_age() -> None:
    line = one(model_lines(pictures.models()), "Qwen2.5-VL")
    assert re.search(r"● Qwen/Qwen2.5-VL-7B-Instruct +16\.6 GB ━+ +31 % +GPU 1 +6 min *$", line)


def test_unknown_is_a_question_mark_and_none_is_a_dash() -> None:
    lines = model_lines(pictures.models())
    assert re.search(r"513 MB +\? ", one(lines, "SmolVLM"))
    assert re.search(r"28\.4 GB +– ", one(lines, "fineweb-edu"))
    assert one(lines, "gemma-3").rstrip().endswith("?")


def test_what_is_wrong_is_said_in_a_word() -> None:
    lines = model_lines(pictures.models(), 120)
    assert "▲ meta-llama/Llama-3.1-8B-Instruct  1 revision detached" in one(lines, "Llama")
    assert "✗ google/gemma-3-12b-it  dead partial" in one(lines, "gemma")
    broken = msgspec.structs.replace(pictures.plain("a/b", 1e6, 0, 5), problems=(Problem(rule="bad-ref", message="x"),))
    assert "✗ a/b  bad-ref" in one(model_lines(Models(repos=(broken,)), 120), "a/b")


def test_a_repo_not_yet_checked_is_not_called_complete() -> None:
    unchecked = pictures.repo("a/b", (pictures.revision("x", (pictures.file("f", 10),), complete=None),))
    assert "●" not in one(model_lines(Models(repos=(unchecked,))), "a/b")


def test_a_download_says_how_far_it_is_and_how_fast() -> None:
    before = pictures.models()
    view = models.View()
    view.rates.note(before, NOW - 10)
    repo = next(repo for repo in before.repos if repo.id.startswith("mistralai"))
    grown = msgspec.structs.replace(
        repo, partials=(msgspec.structs.replace(repo.partials[0], bytes=12_300_000_000 + 870_000_000),)
    )
    after = Models(repos=(grown,))
    view.rates.note(after, NOW)
    line = one(model_lines(after, 93, view), "48.1 GB")
    assert "27 %  13.2 GB of 48.1 GB  87.0 MB/s  7 min left" in line
    assert line.rstrip().endswith("pid 40112")
    narrow = one(model_lines(after, 74, view), "48.1 GB")
    assert "13.2 GB of 48.1 GB  87.0 MB/s  7 min left" in narrow and "27 %" not in narrow, "the bar shows that, too"


def test_a_repo_says_how_many_files_are_still_to_come() -> None:
    coming = pictures.revision("x", (pictures.file("f", 10),), complete=False, missing=("a", "b", "c"))
    more = msgspec.structs.replace(pictures.repo("a/b", (coming,)), downloading=True)
    assert "▼ a/b  3 more to come" in one(model_lines(Models(repos=(more,))), "a/b")


def test_a_rate_is_not_guessed_from_one_sample() -> None:
    view = models.View()
    view.rates.note(pictures.models(), NOW)
    assert "/s" not in one(model_lines(pictures.models(), 93, view), "48.1 GB")


def test_unfolded_repos_show_revisions_and_files() -> None:
    key = f"{pictures.HUB}\0model\0docling-project/docling-models"
    lines = model_lines(pictures.models(), 90, models.View({key: True}))
    assert "main, v2.3.0  " + pictures.commit("tables")[:7] in one(lines, "v2.3.0")
    assert re.search(r"tableformer_accurate.safetensors +213 MB ━+ +100 %", one(lines, "accurate"))


def test_a_filter_keeps_what_it_names() -> None:
    lines = model_lines(pictures.models(), 90, models.View(filter="DOCLING"))
    assert len(lines) == 3 and all("docling" in line for line in lines)
    assert "No repo has 'zzz'" in model_lines(pictures.models(), 90, models.View(filter="zzz"))[0]


def test_an_empty_pane_says_where_it_looked_and_why() -> None:
    root = Root(path="/data/hub", reason="HF_HUB_CACHE", exists=False)
    text = " ".join(" ".join(model_lines(Models(roots=(root,)))).split())
    assert "/data/hub does not exist (HF_HUB_CACHE)" in text
    assert "hf download" in text


def test_a_root_that_cannot_be_read_says_so() -> None:
    said = "The cache folder /data/hub could not be read: Permission denied."
    root = Root(path="/data/hub", reason="HF_HUB_CACHE", problem=said)
    picture = msgspec.structs.replace(pictures.models(), roots=(root,))
    assert model_lines(picture)[0].strip() == said
    empty = " ".join(" ".join(model_lines(Models(roots=(root,)))).split())
    assert empty == said, "nothing about what lies there"


# Kernels


def test_groups_say_which_gpu_runs_them_and_what_is_stale() -> None:
    lines = kernel_lines(pictures.kernels())
    assert "runs on GPU 1" in one(lines, "sm_90")
    assert re.search(r"sm_86 .*no GPU here can load it +▲ 2 of 2 stale", one(lines, "sm_86"))
    assert "runs on GPU 0" in one(lines, "sm_75")


def test_an_entry_says_its_verdict_size_build_time_and_age() -> None:
    lines = kernel_lines(pictures.kernels())
    assert re.search(r"▲ softmax_kernel +toolchain-gone +44\.0 KB +82 ms +41 d", one(lines, "softmax_kernel "))
    assert re.search(r"✗ matmul_kernel +orphan +71\.0 KB +– +64 d", one(lines, "orphan"))


def test_an_entry_being_built_says_how_far_it_is() -> None:
    line = one(kernel_lines(pictures.kernels()), "building")
    assert re.search(r"○ triton_red_fused.* building llir 4/7 +18\.2 KB +3 s +now", line)


def test_a_new_entry_is_marked() -> None:
    entry = pictures.entry("triton", "brand_new", "sm_75", age=1)
    view = KernelView(fresh={key_of(entry): (0.0, "brand_new")})
    tree = grow(pictures.kernels(entry), frozenset({(entry.cache, entry.path)}))
    assert [one.name for one in tree.appeared] == ["brand_new"]
    line = one(kernel_lines(pictures.kernels(entry), view=view), "brand_new")
    assert re.search(r"● brand_new +new .*now", line)
    assert "● brand_new new" in kernels.headers(tree, 90, 20, view, False)[0].text
    assert "brand_new" in " ".join(kernel_lines(pictures.kernels(entry), height=4, view=view))


def test_a_kernel_counts_as_compiled_once_and_only_when_it_is_done() -> None:
    done = pictures.entry("triton", "brand_new", "sm_75", age=1)
    begun = msgspec.structs.replace(done, name=None, state="compiling")
    key = (done.cache, done.path)
    grower = Grower()
    trees = [grower.grow(pictures.kernels(begun), frozenset({key}))]
    for entry in (begun, done, done):
        trees.append(grower.grow(pictures.kernels(entry)))
    assert [[one.name for one in tree.compiled] for tree in trees] == [[], [], ["brand_new"], []]


@pytest.mark.parametrize("height", [9, 14, 20, 30])
def test_every_sm_is_in_sight_before_any_group_grows(height: int) -> None:
    lines = kernel_lines(pictures.kernels(), height=height)[: max(height, 9)]
    assert {"sm_90", "sm_86", "sm_75"} <= {sm for line in lines for sm in re.findall(r"sm_\d+", line)}
    assert len(lines) <= max(height, 9)


def test_an_empty_kernel_pane_says_where_it_looked_and_why() -> None:
    cache = msgspec.structs.replace(pictures.kernels().caches[1], exists=False, size_on_disk=0)
    text = " ".join(" ".join(kernel_lines(Kernels(caches=(cache,)))).split())
    assert "/home/ana/.triton/cache does not exist (triton; default: no variable set)" in text
    assert "torch.compile" in text


def test_a_tmpfs_cache_says_that_it_will_not_last() -> None:
    assert "gone after reboot" in one(kernel_lines(pictures.kernels(), 110), "inductor ")


# GPU


def test_a_gpu_says_its_vram_by_process_with_letters_and_evidence() -> None:
    lines = gpu_lines(pictures.gpus(), 64)
    assert "66.4 of 79.6 GiB" in one(lines, "66.4")
    assert re.search(r"busy 61 %  54 °C  312 W", one(lines, "66.4"))
    assert re.search(r" a  38804 +vllm serve +ana +62\.4 GiB", one(lines, "vllm"))
    assert "seen loading 6 min ago" in one(lines, "Qwen2.5-VL")
    assert "reported" in one(lines, "docling-layout-heron")
    assert "not inspectable: other user" in " ".join(lines)
    assert re.search(r" -  +driver, unattributed +51 MiB", one(lines, "51 MiB"))
    assert re.match(r" █a█+.?b█", lines[2])


def test_the_own_worker_is_always_green() -> None:
    large = pictures.gpus().gpus[1]
    tokens = {share.process.pid: share.token for share in shares(large, {41877})}
    assert tokens == {38804: "v.a", 41877: "v.b", 40551: "v.c"}


def test_without_a_driver_there_is_one_sentence() -> None:
    text = " ".join(" ".join(gpu_lines(pictures.NO_DRIVER)).split())
    assert "There is no NVIDIA driver here: libnvidia-ml.so.1 was not found." in text
    assert "GPU 0" not in text and " 0 " not in text


def test_a_driver_that_hangs_says_for_how_long() -> None:
    assert "no answer for 12 s" in gpu.headers(pictures.gpus(waiting=12.4), 60, False)[0].text


def test_values_a_gpu_does_not_have_are_unknown() -> None:
    bare = msgspec.structs.replace(
        pictures.gpus().gpus[0], utilization=None, temperature=None, power=None, memory=None, processes=(),
        unattributed=None, unavailable={"memory": "Not Supported by this GPU"},
    )  # fmt: skip
    lines = gpu_lines(Gpus(available=True, gpus=(bare,), time=NOW))
    assert "Not Supported by this GPU" in " ".join(lines)
    assert "0 °C" not in " ".join(lines)


def test_a_simulated_gpu_says_so() -> None:
    fake = msgspec.structs.replace(pictures.gpus().gpus[0], simulated=True)
    assert "simulated" in gpu_lines(Gpus(available=True, gpus=(fake,), time=NOW))[1]


def test_the_last_minute_has_its_range() -> None:
    view = gpu.View()
    for i, used in enumerate((64, 64, 65, 66)):
        large = pictures.gpus().gpus[1]
        assert large.memory is not None
        memory = msgspec.structs.replace(large.memory, used=used * pictures.GIB)
        sample = Gpus(available=True, gpus=(msgspec.structs.replace(large, memory=memory),), time=NOW - 3 + i)
        view.history.note(sample)
    text = " ".join(gpu_lines(sample, 60, 40, view))
    assert "66.0 GiB" in text and "64.0 GiB" in text


def test_a_quiet_gpu_keeps_a_short_history() -> None:
    history = History()
    for i in range(5000):
        history.note(pictures.gpus(moment=NOW + i))
    levels, low, high = history.levels(pictures.gpus().gpus[1], NOW + 4999, 80)
    assert len(levels) == 80 and low == high
    assert len(history._samples["GPU-1"]) <= 3


@pytest.mark.parametrize("height", [2, 4, 8, 14, 19, 30])
def test_the_gpu_pane_shows_every_gpu_at_every_height(height: int) -> None:
    text = " ".join(gpu_lines(pictures.gpus(), 78, height))
    assert "1650" in text and "H100" in text


# Anything at all


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_never_leave_their_width(width: int) -> None:
    view = models.View({f"{pictures.HUB}\0{repo.type}\0{repo.id}": True for repo in pictures.models().repos})
    everything = [models.line(row, width, view, NOW) for row in models.rows(pictures.models(), width, view)]
    tree = grow(pictures.kernels())
    everything += [kernels.line(row, width, KernelView(), NOW) for row in kernel_rows(tree, width, 99, KernelView())]
    everything += [line for _, line in gpu.lines(pictures.gpus(), width, 40, gpu.View(), NOW)]
    for line in everything:
        assert width_of(drawn(line, width)) == width


HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "[red]markup[/]",
    "漢字/模型-日本語",
    "a/\u202egnp.exe",
    "x" * 500,
    "\x00\x07",
    "👩‍👩‍👧/🇪🇸",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_drawn_as_they_are_and_move_no_column(name: str) -> None:
    repo = pictures.plain(name, 5e9, 0.5, 3)
    line = model_lines(Models(repos=(repo,)))[0]
    assert re.search(r"5\.00 GB ━+ +50 % {13}now $", line)
    assert not any(ord(char) < 32 or char in "\u202e\x7f\u200d" for char in line)
    entry = pictures.entry("triton", name, "sm_90", 5e3)
    found = [
        line for line in kernel_lines(Kernels(caches=pictures.kernels().caches, entries=(entry,))) if "5.00 KB" in line
    ]
    assert len({width_of(line.partition("5.00 KB")[0]) for line in found}) == 1
    process = msgspec.structs.replace(pictures.gpus().gpus[0].processes[0], command=name, user=name)
    device = msgspec.structs.replace(pictures.gpus().gpus[0], processes=(process,), name=name)
    for line in gpu_lines(Gpus(available=True, gpus=(device,), time=NOW, driver=name)):
        assert "\x1b" not in line and width_of(line) == 60


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(WIDTHS))
def test_no_name_breaks_a_line(name: str, width: int) -> None:
    for line in model_lines(Models(repos=(pictures.plain(name, 1e9, 0.5, 3),)), width):
        assert width_of(line) == width


@given(st.lists(st.sampled_from("abcdefgh"), unique=True), st.permutations("abcdefgh"), st.integers(0, 8))
def test_rows_that_stay_keep_their_order(before: list[str], fresh: list[str], size: int) -> None:
    now = fresh[:size]
    settled = settle(before, now)
    assert sorted(settled) == sorted(now)
    assert [key for key in settled if key in before] == [key for key in before if key in now]


@given(st.text(max_size=80), st.integers(1, 30))
def test_sentences_are_wrapped_not_lost(text: str, width: int) -> None:
    lines = sentences(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(width_of(line) <= max(width, 2) for line in lines)
