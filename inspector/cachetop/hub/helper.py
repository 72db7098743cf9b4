"""One process that helps to scan, seen from the process that scans.

It is the same interpreter, isolated: without site, Python's environment variables and the current folder; cachetop and
msgspec come from where they come from here. It is never forked, for whoever scans may have threads.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cachetop._version import __version__
from cachetop.hub.contents import Place
from cachetop.hub.sent import HEAD, Batch, Sent, Start, message

if TYPE_CHECKING:
    import subprocess

Came = deque[tuple[range, Iterable[Sent]]]
"""Where answers go: the numbers of a batch, with what the helper made of it; nothing for a batch it did not answer."""

AHEAD = 2
"""Batches that a helper has at a time, so that it need not wait for the next."""
MOST = 3
"""Helpers at a time."""
_PIPE = 1 << 20
_LARGEST = 1 << 26
"""Bytes of an answer beyond which it is none."""
_QUOTA = "/sys/fs/cgroup/cpu.max"
_MAIN = "import sys; sys.path += sys.argv[1:]; from cachetop.hub.helper_main import main; main()"
_ANSWER = msgspec.msgpack.Decoder(list[msgspec.Raw])
_SENT = msgspec.msgpack.Decoder(Sent)


class Helper:
    """Reads folders of one cache root. Whatever happens to the process is no error: it does not answer then."""

    def __init__(self, place: Place) -> None:
        self.asked: deque[tuple[Came | None, range]] = deque()
        """The batches that it was asked for and has not answered: where the answer goes, None where nobody wants it."""
        self._process: subprocess.Popen[bytes] | None = None
        self._input = -1
        self.output = -1
        """Readable when something came, or the process ended."""
        self._alive = False
        self._raw = bytearray()
        with contextlib.suppress(OSError, ValueError):
            self._start(place)

    def _start(self, place: Place) -> None:
        if place.root <= 2:
            return  # who scans has a standard stream closed: the helper has its own there
        import subprocess  # most scans need none, and it takes a while to import

        paths = (Path(__file__).absolute().parents[2], Path(msgspec.__file__).absolute().parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", _MAIN, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=(place.root,),
            cwd="/",
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self.output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        os.set_blocking(self.output, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, _PIPE)  # that it can go on while this process reads a repo
            fcntl.fcntl(self._input, fcntl.F_SETPIPE_SZ, _PIPE)  # names of files may be long
        self._alive = True
        self._send(Start(__version__, place.root, [os.fsencode(root) for root in place.roots]))

    @property
    def pid(self) -> int | None:
        """Of its process; None when that could not be started."""
        return self._process.pid if self._process else None

    @property
    def ready(self) -> bool:
        """Whether it can be asked for more."""
        return self._alive and len(self.asked) < AHEAD

    def ask(self, came: Came, numbers: range, names: Sequence[str], inside: str = "", files: bool = False) -> None:
        """Have it read what has these numbers, as `Batch` has it; the answer goes to `came`."""
        self.asked.append((came, numbers))
        self._send(Batch(numbers.start, [os.fsencode(name) for name in names], os.fsencode(inside), files))

    def forget(self, came: Came) -> None:
        """Whatever was to go to `came` is not wanted any more."""
        self.asked = deque([(None if to is came else to, numbers) for to, numbers in self.asked])

    def _send(self, content: Start | Batch) -> None:
        raw = message(content)
        try:
            self._alive &= os.write(self._input, raw) == len(raw)
        except OSError:
            self._alive = False  # dead, or it does not take what it gets

    def listen(self) -> None:
        """Pass on what came since the last call; of a dead helper, that it answers nothing."""
        try:
            while self._alive and (raw := os.read(self.output, _PIPE)):
                self._raw += raw
                self._whole()
                if self._raw and not self.asked:
                    break  # nobody asked
            self._alive = False
        except BlockingIOError:
            return
        except OSError:
            self._alive = False
        while self.asked:
            self._answered(())

    def _whole(self) -> None:
        while len(self._raw) >= HEAD and self.asked:
            end = HEAD + int.from_bytes(self._raw[:HEAD], "big")
            if end > _LARGEST:
                raise OSError("what it says is no answer")
            if len(self._raw) < end:
                return
            self._answered(self._decoded(bytes(self._raw[HEAD:end])))
            del self._raw[:end]

    def _answered(self, sent: Iterable[Sent]) -> None:
        came, numbers = self.asked.popleft()
        if came is not None:
            came.append((numbers, sent))

    def _decoded(self, raw: bytes) -> Iterator[Sent]:
        """One at a time: no other thread gets its turn while one is decoded."""
        try:
            for each in _ANSWER.decode(raw):
                yield _SENT.decode(each)
        except msgspec.DecodeError:
            self._alive = False

    def end(self) -> None:
        """End it at once: it holds nothing that could be lost."""
        if self._process is None:
            return
        import subprocess

        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in a file system: it goes when that answers
            self._process.wait(1)


def spare() -> int:
    """How many helpers would find a CPU of their own; 0 where none can be started."""
    if getattr(sys, "frozen", False) or not os.path.basename(sys.executable or "").startswith("python"):
        return 0  # a program with Python in it: started again it would be that program
    if sys.getfilesystemencoding() != "utf-8":
        return 0  # what it makes of names that are no ASCII would be another text
    return min(MOST, max(0, _cpus() - 1))


def _cpus() -> int:
    """CPUs that this process may keep busy: its affinity, and the quota of its container."""
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        count = os.cpu_count() or 1
    try:
        with open(_QUOTA, encoding="ascii") as file:
            quota, period = map(int, file.read().split())
        return min(count, quota // period)
    except (OSError, ValueError, ZeroDivisionError):
        return count  # there is no quota
