"""Ways for a repo of a hub cache to be sick, with the rule that says so."""

from __future__ import annotations

import os
from collections.abc import Callable

from support import hubcache


def lose_a_blob(made: hubcache.RepoFolder) -> None:
    next(path for path in (made.path / "blobs").iterdir() if len(path.name) == 40).unlink()


def ref_with_newline(made: hubcache.RepoFolder) -> None:
    made.ref("main", hubcache.COMMIT + "\n")


def ref_not_utf8(made: hubcache.RepoFolder) -> None:
    made.ref("broken").write_bytes(b"\xff\xfe\x00")


def empty_ref(made: hubcache.RepoFolder) -> None:
    made.ref("broken", "")


def huge_ref(made: hubcache.RepoFolder) -> None:
    made.ref("broken", "a" * 100_000)


def ref_to_nowhere(made: hubcache.RepoFolder) -> None:
    made.ref("v2", "d" * 40)


def ref_is_a_link(made: hubcache.RepoFolder) -> None:
    (made.path / "refs" / "evil").symlink_to("/etc/passwd")


def ref_is_a_pipe(made: hubcache.RepoFolder) -> None:
    os.mkfifo(made.path / "refs" / "pipe")


def file_among_snapshots(made: hubcache.RepoFolder) -> None:
    (made.path / "snapshots" / "note.txt").write_text("hello")


def linked_revision(made: hubcache.RepoFolder) -> None:
    (made.path / "snapshots" / hubcache.OTHER).symlink_to(hubcache.COMMIT)


def missing_payload(made: hubcache.RepoFolder) -> None:
    made.stored("more.bin", b"w" * 3000).unlink()


def loop(made: hubcache.RepoFolder) -> None:
    made.link("loop", "loop")


def looping_blob(made: hubcache.RepoFolder) -> None:
    made.link("file", "../../blobs/" + "f" * 40)
    (made.path / "blobs" / ("f" * 40)).symlink_to("f" * 40)


def deep_folders(made: hubcache.RepoFolder) -> None:
    made.link("/".join(["d"] * 60) + "/x", "whatever")


def link_to_a_neighbour(made: hubcache.RepoFolder) -> None:
    made.link("neighbour", "config.json")


STATES: list[tuple[Callable[[hubcache.RepoFolder], None], str, int]] = [
    (lose_a_blob, "missing-blob", 1),
    (ref_with_newline, "bad-ref", 2),
    (ref_not_utf8, "bad-ref", 2),
    (empty_ref, "bad-ref", 2),
    (huge_ref, "bad-ref", 2),
    (ref_to_nowhere, "missing-commit", 2),
    (ref_is_a_link, "foreign-link", 2),
    (ref_is_a_pipe, "bad-ref", 2),
    (file_among_snapshots, "stray-file", 2),
    (linked_revision, "foreign-link", 2),
    (missing_payload, "missing-blob", 2),
    (loop, "foreign-link", 2),
    (looping_blob, "foreign-link", 2),
    (deep_folders, "too-deep", 2),
    (link_to_a_neighbour, "foreign-link", 2),
]
"""What spoils a repo, the rule of its problem, and how many of the two files that it had are left."""
