"""Sick and hostile caches: everything stays visible with a sentence, and nothing outside the cache is touched."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.hub.detail import with_detail
from cachetop.hub.records import Models, Repo
from cachetop.hub.scan import Scanner, scan
from cachetop.locations import Location
from support import hubcache
from support.rights import ordinary
from support.sick_repos import STATES, lose_a_blob, ref_with_newline


def look(scanner: Scanner) -> Models:
    """Both passes, and the JSON, which must hold whatever the disk holds."""
    models = with_detail(scanner.scan(), scanner)
    models.to_json()
    return models


def rules(repo: Repo) -> list[str]:
    return sorted(problem.rule for problem in repo.problems)


@pytest.mark.parametrize(("spoil", "rule", "files"), STATES, ids=[state[0].__name__ for state in STATES])
def test_a_sick_repo_stays_visible(
    cache: Path, scanner: Scanner, spoil: Callable[[hubcache.RepoFolder], None], rule: str, files: int
) -> None:
    made = hubcache.healthy(cache, "org/sick")
    hubcache.healthy(cache, "org/well")
    spoil(made)
    sick, well = look(scanner).repos
    assert (rules(sick), rules(well)) == ([rule], [])
    (revision,) = sick.revisions
    assert len(revision.files) == files
    assert sick.size == revision.size == sum(file.size for file in revision.files) > 0
    assert sick.id == "org/sick"
    (problem,) = sick.problems
    assert problem.fix is not None
    words = shlex.split(problem.fix)
    if words[0] == "hf":
        assert words[:3] == ["hf", "download", "org/sick"]
    else:  # whatever it is, it runs, and changes nothing
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout


def test_each_sick_ref_has_its_own_download(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    made.ref("refs/pr/1", "c" * 40)
    (problem,) = look(scanner).repos[0].problems
    assert problem.fix == "hf download org/model --revision refs/pr/1"
    ref_with_newline(hubcache.healthy(cache, "org/data", "dataset"))
    data = next(repo for repo in look(scanner).repos if repo.type == "dataset")
    assert data.problems[0].fix == "hf download org/data --repo-type dataset"
    made.ref(os.fsdecode(b"v\xff")).write_bytes(b"\xff")
    bad = next(one for one in look(scanner).repos[1].problems if one.rule == "bad-ref")
    assert bad.fix == f"ls -b {made.path}/refs", "a name that nobody can type is listed"


def test_a_fix_leads_to_the_root_that_is_sick(cache: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = world / "other hub"
    lose_a_blob(hubcache.healthy(other, "org/lost"))
    hubcache.repo(other, "org/started").partial("e" * 64, b"x")
    hubcache.repo(other, "org/told").ref()
    roots = [Location("hub", str(other), "test")]
    lost, started, told = look(Scanner(roots)).repos
    file = f"config.json --revision {hubcache.COMMIT}"
    assert lost.problems[0].fix == f"hf download org/lost {file} --cache-dir '{other}'"
    assert started.problems[0].fix == f"CACHETOP_HUB_ROOTS='{other}' cachetop prune models org/started --dry-run"
    assert told.problems[0].fix == f"hf download org/told --cache-dir '{other}'"
    monkeypatch.setenv("CACHETOP_HUB_ROOTS", str(other))
    assert look(Scanner(roots)).repos[1].problems[0].fix == "cachetop prune models org/started --dry-run"


def test_a_lost_file_of_a_superseded_revision_is_not_downloaded_again(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    made.file("old.bin", b"old", commit=hubcache.OTHER).unlink()
    (problem,) = look(scanner).repos[0].problems
    assert problem.fix == f"cachetop prune models org/model@{hubcache.OTHER} --dry-run"
    made.ref("v1", hubcache.OTHER)
    (problem,) = look(scanner).repos[0].problems
    assert problem.fix == f"hf download org/model old.bin --revision {hubcache.OTHER}"


def test_no_name_becomes_an_option_or_a_pattern(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.ref()
    made.file("--token", b"1").unlink()
    assert look(scanner).repos[0].problems[0].fix == f"hf download org/model --revision {hubcache.COMMIT}"
    (made.path / "snapshots" / hubcache.COMMIT / "--token").unlink()
    made.file("a[0].bin", b"1").unlink()
    made.file("b $(id).bin", b"2").unlink()
    fix = look(scanner).repos[0].problems[0].fix
    assert fix == f"hf download org/model --revision {hubcache.COMMIT}", "two names would be taken for patterns"
    (made.path / "snapshots" / hubcache.COMMIT / "a[0].bin").unlink()
    fix = look(scanner).repos[0].problems[0].fix
    assert fix == f"hf download org/model 'b $(id).bin' --revision {hubcache.COMMIT}"


def test_a_missing_blob_makes_the_revision_incomplete(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    lose_a_blob(made)
    (made.path / "trees" / f"{hubcache.COMMIT}.json").unlink()
    assert scanner.scan().repos[0].revisions[0].complete is None
    (revision,) = look(scanner).repos[0].revisions
    assert (revision.complete, revision.missing) == (False, ("config.json",))


def test_a_starting_download_has_no_snapshots_yet(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.ref()
    made.partial("e" * 64, b"x" * 4096)
    (repo,) = look(scanner).repos
    assert rules(repo) == ["no-snapshots"]
    assert (repo.size, repo.revisions, repo.partials[0].bytes) == (0, (), 4096)


def test_revisions_that_were_deleted_by_hand_are_a_problem(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    shutil.rmtree(made.path / "snapshots" / hubcache.COMMIT)
    for ref in (True, False):
        if not ref:
            (made.path / "refs" / "main").unlink()
        (repo,) = look(scanner).repos
        assert (rules(repo), repo.size, repo.revisions) == (["no-snapshots"], 0, ())
        assert repo.reclaimable > 50_000, "the blobs are still there"


def test_a_refused_download_is_told_from_one_that_was_cut_off(
    cache: Path, scanner: Scanner, settle: Callable[[], None]
) -> None:
    made = hubcache.repo(cache, "org/gated")
    made.ref()
    settle()
    (problem,) = look(scanner).repos[0].problems
    assert "only its revision: the Hub refused the files (a gated" in problem.message
    assert problem.fix == "hf download org/gated"
    made.tree({"config.json": (2, "1" * 40)})
    (problem,) = look(scanner).repos[0].problems
    assert "only its revision and the list of its files: the Hub refused" in problem.message
    partial = made.partial("e" * 64, b"x")
    (problem,) = look(scanner).repos[0].problems
    assert (problem.rule, "refused" in problem.message) == ("no-snapshots", False), "a file was on its way"
    shutil.rmtree(partial.parent)
    (made.path / "refs" / "main").rename(made.path / "refs" / "v2")
    assert look(scanner).repos[0].problems[0].fix == "hf download org/gated --revision v2"


def test_a_repo_that_was_only_asked_for_is_no_problem(
    cache: Path, scanner: Scanner, settle: Callable[[], None]
) -> None:
    made = hubcache.repo(cache)
    made.ref()
    settle()
    assert rules(look(scanner).repos[0]) == ["no-snapshots"]
    (made.path / ".no_exist" / hubcache.COMMIT).mkdir(parents=True)
    (made.path / ".no_exist" / hubcache.COMMIT / "adapter_config.json").touch()
    (repo,) = look(scanner).repos
    assert (rules(repo), repo.size, repo.reclaimable) == ([], 0, 0)
    blob = made.blob(b"left behind")
    assert rules(look(scanner).repos[0]) == ["no-snapshots"]
    blob.unlink()
    assert rules(look(scanner).repos[0]) == []
    (made.path / ".no_exist").rename(cache / "elsewhere")
    (made.path / ".no_exist").symlink_to(cache / "elsewhere")
    assert rules(look(scanner).repos[0]) == ["no-snapshots"]


@pytest.mark.parametrize("part", ["", "blobs", "refs", "snapshots", f"snapshots/{hubcache.COMMIT}"])
def test_an_unreadable_folder_is_said_and_comes_back(
    cache: Path, scanner: Scanner, settle: Callable[[], None], part: str
) -> None:
    made = hubcache.healthy(cache, "org/closed")
    hubcache.healthy(cache, "org/open")
    settle()
    folder = made.path / part
    with ordinary():
        healthy = look(scanner)
        folder.chmod(0)
        for _ in range(2):
            repos = look(Scanner([Location("hub", str(cache), "test")])).repos
            assert [rules(repo) for repo in repos] == [["unreadable"], []]
            assert "Permission denied" in repos[0].problems[0].message
            assert all(revision.complete is None for revision in repos[0].revisions if part == "blobs")
        folder.chmod(0o755)
        assert look(scanner) == healthy


def test_blobs_that_list_but_do_not_open_are_not_called_missing(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    with ordinary():
        (made.path / "blobs").chmod(0o400)
        try:
            (repo,) = look(scanner).repos
        finally:
            (made.path / "blobs").chmod(0o755)
    assert rules(repo) == ["unreadable"]
    assert repo.revisions[0].complete is None


def test_a_repo_that_opens_with_nothing_in_it_that_does_spoils_no_scan(cache: Path, scanner: Scanner) -> None:
    closed = hubcache.healthy(cache, "org/closed")
    hubcache.healthy(cache, "org/open")
    with ordinary():
        closed.path.chmod(0o444)
        try:
            repos = look(scanner).repos
        finally:
            closed.path.chmod(0o755)
        assert [rules(repo) for repo in repos] == [["unreadable"], []]
        assert [rules(repo) for repo in look(scanner).repos] == [[], []]


def test_rights_given_back_are_noticed(cache: Path, scanner: Scanner, settle: Callable[[], None]) -> None:
    made = hubcache.healthy(cache)
    settle()
    with ordinary():
        (made.path / "blobs").chmod(0)
        assert rules(scanner.scan().repos[0]) == ["unreadable"]
        (made.path / "blobs").chmod(0o755)
        assert rules(scanner.scan().repos[0]) == []


def test_an_unreadable_root_is_a_problem_of_the_root(cache: Path, scanner: Scanner) -> None:
    hubcache.healthy(cache)
    with ordinary():
        cache.chmod(0)
        try:
            models = look(scanner)
        finally:
            cache.chmod(0o755)
    assert models.repos == ()
    assert models.roots[0].problem == f"The cache folder {cache} could not be read: Permission denied."
    assert len(look(scanner).repos) == 1


def test_a_root_that_is_a_file_or_leads_nowhere(world: Path) -> None:
    (world / "file").write_text("")
    (world / "gone").symlink_to(world / "unmounted")
    models = scan([Location("hub", str(world / name), "test") for name in ("file", "gone", "never")])
    first, second, third = (root.problem for root in models.roots)
    assert first and "is not a folder" in first
    assert second and "which is not there" in second
    assert third is None


def test_links_out_of_the_cache_are_not_followed(cache: Path, world: Path, scanner: Scanner) -> None:
    secret = world / "secret.bin"
    secret.write_bytes(b"s" * 30_000)
    made = hubcache.healthy(cache)
    made.link("by-link", str(secret))
    made.link("up", "../../../../../../../../etc/passwd")
    made.link("by-blob", "../../blobs/" + "f" * 40)
    (made.path / "blobs" / ("f" * 40)).symlink_to(secret)
    made.link("dotdot", "../../blobs/..")
    made.link("stored", "../../blobs/" + "9" * 40)
    (made.path / "blobs" / ("9" * 40)).symlink_to("../../blobs/ab/../../../secret.bin")
    clean_size = sum(path.stat().st_size for path in (made.path / "blobs").iterdir() if not path.is_symlink())
    models = look(scanner)
    (repo,) = models.repos
    assert rules(repo) == ["foreign-link"]
    assert repo.size == clean_size
    status = secret.stat()
    assert (status.st_dev, status.st_ino) not in scanner.inodes()
    assert {file.name for file in repo.revisions[0].files} == {"config.json", "onnx/model.onnx"}


@pytest.mark.parametrize("part", ["blobs", "snapshots", "refs", "trees"])
def test_a_folder_swapped_for_a_link_is_not_entered(cache: Path, world: Path, scanner: Scanner, part: str) -> None:
    made = hubcache.healthy(cache)
    (made.path / part).rename(world / "elsewhere")
    (made.path / part).symlink_to(world / "elsewhere")
    (repo,) = look(scanner).repos
    if part == "trees":
        assert repo.revisions[0].complete is None
    else:
        assert rules(repo) == ["foreign-link"]
        assert len(repo.revisions) == (0 if part == "snapshots" else 1)
    assert repo.size == 0 or part in ("refs", "trees")


def test_a_repo_that_is_a_link_or_a_file_is_said(cache: Path, world: Path, scanner: Scanner) -> None:
    hubcache.healthy(world, "org/moved")
    (cache / "models--org--moved").symlink_to(world / "models--org--moved")
    (cache / "models--org--file").write_text("")
    file, moved = look(scanner).repos
    assert (rules(file), rules(moved)) == (["not-a-folder"], ["repo-link"])
    assert moved.size == 0
    assert str(world / "models--org--moved") in moved.problems[0].message


def test_names_that_attack_the_terminal_are_shown_harmless(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache, "evil\x1b[2J/\u202emodel")
    made.file("a\x1b]0;x\x07\n.bin", b"1" * 2_000_000, etag="e\x1b" * 3)
    made.real("r\u202e\x00.bin".replace("\x00", ""), b"2" * 2_000_000)
    made.ref("br\x1b[31m")
    made.partial("p\x07", b"x")
    (made.path / "snapshots" / "bad\x1bcommit").mkdir()
    (cache / os.fsdecode(b"models--\xff\xfe--x")).mkdir()
    models = look(scanner)
    text = models.to_json()
    for bad in ("\\u001b", "\\u0007", "\u202e", "\\n"):
        assert bad not in text
    assert len(models.repos) == 2
    repo = next(repo for repo in models.repos if repo.revisions)
    assert sum(len(revision.files) for revision in repo.revisions) == 2
    warm = [file.resident for revision in repo.revisions for file in revision.files]
    assert None not in warm  # found again by their real names
    msgspec.json.decode(text)


def test_names_that_differ_only_where_they_are_not_shown(cache: Path, scanner: Scanner) -> None:
    for number in (1, 2):
        made = hubcache.repo(cache, f"evil{chr(number)}")
        made.file("x\x01", b"1" * number, etag="x\x02")
        made.file("x\x03", b"2" * number, etag="x\x04")
        made.real("x\x05", b"3" * number)
    first, second = look(scanner).repos
    assert first.id != second.id
    assert {first.size, second.size} == {3, 6}
    assert len(scanner.inodes()) == 6
    assert scanner.path(first) != scanner.path(second)


def test_odd_things_lying_around_are_left_alone(cache: Path, scanner: Scanner) -> None:
    made = hubcache.healthy(cache)
    before = look(scanner)
    (cache / "version.txt").write_text("1")
    (cache / "models--").mkdir()
    (cache / "random--folder").mkdir()
    (cache / ".cachetop-trash-00").mkdir()
    os.mkfifo(made.path / "blobs" / "pipe")
    os.mkfifo(made.path / "snapshots" / hubcache.COMMIT / "pipe")
    with socket.socket(socket.AF_UNIX) as plug:
        here = Path.cwd()
        os.chdir(made.path / "blobs")  # a socket's path is limited to 107 bytes
        try:
            plug.bind("plug")
        finally:
            os.chdir(here)
    after = look(scanner)
    assert [repo for repo in after.repos if repo.revisions] == list(before.repos)
    assert after.size == before.size


def test_vanishing_and_coming_files_never_break_a_scan(cache: Path, scanner: Scanner) -> None:
    child = os.fork()
    if not child:
        try:
            while True:
                made = hubcache.healthy(cache, "org/flicker")
                for path in sorted(made.path.rglob("*"), reverse=True):
                    if path.is_dir() and not path.is_symlink():
                        path.rmdir()
                    else:
                        path.unlink()
                made.path.rmdir()
        finally:
            os._exit(1)
    try:
        seen = {len(look(scanner).repos) for _ in range(150)}
        until = time.monotonic() + 30
        while 1 not in seen and time.monotonic() < until:  # the other process may start late
            seen.add(len(look(scanner).repos))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert seen <= {0, 1} and 1 in seen


ODD = st.text(st.characters(exclude_characters="/\x00", codec="utf-8"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(ODD, st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1)), max_size=6)
)
def test_no_link_or_name_leads_out_or_breaks_the_json(links: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        cache = Path(base) / "hub"
        made = hubcache.healthy(cache)
        inside = {path.stat().st_ino for path in (made.path / "blobs").iterdir()}
        for name, target in links:
            try:
                made.link(name, target[:200])
            except OSError:
                continue
        scanner = Scanner([Location("hub", str(cache), "test")])
        models = look(scanner)
        assert {inode for _, inode in scanner.inodes()} <= inside
        assert models.repos[0].size == scan([Location("hub", str(cache), "test")]).size
