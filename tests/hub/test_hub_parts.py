"""Helpers of a scan: what they say is what one process says, and whatever happens to them nothing is lost or left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import psutil
import pytest
from hypothesis import given, settings

from cachetop.hub import helper, parts, scan
from cachetop.hub.contents import Unwieldy
from cachetop.hub.folder import read
from cachetop.hub.helper import Helper
from cachetop.hub.names import Names
from cachetop.hub.records import Models
from cachetop.hub.scan import Scanner
from cachetop.hub.sent import HEAD, Sent, message, pack, unpack
from cachetop.locations import Location
from support import hubcache
from support.healthy_caches import REPOS, Repos, filled, many_kinds, odd_but_healthy, shared_store
from support.scan_helpers import BROKEN, Ground, Patient, children, descriptors, shape
from support.sick_repos import STATES


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with everything in it that the tests of the scan know. Nobody changes it."""
    cache = tmp_path_factory.mktemp("hub")
    many_kinds(cache)
    shared_store(cache)
    odd_but_healthy(cache)
    for number, (spoil, _, _) in enumerate(STATES):
        spoil(hubcache.healthy(cache, f"org/sick-{number:02}"))
    for number in range(30):
        hubcache.healthy(cache, f"org/well-{number:02}", weights=100)
    linked = hubcache.healthy(cache, "org/hard-links")
    os.link(linked.blob(b"once"), linked.path / "blobs" / "twice")
    linked.link("first", f"../../blobs/{hubcache.etag_of(b'once')}")
    linked.link("second", "../../blobs/twice")
    os.link(linked.blob(b"once"), linked.path / "snapshots" / hubcache.COMMIT / "third")
    hubcache.healthy(cache, "org/copies").real("deep/copy.bin", b"a real file")
    hubcache.healthy(cache, "org/odd").file("evil\x1b[2J", b"1")
    no_text = os.fsdecode(b"no-\xff-text")
    hubcache.healthy(cache, "org/odd-file").file(no_text, b"2")
    hubcache.healthy(cache, "org/odd-name").path.rename(cache / f"models--org--{no_text}")
    return cache


@pytest.fixture
def ground(everything: Path) -> Iterator[Ground]:
    with closing(Ground(everything)) as ground:
        yield ground


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use(count: int, kind: type[Helper] = Patient) -> None:
        monkeypatch.setattr(parts, "wanted", lambda _: count)
        monkeypatch.setattr(parts, "Helper", kind)

    return use


@settings(max_examples=40, deadline=None)
@given(REPOS)
def test_what_is_sent_comes_out_the_same(repos: Repos) -> None:
    with tempfile.TemporaryDirectory() as base:
        filled(Path(base), repos)
        with closing(Ground(Path(base))) as ground:
            for folder in ground.folders:
                contents = read(ground.place, folder)
                if contents.complaints:  # a repo without any file
                    assert pack(3, contents) is None
                    continue
                sent = msgspec.msgpack.decode(message(pack(3, contents))[HEAD:], type=Sent)
                assert sent.number == 3
                assert shape(unpack(sent, ground.place.store, Names())) == shape(contents)


