"""Any repo shared with helpers is what one process reads, and one that changes meanwhile is described as it ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachetop.hub import folder
from cachetop.hub.folder import read
from cachetop.hub.helper import Came
from cachetop.hub.scan import Scanner
from cachetop.locations import Location
from support import hubcache
from support.scan_helpers import Ground, Patient, in_order

SEGMENTS = ["a", "b", "c", "d", "x y", "modèle", "\x1bodd", os.fsdecode(b"\xff"), "L" * 255, "blobs", "snapshots"]
NAMES = st.lists(st.sampled_from(SEGMENTS + [f"f{n:02}" for n in range(30)]), min_size=1, max_size=4).map("/".join)
KINDS = ["blob"] * 20 + ["real", "stored", "lost", "foreign", "absolute", "linked", "link to a folder", "folder"]
FILES = st.lists(
    st.tuples(st.sampled_from([hubcache.COMMIT, hubcache.OTHER]), NAMES, st.integers(0, 20), st.sampled_from(KINDS)),
    min_size=30,
    max_size=100,
)


def add(made: hubcache.RepoFolder, commit: str, name: str, number: int, kind: str) -> None:
    content, blobs = b"x" * number, f"{'../' * name.count('/')}../../blobs/"
    match kind:
        case "blob":
            made.file(name, content, commit)
        case "real":
            made.real(name, content, commit)
        case "stored":
            made.stored(name, content, commit, etag=hubcache.etag_of(os.fsencode(f"{commit} {name}")))
        case "lost":
            made.link(name, f"{blobs}{'f' * 64}", commit)
        case "foreign":
            made.link(name, "/etc/passwd", commit)
        case "absolute":
            made.link(name, str(made.blob(content)), commit)
        case "linked":
            blob = made.blob(content)
            os.link(blob, blob.with_name(f"linked-{number}"))
            made.link(name, f"{blobs}linked-{number}", commit)
        case "link to a folder":
            made.link(name, "..", commit)
        case "folder":
            (made.path / "snapshots" / commit / name).mkdir(parents=True)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES)
def test_any_repo_is_what_one_process_reads(
    shared: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, files: list[tuple[str, str, int, str]]
) -> None:
    with tempfile.TemporaryDirectory() as base:
        made = hubcache.repo(Path(base))
        (made.path / "blobs").mkdir()
        for file in files:
            with suppress(OSError):  # a folder has that name, or a file that of its folder
                add(made, *file)
        with closing(Ground(Path(base))) as ground:
            monkeypatch.setattr(folder, "wanted", lambda _: 0)
            alone = in_order(read(ground.place, made.path.name))
            shared(1)
            assert in_order(read(ground.place, made.path.name)) == alone


def top(made: hubcache.RepoFolder) -> Path:
    return made.path / "snapshots" / hubcache.COMMIT


def renamed(made: hubcache.RepoFolder) -> None:
    (top(made) / "7").rename(top(made) / "8")


def swapped(made: hubcache.RepoFolder) -> None:
    (top(made) / "7").rename(top(made) / "8")
    (top(made) / "6").rename(top(made) / "7")
    (top(made) / "8").rename(top(made) / "6")


def replaced_by_a_symlink(made: hubcache.RepoFolder) -> None:
    (top(made) / "7").rename(top(made) / "8")
    (top(made) / "7").symlink_to("8")


def another_blob(made: hubcache.RepoFolder) -> None:
    (made.path / "blobs" / "new").write_bytes(b"another size")
    (made.path / "blobs" / "new").rename(made.path / "blobs" / hubcache.etag_of(b"7"))


def no_blob(made: hubcache.RepoFolder) -> None:
    (made.path / "blobs" / hubcache.etag_of(b"7")).unlink()


def second_name(made: hubcache.RepoFolder) -> None:
    os.link(made.path / "blobs" / hubcache.etag_of(b"7"), made.path / "blobs" / "second")


def added(made: hubcache.RepoFolder) -> None:
    made.file("7/more", b"more")
    made.file("0/more", b"more", hubcache.OTHER)


def emptied(made: hubcache.RepoFolder) -> None:
    shutil.rmtree(top(made) / "7")
    (top(made) / "7").mkdir()


def removed(made: hubcache.RepoFolder) -> None:
    shutil.rmtree(made.path)


@pytest.mark.parametrize(
    "change",
    [renamed, swapped, replaced_by_a_symlink, another_blob, no_blob, second_name, added, emptied, removed],
    ids=lambda change: change.__name__.replace("_", " "),
)
def test_what_changes_while_it_is_shared_is_seen_by_the_next_scan(
    cache: Path, shared: Callable[..., list[str]], settle: Callable[[], None], change: Callable[..., None]
) -> None:
    made = hubcache.repo(cache)
    for number in range(8):
        for name in range(3):
            made.file(f"{number}/{name}", b"%d" % (number if name else 7))
    made.ref()
    hubcache.healthy(cache, "org/other")
    settle()
    done: list[str] = []

    class Late(Patient):
        """Is asked before something changes, and reads after that."""

        def ask(self, came: Came, numbers: range, names: Sequence[str], inside: str = "", files: bool = False) -> None:
            if not done and "7" in names:
                done.append(inside)
                change(made)
            super().ask(came, numbers, names, inside, files)

    shared(1, Late)
    scanner = Scanner([Location("hub", str(cache), "test")])
    scanner.scan()
    assert done
    assert scanner.scan() == Scanner([Location("hub", str(cache), "test")]).scan()
