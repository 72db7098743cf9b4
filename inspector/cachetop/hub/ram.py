"""Bring a repo's content into RAM, or let go of it: what makes the next start warm, or cold.

Both act on files of this user's own alone, as a scan saw them, and only when the caller says that the person
confirmed it. CACHETOP_READ_ONLY refuses both. Neither changes a file or its access time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from cachetop.base.hostile import clean
from cachetop.base.readonly import is_read_only
from cachetop.base.record import Record
from cachetop.base.residency import resident_fd
from cachetop.hub.contents import Blob
from cachetop.hub.records import Repo
from cachetop.hub.scan import Scanner
from cachetop.hub.warm import opened

_STEP = 8 << 20


class Refused(Exception):
    """Nothing was done; the message is a sentence that says why."""


class Outcome(Record, frozen=True):
    """What happened: bytes in RAM before and after (None: cannot be told), and files that were left alone."""

    repo: str
    size: int
    before: int | None
    after: int | None
    skipped: int
    complete: bool
    """It was not cancelled."""


class Moved(Record, frozen=True):
    """What several such steps did (`cachetop.ram/1`)."""

    action: str
    """`warm` or `drop`."""
    outcomes: tuple[Outcome, ...]
    refused: tuple[str, ...] = ()
    """Sentences on repos that were left as they are."""
    schema: str = "cachetop.ram/1"


def warm(
    repo: Repo,
    scanner: Scanner,
    *,
    confirmed: bool,
    progress: Callable[[int, int], bool] | None = None,
    available: int | None = None,
    commit: str | None = None,
) -> Outcome:
    """Read the repo's content once so that it is in RAM; with `commit` that of one revision alone.

    `progress(done, total)` is called with bytes after each step and returns whether to go on. `available` is the
    memory there is, by default MemAvailable of /proc/meminfo. Raises Refused when it does not fit, or unconfirmed.
    """
    _permit(confirmed)
    limit = _available() if available is None else available
    return _each(repo, scanner, commit, limit, _read, progress)


def drop(
    repo: Repo,
    scanner: Scanner,
    *,
    confirmed: bool,
    progress: Callable[[int, int], bool] | None = None,
    commit: str | None = None,
) -> Outcome:
    """Ask the kernel to let go of the repo's content in RAM. What is mapped by a running process stays.

    With `commit` only of what that revision names.

    Raises Refused when the person did not confirm it, or in read-only mode.
    """
    _permit(confirmed)
    return _each(repo, scanner, commit, None, _let_go, progress)


def _permit(confirmed: bool) -> None:
    if is_read_only():
        raise Refused("CACHETOP_READ_ONLY is set: what is in RAM is left as it is.")
    if not confirmed:
        raise Refused("Nobody confirmed that what is in RAM may change.")


def _available() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _each(
    repo: Repo,
    scanner: Scanner,
    commit: str | None,
    limit: int | None,
    act: Callable[[int, int], Iterator[int]],
    progress: Callable[[int, int], bool] | None,
) -> Outcome:
    known = scanner.find(repo)
    if known is None:
        raise Refused(f"{repo.id} is not in the cache any more.")
    before: list[int | None] = []
    after: list[int | None] = []
    done, skipped, going = 0, 0, True
    with opened(known) as hold:
        if hold is None:
            raise Refused(f"The folder of {repo.id} cannot be opened any more.")
        contents = known.contents
        work: dict[Blob, Callable[[], int | None]] = {
            blob: lambda key=key: hold.open_blob(key)  # type: ignore[misc]
            for key, blob in contents.blobs.items()
        }
        for snapshot in contents.snapshots:
            for name, blob in snapshot.kept.items():
                work[blob] = lambda c=snapshot.commit, n=name, b=blob: hold.open_kept(c, n, b)  # type: ignore[misc]
        if commit is not None:
            named = {blob for one in contents.snapshots if clean(one.commit) == commit for blob in one.blobs}
            work = {blob: open_it for blob, open_it in work.items() if blob in named}
        total = sum(blob.size for blob in work)
        if limit is not None and total > limit:
            raise Refused(
                f"{repo.id} has {total / 2**30:.2f} GiB and {limit / 2**30:.2f} GiB of memory are available: "
                "reading it would push out what others use."
            )
        for blob, open_it in work.items():
            descriptor = open_it()
            if descriptor is None:
                skipped += going
                before.append(None)
                after.append(None)
                continue
            try:
                before.append(resident_fd(descriptor))
                if going and os.fstat(descriptor).st_uid == os.geteuid():
                    for step in act(descriptor, blob.size):
                        done += step
                        going = progress is None or progress(done, total)
                        if not going:
                            break
                else:
                    skipped += going
            except OSError:  # a bad disk: the others are read all the same
                skipped += 1
            finally:
                after.append(resident_fd(descriptor))
                os.close(descriptor)
    return Outcome(repo=repo.id, size=total, before=_sum(before), after=_sum(after), skipped=skipped, complete=going)


def _sum(parts: list[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _read(descriptor: int, size: int) -> Iterator[int]:
    buffer = bytearray(min(_STEP, size) or 1)
    at = 0
    while count := os.preadv(descriptor, [buffer], at):
        at += count
        yield count


def _let_go(descriptor: int, size: int) -> Iterator[int]:
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    yield size
