"""The real huggingface_hub downloading from a slow hub on the loopback, and a downloader killed by SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cachetop
from cachetop import locations
from cachetop.hub.detail import with_detail
from cachetop.hub.rates import Rates
from cachetop.hub.records import Models, Partial, Repo
from cachetop.hub.scan import Scanner
from cachetop.inventory import Inventory
from cachetop_tui.app import CachetopApp
from support import hub, hubcache
from support.opening import screen, until

pytest.importorskip("huggingface_hub")
SIZE, RATE = 48 << 20, 24 << 20
DOWNLOAD = "from huggingface_hub import snapshot_download; print(snapshot_download('org/big'))"


@pytest.fixture
def origin(world: Path) -> Path:
    path = world / "origin"
    made = hubcache.repo(path, "org/big")
    weights, config = bytes(SIZE), b"{}"
    made.file("model.safetensors", weights)
    made.file("config.json", config, etag=hubcache.git_etag_of(config))
    made.ref()
    made.tree(
        {"model.safetensors": (SIZE, hubcache.etag_of(weights)), "config.json": (2, hubcache.git_etag_of(config))}
    )
    return path


def download(endpoint: str, code: str = DOWNLOAD, packages: Path | None = None) -> subprocess.Popen[bytes]:
    """`packages`: where another huggingface_hub lies than the one that is installed."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if packages is not None:
        environment["PYTHONPATH"] = str(packages)
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def look(scanner: Scanner) -> Models:
    return with_detail(scanner.scan(), scanner)


def growing(models: Models) -> tuple[Repo, Partial] | None:
    """The partial of the large file, once some of it is there."""
    for repo in models.repos:
        for partial in repo.partials:
            if partial.bytes > 1 << 20:
                return repo, partial
    return None


def until_growing(scanner: Scanner) -> tuple[Repo, Partial]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = growing(look(scanner))
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("no partial download appeared")


def test_a_real_download_shows_bytes_total_rate_and_pid(cache: Path, scanner: Scanner, origin: Path) -> None:
    with hub.serving(origin, RATE) as endpoint, download(endpoint) as process:
        repo, partial = until_growing(scanner)
        assert (partial.file, partial.expected, partial.live, partial.pid) == (
            "model.safetensors", SIZE, True, process.pid,
        )  # fmt: skip
        rates, seen, speed, left = Rates(), [partial.bytes], None, None
        while process.poll() is None:
            models = look(scanner)
            rates.note(models, time.monotonic())
            found = growing(models)
            if found:
                seen.append(found[1].bytes)
                speed = rates.rate(*found, time.monotonic()) or speed
                told = rates.left(*found, time.monotonic())
                left = left if told is None else told
            time.sleep(0.05)
        assert process.returncode == 0
        assert seen == sorted(seen) and len(set(seen)) > 1
        assert speed is not None and RATE / 8 < speed < RATE * 8
        assert left is not None and 0 <= left < 8 * SIZE / RATE
    (repo,) = look(scanner).repos
    assert (repo.id, repo.partials, repo.problems, repo.revisions[0].complete) == ("org/big", (), (), True)
    assert repo.size == SIZE + 2


def test_a_killed_download_is_stale(cache: Path, scanner: Scanner, origin: Path) -> None:
    with hub.serving(origin, RATE / 4) as endpoint, download(endpoint) as process:
        until_growing(scanner)
        process.send_signal(signal.SIGKILL)
        process.wait()
        repo, partial = until_growing(scanner)
    assert (partial.live, partial.pid, partial.expected) == (False, None, SIZE)
    assert 0 < partial.bytes < SIZE
    assert repo.revisions == () or repo.revisions[0].complete is False


MANY = """
from huggingface_hub import snapshot_download
snapshot_download("org/many", max_workers=8)
"""


