"""A repo of very many files in the app: folders, rows made when they are seen, lists that end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.hub.detail import with_detail
from cachetop.hub.records import File, Models, Revision
from cachetop.hub.scan import Scanner
from cachetop.locations import Location
from cachetop_tui.documents import diff
from cachetop_tui.listing import Listing, find, parent
from cachetop_tui.marks import Row
from cachetop_tui.panes import model_files
from cachetop_tui.panes import models as pane
from cachetop_tui.panes.models_data import key_of
from cachetop_tui.workbench.opening import revision_document
from support import hubcache
from support.live_models import live
from support.opening import screen, until


def revision(files: list[File]) -> Revision:
    files.sort(key=lambda file: file.name)
    return Revision(commit="a" * 40, refs=("main",), size=sum(file.size for file in files), size_on_disk=0,
                    reclaimable=0, detached=False, complete=True, files=tuple(files))  # fmt: skip


def file(name: str, size: int = 1, blob: str | None = None, resident: int | None = 0) -> File:
    return File(name=name, size=size, size_on_disk=size, blob=blob or name, resident=resident)


NAMES = st.lists(
    st.lists(st.sampled_from(["a", "b", "data", "x.bin"]), min_size=1, max_size=4).map("/".join), unique=True
)


@given(NAMES, st.data())
def test_each_file_is_in_its_folder_once(names: list[str], data: st.DataObject) -> None:
    names = [name for name in names if not any(other.startswith(f"{name}/") for other in names)]
    padding = [f"more/{n:03d}" for n in range(250)]
    made = revision([file(name, data.draw(st.integers(0, 9))) for name in (*names, *padding)])
    whole = model_files.folder({}, "key", made)

    def walk(folder: model_files.Folder, path: str) -> list[str]:
        assert path == folder.path and folder.count == sum(one.name.startswith(path) for one in made.files)
        assert folder.size == sum(one.size for one in made.files if one.name.startswith(path))
        assert [one.size for one in folder.files] == sorted((one.size for one in folder.files), reverse=True)
        assert not path or folder.files or len(folder.folders) != 1, (
            "a folder that holds only a folder is shown with it"
        )
        below = [name for one in folder.folders for name in walk(one, f"{path}{one.name}/")]
        return below + [one.name for one in folder.files]

    assert sorted(walk(whole, "")) == sorted(one.name for one in made.files)
    out = Listing()
    opened = {f"mark\0{'/'.join(part) + '/'}": True for name in names for part in [name.split("/")[:-1]]}
    model_files.add(out, whole, "mark", 2, opened)
    rows = list(out)
    for index, row in enumerate(rows):
        above = next((n for n in range(index - 1, -1, -1) if rows[n].depth < row.depth), None)
        assert parent(out, index) == above
        assert find(out, row.key, None) == index and out.key(index) == row.key
    assert find(out, "mark\0nowhere", None) is None


def test_a_blob_with_two_names_counts_once_and_what_was_not_measured_is_unknown() -> None:
    many = [file(f"d/{n}", 3, "same", 3) for n in range(300)]
    whole = model_files.folder({}, "key", revision(many))
    (folder,) = whole.folders
    assert (folder.count, folder.size, folder.warm) == (300, 3, 3)
    (folder,) = model_files.folder({}, "key", revision([*many, file("d/x", 1, None, None)])).folders
    assert folder.warm is None


def test_few_files_are_listed_flat_with_their_paths(cache: Path, scanner: Scanner) -> None:
    hubcache.healthy(cache)
    models = with_detail(scanner.scan(), scanner)
    key = key_of(models.repos[0])
    rows = pane.rows(models, 90, pane.View({key: True}))
    assert [row.kind for row in rows] == ["repo", "revision", "file", "file"]
    assert "onnx/model.onnx" in pane.line(rows[2], 90, pane.View(), 0.0).text


@pytest.fixture
def large(cache: Path) -> hubcache.RepoFolder:
    """A dataset of 2,500 files in two revisions; in the second one all of one folder are others."""
    made = hubcache.repo(cache, "big/shards", "dataset")
    for commit in (hubcache.COMMIT, hubcache.OTHER):
        for number in range(2500):
            folder = number // 1250
            content = f"{number} {folder and commit}".encode()
            made.file(f"data/train-{folder:02d}/{number:05d}.tar", content * (folder + 1), commit)
        made.file("README.md", b"#" * 5000, commit)
    made.ref()
    return made


def test_only_rows_in_sight_are_made(
    large: hubcache.RepoFolder, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: Models = with_detail(scanner.scan(), scanner)
    view = pane.View(unfolded := {key_of(models.repos[0]): True})
    unfolded[f"{key_of(models.repos[0])}\0{hubcache.COMMIT}"] = True
    unfolded[f"{key_of(models.repos[0])}\0{hubcache.COMMIT}\0data/train-01/"] = True
    unfolded[f"{key_of(models.repos[0])}\0{hubcache.COMMIT}\0data/"] = True
    made: list[Row] = []

    def make(*parts: Any) -> Row:
        made.append(Row(*parts))
        return made[-1]

    monkeypatch.setattr(model_files, "Row", make)
    rows = pane.rows(models, 90, view)
    assert len(rows) > 1250 and len(made) < 10
    last = next(n for n in range(len(rows) - 1, -1, -1) if rows[n].kind == "file" and rows[n].depth == 4)
    above = parent(rows, last)
    assert above is not None and rows[above].subject.path == "data/train-01/"
    assert len(made) < 30
    assert all("train-01" in pane.line(rows[above], width, view, 0.0).text for width in (90, 50))
    text = pane.line(rows[last], 90, view, 0.0).text
    assert ".tar" in text and "train-01" not in text


def test_a_comparison_of_very_many_files_ends(large: hubcache.RepoFolder, scanner: Scanner) -> None:
    (repo,) = with_detail(scanner.scan(), scanner).repos
    new, old = repo.revisions
    found = diff.compare(diff.Pair(repo.id, new, old))
    assert (found.differ, found.same) == (1250, 1251)
    text = [line.text for line in diff.lines(found, 100, 0.0)]
    assert len(text) < 1100 and "and 250 more" in text[-1]
    alone = diff.compare(diff.Pair(repo.id, new, None))
    assert len(diff.lines(alone, 100, 0.0)) < 1100 and alone.listed[0][1].name == "README.md"


@given(NAMES, NAMES, st.data())
def test_every_file_is_in_a_comparison_or_the_same(new: list[str], old: list[str], data: st.DataObject) -> None:
    blobs = st.sampled_from(["x", "y"])
    pair = diff.Pair("big", *(revision([file(name, 1, data.draw(blobs)) for name in names]) for names in (new, old)))
    now, before = ({one.name: one for one in side.files} for side in (pair.new, pair.old) if side)
    found = diff.compare(pair)
    for kind, one, was in found.listed:
        assert now.get(one.name, before.get(one.name)) is one
        assert was is (before[one.name] if kind == "changed" else None)
        assert kind == ("changed" if {one.name} <= now.keys() & before.keys() else
                        "only in the new" if one.name in now else "only in the old")  # fmt: skip
    differs = [name for name in now.keys() | before.keys() if now.get(name) != before.get(name)]
    assert [one.name for _, one, _ in found.listed] == sorted(differs) and found.differ == len(differs)
    assert found.same == len(now.keys() | before.keys()) - len(differs)


def test_revisions_of_very_many_files_are_compared_by_every_part() -> None:
    def made(size: int = 1) -> Revision:
        return revision([file(f"{n:05d}", size if n == 4500 else 1) for n in range(5000)])

    one = made()
    assert one == made() and hash(one) == hash(made()) and len({one, made()}) == 1
    assert one != made(size=2) and one != one.files and one != None  # noqa: E711
    others: dict[str, Any] = {"commit": "b" * 40, "refs": (), "size": 1, "size_on_disk": 1, "reclaimable": 1,
                              "detached": True, "complete": None, "files": one.files[:-1], "missing": ("x",),
                              "superseded": True}  # fmt: skip
    assert others.keys() == set(Revision.__struct_fields__)
    for name, value in others.items():
        assert one != msgspec.structs.replace(one, **{name: value}), name


def test_what_a_scanner_found_outlives_it(
    large: hubcache.RepoFolder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachetop.hub.scan._MANY", 1000)
    scanner = Scanner([Location("hub", str(cache), "")])
    found, inodes = with_detail(scanner.scan(), scanner), scanner.inodes()
    raw, owned = found.to_json(), dict(inodes)
    del scanner
    assert found.to_json() == raw and dict(inodes) == owned and len(owned) == 3751


def test_a_revision_is_compared_with_the_one_of_main(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    for commit, ref in (("1" * 40, None), ("2" * 40, "v1"), ("3" * 40, "main"), ("4" * 40, None)):
        made.file("a.bin", commit.encode(), commit)
        if ref:
            made.ref(ref, commit)
    (repo,) = scanner.scan().repos
    against = [revision_document(repo, one).load().pair.old.commit[0] for one in repo.revisions]
    assert against == ["3", "3", "2", "3"]


async def test_folders_unfold_and_fold_in_the_app(large: hubcache.RepoFolder) -> None:
    async with live((110, 30)) as (app, pilot):
        models = app.overview.models
        await pilot.press("z", "right", "right", "right")
        await until(pilot, lambda: "data  2,500 files" in screen(app) and "README.md" in screen(app))
        await pilot.press("right", "right", "down", "right")
        await until(pilot, lambda: "train-01  1,250 files" in screen(app) and ".tar" in screen(app))
        await pilot.press(*["down"] * 9)
        assert models.cursor is not None and models.cursor.kind == "file"
        await pilot.press("left")
        assert models.cursor is not None and models.cursor.subject.name.startswith("train-0")
        await pilot.press("left", "left")
        assert models.cursor is not None and models.cursor.subject.name == "data"
