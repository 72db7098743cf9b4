"""A repo with very many files is read together with helpers: what comes out is what one process reads."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

import cachetop
from cachetop.hub import folder, helper, together
from cachetop.hub.contents import Place, Snapshot, Unwieldy
from cachetop.hub.folder import read
from cachetop.hub.helper import Came, Helper
from cachetop.hub.names import Names
from cachetop.hub.part import read_files, read_folder
from cachetop.hub.problems import Complaints
from cachetop.hub.scan import Scanner
from cachetop.hub.together import Together
from cachetop.locations import Location
from support import hubcache
from support.scan_helpers import BROKEN, Ground, Patient, children, descriptors, in_order

NAME = "datasets--org--large"


def fill(cache: Path) -> hubcache.RepoFolder:
    """A repo with everything in it, in folders side by side and in long ones, in folders of theirs, too."""
    made = hubcache.repo(cache, "org/large", "dataset")
    for number in range(12):
        for shard in range(5):
            name, content = f"data/train/{number:02}/{shard}.tar", f"train {number} {shard}".encode()
            made.file(name, content)
            if shard:
                made.file(name, content, hubcache.OTHER)
        made.file(f"data/test/{number:02}/a.tar", b"test %d" % (number // 2))  # each content twice
    for number in range(60):
        made.file(f"images/{number:03}.png", b"image %d" % (number // 3))
    for number in range(30):
        made.file(f"imágenes/{number:03}-año.png", b"image %d" % number)
        made.file("sick/texts/" + "\x1b" * (number % 10 == 3) + f"{number:03}", b"text %d" % number)
    made.real("images/031-copy.png", b"no blob")
    made.file("images/032-more/a.png", b"in a folder of a long one")
    made.link("images/040-lost.png", "../../../blobs/" + "f" * 64)
    for number in range(8):
        made.real(f"copies/{number}/real.bin", b"real %d" % number)
        made.stored(f"stored/{number}/one.bin", b"stored %d" % number)
        made.file(f"sick/odd/{number}/\x1b[2J", b"odd %d" % number)
        made.file(f"sick/text/{number}/" + os.fsdecode(b"\xff"), b"no text %d" % number)
        made.link(f"sick/foreign/{number}/out", "/etc/passwd")
        made.link(f"sick/lost/{number}/gone.bin", "../../../../../blobs/" + f"{number}" * 64)
        linked = made.file(f"sick/linked/{number}/one.bin", b"linked %d" % number)
        os.link(linked, linked.with_name(f"linked-{number}"))
        made.link(f"sick/linked/{7 - number}/other.bin", f"../../../../../blobs/linked-{number}")
    (made.path / "snapshots" / hubcache.COMMIT / "data" / "train" / "13").mkdir()
    made.ref()
    made.ref("refs/convert/parquet", hubcache.OTHER)
    made.partial("e" * 64, b"x" * 5000)
    made.blob(b"nobody names me")
    return made


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("hub")
    fill(cache)
    return cache


@pytest.fixture
def ground(large: Path) -> Iterator[Ground]:
    with closing(Ground(large)) as ground:
        yield ground


@pytest.mark.parametrize("count", [1, 3])
def test_they_say_what_one_process_says(ground: Ground, shared: Callable[..., list[str]], count: int) -> None:
    alone, before = in_order(read(ground.place, NAME)), descriptors()
    taken = shared(count)
    assert in_order(read(ground.place, NAME)) == alone
    kinds = {name.split("/")[0] for name in taken}
    assert kinds == {"data", "images", "imágenes", "copies", "stored", "sick"}
    assert len(taken) > 60
    assert not children() and descriptors() == before


def test_a_scan_is_the_same_scan(large: Path, shared: Callable[..., list[str]], settle: Callable[[], None]) -> None:
    settle()
    roots = [Location("hub", str(large), "test")]
    alone = Scanner(roots).scan()
    taken, scanner = shared(2), Scanner(roots)
    models = scanner.scan()
    assert taken and models == alone
    assert scanner.scan() is models


@pytest.mark.parametrize("how", [*BROKEN, "it cannot be started"])
def test_a_broken_helper_costs_nothing(
    ground: Ground, shared: Callable[..., list[str]], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, before = in_order(read(ground.place, NAME)), descriptors()
    shared(2, Helper if "nothing" in how or "hangs" in how else Patient)
    if how in BROKEN:
        monkeypatch.setattr(helper, "_MAIN", f"import sys; sys.path += sys.argv[1:]\n{BROKEN[how]}")
    else:
        monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    assert in_order(read(ground.place, NAME)) == alone
    assert not children() and descriptors() == before


def test_it_does_not_matter_where_most_files_lie(
    tmp_path: Path, shared: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.repo(tmp_path)
    for number in range(8):
        for name in range(60 if number in (0, 6) else 2):
            made.file(f"{number}/{name:02}", b"%d %d" % (number, name))
    for number in range(60):
        made.file(f"7/{number // 10}/{number}", b"7 %d" % number)
    large = "from cachetop.hub import helper_main as m; m.EACH = 25; m.main()"
    monkeypatch.setattr(helper, "_MAIN", f"import sys; sys.path += sys.argv[1:]; {large}")
    with closing(Ground(tmp_path)) as ground:
        alone = in_order(read(ground.place, made.path.name))
        taken = shared(1)
        assert in_order(read(ground.place, made.path.name)) == alone
    assert {name.split("/")[0] for name in taken} >= {"0", "6", "7"}  # where this process was first, or refused was


def test_files_come_in_the_order_of_their_names_as_shown(tmp_path: Path, shared: Callable[..., list[str]]) -> None:
    made = hubcache.repo(tmp_path)
    for number in range(40):
        made.file("\x1b" * (number % 10 == 3) + f"{number:02}", b"%d" % number)
    with closing(Ground(tmp_path)) as ground:
        alone = read(ground.place, made.path.name)
        names = [file.name for file in alone.snapshots[0].files]
        assert names == sorted(names) and names[0] == "00" and names[-1] == "\ufffd33"
        taken = shared(1)
        assert in_order(read(ground.place, made.path.name)) == in_order(alone) and taken


def test_the_helper_is_of_the_same_cachetop(
    ground: Ground, shared: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another one is installed beside msgspec, as where PYTHONPATH names a checkout."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "cachetop").symlink_to(Path(cachetop.__file__).parent)
    (tmp_path / "a" / "cachetop").mkdir(parents=True)
    (tmp_path / "a" / "cachetop" / "__init__.py").write_text("raise SystemExit")
    (tmp_path / "a" / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    monkeypatch.setattr(helper, "__file__", str(tmp_path / "ours" / "cachetop" / "hub" / "helper.py"))
    monkeypatch.setattr(msgspec, "__file__", str(tmp_path / "a" / "msgspec" / "__init__.py"))
    alone, taken = in_order(read(ground.place, NAME)), shared(1)
    assert in_order(read(ground.place, NAME)) == alone and taken
    taken.clear()
    monkeypatch.setattr(helper, "__version__", "0.0.1")  # installed over a cachetop that runs
    assert in_order(read(ground.place, NAME)) == alone and not taken


def test_answers_that_come_too_late_are_taken_for_no_others(ground: Ground, shared: Callable[..., list[str]]) -> None:
    alone = in_order(read(ground.place, NAME))
    late: list[int] = []

    class Late(Helper):
        """Is not heard before nobody wants to know what it says."""

        def forget(self, came: Came) -> None:
            late.append(len(self.asked))
            super().forget(came)

        def listen(self) -> None:
            if any(late) and self.asked:
                select.select([self.output], [], [], 60)
                super().listen()

    taken = shared(1, Late)
    assert in_order(read(ground.place, NAME)) == alone
    assert late[0] == 2 and taken


def test_another_size_than_was_seen_here_is_not_believed(tmp_path: Path) -> None:
    made = hubcache.repo(tmp_path)
    blob = made.file("a/one.bin", b"one")
    made.link("b/one.bin", f"../../../blobs/{blob.name}")
    inside = f"{made.path.name}/snapshots/{hubcache.COMMIT}"
    with closing(Ground(tmp_path)) as ground:
        whole = read(ground.place, made.path.name)
        gathered = Together(ground.place, made.path.name, whole, 0)
        snapshot = Snapshot(hubcache.COMMIT, [], [], {}, [])
        gathered._take_in(snapshot, read_folder(ground.place, inside, "b"))
        assert [file.name for file in snapshot.files] == ["b/one.bin"]
        assert snapshot.blobs == [whole.blobs[blob.name]]  # the very object
        blob.write_bytes(b"more than one")
        with pytest.raises(LookupError):
            gathered._take_in(snapshot, read_folder(ground.place, inside, "b"))


def test_a_part_is_read_without_following_a_symlink(tmp_path: Path) -> None:
    made = hubcache.repo(tmp_path)
    made.file("data/a/one.bin", b"one")
    top = made.path / "snapshots" / hubcache.COMMIT
    inside = f"{made.path.name}/snapshots/{hubcache.COMMIT}"
    with closing(Ground(tmp_path)) as ground:
        assert [f.name for f in read_folder(ground.place, f"{inside}/data", "a").snapshots[0].files] == [
            "data/a/one.bin"
        ]
        assert read_files(ground.place, f"{inside}/data/a", ["one.bin"]).marks == []  # whoever asked has that
        (top / "data").rename(top / "moved")
        (top / "data").symlink_to("moved")
        with pytest.raises(NotADirectoryError):
            read_folder(ground.place, f"{inside}/data", "a")
        with pytest.raises(NotADirectoryError):
            read_files(ground.place, f"{inside}/data/a", ["one.bin"])
        (top / "moved" / "b").symlink_to("a")
        assert read_folder(ground.place, f"{inside}/moved", "b").complaints  # so it is not sent
        with pytest.raises(Unwieldy):
            read_folder(msgspec.structs.replace(ground.place, most=0), f"{inside}/moved", "a")


def test_in_what_order_complaints_come_is_no_chance() -> None:
    first, second = Complaints(), Complaints()
    for rule, name in (("too-deep", "b"), ("bad-ref", "z"), ("bad-ref", "a")):
        first.add(rule, name)
    for rule, name in (("bad-ref", "a"), ("too-deep", "b"), ("bad-ref", "z")):
        second.add(rule, name)
    first.sort()
    second.sort()
    assert vars(first) == vars(second) and list(vars(first)["_found"]) == list(vars(second)["_found"])


def test_very_many_files_are_shared_and_few_are_not(
    cache: Path, monkeypatch: pytest.MonkeyPatch, settle: Callable[[], None]
) -> None:
    monkeypatch.setattr(together, "spare", lambda: 3)
    assert [together.wanted(blobs) for blobs in (0, 20_000, 20_001, 40_000, 100_000)] == [0, 0, 1, 2, 3]
    monkeypatch.setattr(together, "spare", lambda: 0)
    assert together.wanted(100_000) == 0
    monkeypatch.setattr(together, "spare", lambda: 1)
    monkeypatch.setattr(together, "EACH", 2000)
    monkeypatch.setattr(together, "_LONG", 500)
    made = hubcache.repo(cache, "org/many", "dataset")
    top = made.path / "snapshots" / hubcache.COMMIT
    (made.path / "blobs").mkdir()
    for number in range(2100):
        part = "flat" if number % 2 else f"deep/{number // 100}"
        name = f"{number:064x}"
        (made.path / "blobs" / name).touch()
        (top / part).mkdir(parents=True, exist_ok=True)
        (top / part / f"{number}.bin").symlink_to(f"{'../' * part.count('/')}../../../blobs/{name}")
    made.ref()
    settle()
    started: list[Place] = []

    class Watched(Patient):
        def __init__(self, place: Place) -> None:
            started.append(place)
            super().__init__(place)

    monkeypatch.setattr(together, "Helper", Watched)
    scanner = Scanner([Location("hub", str(cache), "test")])
    models = scanner.scan()
    assert len(started) == 1
    assert scanner.scan() is models and len(started) == 1  # nothing is read again
    monkeypatch.setattr(folder, "wanted", lambda _: 0)
    assert Scanner([Location("hub", str(cache), "test")]).scan() == models
    assert len(started) == 1
    root = os.open(cache, os.O_RDONLY)
    try:  # a helper has none of its own
        with pytest.raises(Unwieldy):
            read(Place(root, {}, (str(cache),), Names(), together.EACH), made.path.name)
    finally:
        os.close(root)