@pytest.mark.parametrize("count", [1, 3])
def test_helpers_say_what_one_process_says(
    ground: Ground, helpers: Callable[..., None], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers(count)
    alone, before = ground.alone(), descriptors()
    own: list[str] = []
    assert ground.readings(own.append) == alone
    assert len(own) < len(ground.folders) / 2  # the sick ones, and a few
    assert {
        f"models--org--sick-{number:02}" for number, state in enumerate(STATES) if state[1] != "missing-commit"
    } <= {*own}
    assert not children() and descriptors() == before


def test_a_payload_of_the_store_is_the_same_object(ground: Ground, helpers: Callable[..., None]) -> None:
    helpers(1)
    folders, own = ["models--org--one", "models--org--two"], list[str]()
    ground.folders.sort(key=folders.__contains__)  # helpers get the last ones
    with closing(parts.readings(ground.place, ground.folders, own.append)) as found:
        contents = dict(found)
    assert not {*folders} & {*own}
    stored = [contents[folder] for folder in folders]
    payloads = [blob for each in stored if each for blob in each.blobs.values() if blob.stored]
    assert len(payloads) == 2 and payloads[0] is payloads[1]
    assert payloads[0] is ground.place.store[payloads[0].stored or ""]


def test_a_scan_with_helpers_is_the_same_scan(
    ground: Ground,
    helpers: Callable[..., None],
    settle: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settle()
    monkeypatch.setattr(scan, "_FIRST_ROWS", 0.0)
    monkeypatch.setattr(scan, "_MORE_ROWS", 0.0)
    helpers(0)
    alone = Scanner([Location("hub", str(ground.path), "test")]).scan()
    helpers(2)
    scanner, told = Scanner([Location("hub", str(ground.path), "test")]), list[Models]()
    assert scanner.scan(told.append) == alone
    counts = [len(models.repos) for models in told]
    assert counts[0] == 1 and counts[-1] == len(alone.repos) and counts == sorted(counts)


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_helper_costs_nothing(
    ground: Ground, helpers: Callable[..., None], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers(2, Helper if "nothing" in how or "hangs" in how else Patient)
    monkeypatch.setattr(helper, "_MAIN", f"import sys; sys.path += sys.argv[1:]\n{BROKEN[how]}")
    alone, before = ground.alone(), descriptors()
    assert ground.readings() == alone
    assert not children() and descriptors() == before


def test_none_is_started_where_the_root_is_in_the_place_of_a_standard_stream(ground: Ground) -> None:
    assert Helper(msgspec.structs.replace(ground.place, root=0)).pid is None and not children()


def test_what_is_no_answer_is_not_waited_for(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "_MAIN", "import os\nwhile True: os.write(1, b'Welcome!\\n' * 9999)")
    came: helper.Came = deque()
    read, taken = os.read, list[int]()

    def counted(descriptor: int, most: int) -> bytes:
        raw = read(descriptor, most)
        taken.append(len(raw))
        return raw

    talker = Patient(ground.place)
    try:
        monkeypatch.setattr(os, "read", counted)
        talker.ask(came, range(3), ground.folders[:3])
        while not came:
            talker.listen()
        assert came.popleft() == (range(3), ()) and not talker.ready
    finally:
        talker.end()
    assert sum(taken) <= 1 << 21


def test_a_helper_that_cannot_be_started_costs_nothing(
    ground: Ground, helpers: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers(1)
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    before = descriptors()
    assert ground.readings() == ground.alone()
    assert descriptors() == before


def test_a_helper_that_is_killed_costs_nothing(ground: Ground, helpers: Callable[..., None]) -> None:
    helpers(1)
    killed: list[int] = []

    def kill(_: str) -> None:
        if not killed:
            killed.extend(children())
            os.kill(killed[0], signal.SIGKILL)

    assert ground.readings(kill) == ground.alone()
    assert killed and not children()


def test_who_stops_reading_leaves_no_helper(
    ground: Ground, helpers: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers(2)
    monkeypatch.setattr(scan, "_FIRST_ROWS", 0.0)
    before = descriptors()
    with closing(parts.readings(ground.place, ground.folders, lambda _: None)) as found:
        next(found)
        assert len(children()) == 2
    assert not children() and descriptors() == before

    def stumble(_: Models) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Scanner([Location("hub", str(ground.path), "test")]).scan(stumble)
    assert not children() and descriptors() == before


def test_a_helper_has_the_root_and_nothing_else_of_its_starter(ground: Ground, helpers: Callable[..., None]) -> None:
    helpers(1)
    secret = os.memfd_create("secret")
    os.set_inheritable(secret, True)
    try:
        with closing(parts.readings(ground.place, ground.folders, lambda _: None)) as found:
            next(found)
            (pid,) = children()
            opened = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
            assert opened - {0, 1, 2} <= {ground.root, *range(secret + 1, 1000)}  # and what it is reading now
            assert secret not in opened
            assert psutil.Process(pid).cwd() == "/"
    finally:
        os.close(secret)


def test_helpers_end_with_who_started_them(ground: Ground, tmp_path: Path) -> None:
    script = tmp_path / "scans.py"
    script.write_text(
        "import os, sys, time, psutil\n"
        "from cachetop.hub import parts\n"
        "from cachetop.hub.contents import Place\n"
        "from cachetop.hub.names import Names\n"
        "parts.wanted = lambda _: 2\n"
        "root = os.open(sys.argv[1], os.O_RDONLY)\n"
        "found = parts.readings(Place(root, {}, (sys.argv[1],), Names()), sorted(os.listdir(root)), lambda _: None)\n"
        "next(found)\n"
        "print(*[child.pid for child in psutil.Process().children()], flush=True)\n"
        "time.sleep(600)\n"
    )
    started = subprocess.Popen([sys.executable, script, ground.path], stdout=subprocess.PIPE)
    try:
        assert started.stdout is not None
        pids = [int(pid) for pid in started.stdout.readline().split()]
    finally:
        started.kill()
        started.communicate()
    assert len(pids) == 2
    until = time.monotonic() + 30
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_repo_with_very_many_blobs_is_left_to_who_asked(cache: Path) -> None:
    hubcache.healthy(cache)
    with closing(Ground(cache)) as ground:
        (folder,) = ground.folders
        few = msgspec.structs.replace(ground.place, most=1)
        with pytest.raises(Unwieldy):
            read(few, folder)
        assert read(msgspec.structs.replace(ground.place, most=2), folder).blobs


def test_a_rescan_starts_no_helper(
    cache: Path, scanner: Scanner, settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def wanted(repos: int) -> int:
        asked.append(repos)
        return 0

    monkeypatch.setattr(parts, "wanted", wanted)
    for number in range(20):
        hubcache.healthy(cache, f"org/m{number:02}", weights=100)
    settle()
    scanner.scan()
    scanner.scan()
    hubcache.repo(cache, "org/m03").file("new", b"1")
    assert scanner.scan().repos and asked == [20, 0, 1]


def test_helpers_only_where_they_pay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("max 100000\n")
    monkeypatch.setattr(helper, "_QUOTA", str(quota))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    assert [parts.wanted(repos) for repos in (0, 1, 999, 1000, 2500, 100_000)] == [0, 0, 0, 1, 2, 3]
    quota.write_text("250000 100000\n")
    assert parts.wanted(100_000) == 1
    quota.write_text("50000 100000\n")
    assert parts.wanted(100_000) == 0
    quota.unlink()
    assert parts.wanted(100_000) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7})
    assert parts.wanted(100_000) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {6, 7})
    assert parts.wanted(100_000) == 1
    for program in ("", None, "/opt/blender/blender"):
        monkeypatch.setattr(sys, "executable", program)
        assert parts.wanted(100_000) == 0
    monkeypatch.undo()
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    assert parts.wanted(100_000) == 0
    monkeypatch.undo()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert parts.wanted(100_000) == 0