def test_none_of_many_small_files_is_called_dead_and_the_repo_is_downloading_all_the_time(
    cache: Path, scanner: Scanner, world: Path
) -> None:
    made = hubcache.repo(world / "origin", "org/many")
    contents = {f"part-{number:03d}.json": b"%d" % number * 9000 for number in range(80)}
    for name, content in contents.items():
        made.file(name, content)
    made.ref()
    made.tree({name: (len(content), hubcache.etag_of(content)) for name, content in contents.items()})
    seen: list[Repo] = []
    with hub.serving(world / "origin", 200_000) as endpoint, download(endpoint, MANY) as process:
        while process.poll() is None:
            seen += look(scanner).repos
        assert process.returncode == 0
    coming = [repo for repo in seen if repo.revisions and repo.revisions[0].missing]
    assert len(coming) > 10 and any(not repo.partials for repo in coming)
    assert {partial.live for repo in coming for partial in repo.partials} == {True}
    assert {partial.pid for repo in coming for partial in repo.partials} == {process.pid}
    assert {repo.downloading for repo in coming if repo.revisions[0].files} == {True}


ASK = """
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
try:
    hf_hub_download("org/big", "processor_config.json")
except EntryNotFoundError:
    print("none")
"""


def test_a_file_that_was_asked_for_in_vain_is_no_problem(cache: Path, scanner: Scanner, origin: Path) -> None:
    """huggingface_hub keeps the answer in `.no_exist`, with the ref and nothing else."""
    with hub.serving(origin) as endpoint, download(endpoint, ASK) as process:
        assert process.communicate(timeout=60)[0] == b"none\n"
    top = cache / "models--org--big"
    assert sorted(path.name for path in top.iterdir() if any(path.rglob("*"))) == [".no_exist", "refs"]
    (repo,) = look(scanner).repos
    assert (repo.id, repo.size, repo.revisions, repo.problems) == ("org/big", 0, (), ())
    assert repo.last_used_reason == "no file of it is here"
    with hub.serving(origin) as endpoint, download(endpoint) as process:
        process.communicate(timeout=60)
    (repo,) = look(scanner).repos
    assert (repo.size, repo.problems, repo.revisions[0].complete) == (SIZE + 2, (), True)


@pytest.mark.parametrize("generation", ["installed", "other"])
def test_a_refused_download_says_that_it_may_have_been_refused(
    cache: Path, scanner: Scanner, origin: Path, generation: str, request: pytest.FixtureRequest
) -> None:
    packages = request.getfixturevalue("other") if generation == "other" else None
    with hub.serving(origin, gated=True) as endpoint, download(endpoint, packages=packages) as process:
        assert process.wait(60)
    (repo,) = look(scanner).repos
    (problem,) = repo.problems
    assert (problem.rule, repo.size, repo.partials) == ("no-snapshots", 0, ())
    assert "its revision and the list of its files: the Hub refused the files (a gated" in problem.message
    assert problem.fix == "hf download org/big"
    with hub.serving(origin) as endpoint, download(endpoint, packages=packages) as process:
        assert process.wait(60) == 0  # once the terms are accepted
    (repo,) = look(scanner).repos
    assert not repo.problems and repo.revisions[0].complete


def test_the_other_generation_downloads_is_killed_and_downloads_again(
    cache: Path, scanner: Scanner, origin: Path, other: Path
) -> None:
    def plan() -> list[str]:
        return [os.path.basename(item.path) for item in cachetop.plan("models", incomplete=True).items]

    with hub.serving(origin, RATE) as endpoint:
        with download(endpoint, packages=other) as process:
            _, first = until_growing(scanner)
            assert (first.file, first.expected, first.live, first.pid) == (
                "model.safetensors", SIZE, True, process.pid,
            )  # fmt: skip
            assert plan() == []
            process.kill()
        _, dead = until_growing(scanner)
        assert (dead.blob, dead.live, dead.pid) == (first.blob, False, None)
        with download(endpoint, packages=other) as process:
            deadline = time.monotonic() + 60
            while True:
                (repo,) = look(scanner).repos
                states = {partial.blob: (partial.live, partial.pid) for partial in repo.partials if partial.file}
                if (True, process.pid) in states.values() and len(states) == 2:
                    break
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert states[dead.blob] == (False, None)
            assert plan() == [dead.blob]
            assert process.wait() == 0
    (repo,) = look(scanner).repos
    assert [partial.blob for partial in repo.partials] == [dead.blob] and repo.revisions[0].complete
    assert repo.problems == ()


