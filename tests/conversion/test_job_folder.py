"""Job folders: private, whole, their state from lock and events, tidied by rule."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from cachetop.conversion import folder as folders
from cachetop.conversion.folder import JobFolder, Listing, create, find, jobs_dir, tidy

SPEC = {"files": ["/docs/a.pdf"], "pipeline": "auto", "device": "auto"}


def hold(folder: JobFolder, text: str = "4242\n") -> int:
    descriptor = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, text.encode())
    return descriptor


def say(folder: JobFolder, **event: object) -> None:
    with folder.events.open("a") as file:
        file.write(json.dumps(event) + "\n")


def aged(folder: JobFolder, days: float) -> None:
    spec = folder.spec()
    folder.write({**spec, "created": time.time() - days * 86400})


def test_a_new_folder_is_private_and_its_id_sorts_by_time() -> None:
    ids = [create(SPEC).id for _ in range(20)]
    assert (
        sorted(set(ids)) == ids
        and len(ids) == 20
        and all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", name) for name in ids)
    )
    one = find(ids[0])
    assert stat.S_IMODE(one.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((one.path / "job.json").stat().st_mode) == 0o600
    assert one.spec()["id"] == ids[0] and abs(one.spec()["created"] - time.time()) < 60


def test_states() -> None:
    folder = create(SPEC)

    def state() -> str:
        job = folder.job()
        assert job is not None
        return job.state

    assert state() == "queued"
    lock = hold(folder)
    assert state() == "running" and folder.holder() == 4242
    say(folder, event="job-started")
    os.close(lock)  # as the kernel does when a process dies
    assert state() == "lost" and folder.holder() is None
    for status, expected in (
        ("partial", "failed"),
        ("cancelled", "cancelled"),
        ("nonsense", "failed"),
        ("success", "done"),
    ):
        say(folder, event="job-finished", status=status, seconds=2.5)
        assert state() == expected
    job = folder.job()
    assert job is not None and job.seconds == 2.5 and job.status == "success"


def test_a_pid_in_a_free_lock_proves_nothing() -> None:
    folder = create(SPEC)
    (folder.path / "lock").write_text(f"{os.getpid()}\n")
    say(folder, event="job-started")
    job = folder.job()
    assert job is not None and job.state == "lost" and job.pid is None


def test_a_look_never_keeps_a_worker_from_its_lock() -> None:
    folder = create(SPEC)
    descriptor = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)  # created, not yet taken
    assert folder.holder() is None
    probe = os.open(folder.path / "lock", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(probe)
        os.close(descriptor)


def test_a_queued_job_whose_worker_never_comes_is_lost() -> None:
    folder = create(SPEC)
    aged(folder, 1)
    job = folder.job()
    assert job is not None and job.state == "lost"


def test_the_listing_is_newest_first_and_passes_over_what_is_no_job() -> None:
    one, two = create(SPEC), create(SPEC)
    aged(one, 2)
    (jobs_dir() / "notes").mkdir()
    (jobs_dir() / "20261123-000000-zzzz").mkdir()
    broken = create(SPEC)
    (broken.path / "job.json").write_text("{")
    assert [job.id for job in Listing().jobs()] == [two.id, one.id]


def test_the_listing_sees_a_job_end_and_does_not_read_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = create(SPEC)
    listing = Listing()
    assert listing.jobs()[0].state == "queued"
    say(folder, event="job-finished", status="success", seconds=1.0)
    assert listing.jobs()[0].state == "done"
    reads: list[str] = []
    original = JobFolder.spec

    def read(self: JobFolder) -> dict[str, Any]:
        reads.append(self.id)
        return original(self)

    monkeypatch.setattr(JobFolder, "spec", read)
    assert listing.jobs()[0].state == "done" and reads == []


def test_names_from_job_json_are_made_safe() -> None:
    folder = create({**SPEC, "files": ["/docs/\x1b[31mred\udcff.pdf"], "device": 7})
    job = folder.job()
    assert job is not None and "\x1b" not in job.files[0]
    job.to_json()


def test_finding_by_part_and_saying_what_is_wrong() -> None:
    with pytest.raises(LookupError, match="no job yet"):
        find()
    one = create(SPEC)
    assert find(one.id[-4:]).id == one.id == find().id
    with pytest.raises(LookupError, match="no job nowhere"):
        find("nowhere")
    for _ in range(3):
        create(SPEC)
    with pytest.raises(LookupError, match="fits 4 jobs"):
        find(one.id[:8])


def test_tidy_takes_old_finished_jobs_only(tmp_path: Path) -> None:
    young, old, alive, unknown = (create(SPEC) for _ in range(4))
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "file").write_text("kept")
    (old.path / "outputs").symlink_to(outside)
    for one in (young, old, alive):
        say(one, event="job-finished", status="success", seconds=1.0)
    for one in (old, alive, unknown):
        aged(one, 91)
    (unknown.path / "job.json").write_text("not ours?")
    (jobs_dir() / "20200101-000000-abcd").symlink_to(outside)
    lock = hold(alive)
    assert tidy() == [old.id]
    os.close(lock)
    assert not old.path.exists() and young.path.exists() and alive.path.exists() and unknown.path.exists()
    assert (outside / "file").read_text() == "kept"


def test_tidy_makes_room_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "KEEP_BYTES", 250_000)
    made = [create(SPEC) for _ in range(4)]
    for one in made:
        (one.path / "big").write_bytes(b"x" * 100_000)
        say(one, event="job-finished", status="success", seconds=1.0)
    gone = tidy()
    assert gone == [one.id for one in made[:2]]
    assert tidy() == []


def test_two_that_tidy_at_once_do_not_trip_over_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [create(SPEC) for _ in range(3)]
    for one in made:
        say(one, event="job-finished", status="success", seconds=1.0)
        aged(one, 91)
    true = os.stat

    def stat_after_another(path: str, **named: Any) -> os.stat_result:
        if path == made[1].id and "dir_fd" in named:
            shutil.rmtree(made[1].path)
        return true(path, **named)

    monkeypatch.setattr(os, "stat", stat_after_another)
    assert tidy() == [made[0].id, made[2].id]