def test_what_is_left_of_an_old_download_can_be_of_use(cache: Path) -> None:
    made = hubcache.healthy(cache)
    made.partial("d" * 64, b"x" * 5000)
    made.partial("e" * 64, b"x" * 5000, suffix="")
    said = [one.message for one in cachetop.status().problems if one.rule == "dead-partial"]
    assert [message.rpartition(": ")[2] for message in said] == [
        "5.00 KB are of no use", "5.00 KB that huggingface_hub 1.17 or older would go on with",
    ]  # fmt: skip


def partly(count: int, live: bool | None = True) -> Models:
    """A repo of which `count` bytes of a file of 100 are there."""
    grown = Partial(file="a", blob="b.incomplete", bytes=count, expected=100, pid=1, live=live)
    repo = Repo(id="r", type="model", root="/", size=0, size_on_disk=0, reclaimable=0, last_used=None,
                last_modified=0, problems=(), revisions=(), partials=(grown,))  # fmt: skip
    return Models(repos=(repo,))


def test_nothing_is_said_before_it_is_known() -> None:
    at = partly
    partial = at(10).repos[0].partials[0]
    rates = Rates()
    rates.note(at(10), 0.0)
    assert rates.rate(at(10).repos[0], partial, 0.0) is None
    rates.note(at(30), 0.5)
    assert rates.rate(at(30).repos[0], partial, 0.5) is None
    rates.note(at(50), 2.0)
    repo = at(50).repos[0]
    assert rates.rate(repo, partial, 2.0) == rates.rate(repo, partial, 16.0) == 20, "it writes in steps"
    assert rates.left(repo, repo.partials[0], 2.0) == 2.5
    assert (rates.rate(repo, partial, 60.0), rates.left(repo, repo.partials[0], 60.0)) == (0, None), "it stands still"
    rates.note(at(70), 61.0)
    assert rates.rate(at(70).repos[0], partial, 61.0) == pytest.approx(20 / 59)
    rates.note(Models(), 62.0)
    assert rates.rate(repo, partial, 62.0) is None


@pytest.mark.parametrize(("live", "rate"), [(True, 20), (None, 20), (False, None)])
def test_a_rate_is_told_of_what_may_be_running(live: bool | None, rate: float | None) -> None:
    rates = Rates()
    for second in range(3):
        (repo,) = (models := partly(20 * second, live)).repos
        rates.note(models, second)
    assert rates.rate(repo, repo.partials[0], 2) == rate


def test_a_download_that_begins_anew_and_a_clock_that_is_set_back_begin_a_new_rate() -> None:
    rates = Rates()
    for second, size in ((0, 1000), (2, 3000), (4, 10), (6, 50), (8, 90)):
        rates.note(partly(size), second)
        (repo,) = partly(size).repos
        assert rates.rate(repo, repo.partials[0], second) == {0: None, 2: 1000, 4: None, 6: 20, 8: 20}[second]
    for second, size in ((-3600, 130), (-3598, 230)):
        rates.note(partly(size), second)
    (repo,) = partly(230).repos
    assert rates.rate(repo, repo.partials[0], -3598) == 50


async def test_the_app_shows_it_live_and_stale_after_a_kill(cache: Path, origin: Path) -> None:
    app = CachetopApp(Inventory(hub=[locations.hub()], kernels=[], interval=0.1), host="gpubox")
    with hub.serving(origin, RATE / 4) as endpoint:
        async with app.run_test(size=(160, 40)) as pilot:
            await until(pilot, lambda: bool(app.overview.query("#filter")))
            await pilot.press("z")  # the rate needs room
            with download(endpoint) as process:
                try:
                    await until(pilot, lambda: f"pid {process.pid}" in screen(app))
                    await until(pilot, lambda: "of 50.3 MB" in screen(app) and "MB/s" in screen(app))
                    row = next(line for line in screen(app).splitlines() if f"pid {process.pid}" in line)
                    assert " left" in row and "org" not in row, "the row below the repo's: bytes, rate, time left, who"
                finally:
                    process.kill()
                process.wait()
            await until(pilot, lambda: "incomplete, dead partial" in screen(app))
            await pilot.press("p", "p", "p", "p")
            assert app.overview.models.view.filter == "partial=stale sort=size"
            await until(pilot, lambda: "big" in screen(app) and "MB/s" not in screen(app))
            await pilot.press("right")
            await until(pilot, lambda: "nobody holds it" in screen(app))
