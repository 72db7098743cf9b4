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

from cachetop.hub.contents import Place
from cachetop.hub.sent import HEAD, Batch, Sent, Start, message

if TYPE_CHECKING:
    import subprocess

AHEAD = 2
"""Batches that a helper has at a time, so that it need not wait for the next."""
MOST = 3
"""Helpers at a time."""
_PIPE = 1 << 20
_QUOTA = "/sys/fs/cgroup/cpu.max"
_MAIN = "import sys; sys.path += sys.argv[1:]; from cachetop.hub.helper_main import main; main()"
_ANSWER = msgspec.msgpack.Decoder(list[msgspec.Raw])
_SENT = msgspec.msgpack.Decoder(Sent)


class Helper:
    """Reads folders of one cache root. Whatever happens to the process is no error: it does not answer then."""

    def __init__(self, place: Place) -> None:
        self.asked: deque[range] = deque()
        """The numbers of what it was asked for and has not answered, a range a batch."""
        self._forgotten = 0
        """Batches it was asked for before those, whose answers nobody wants."""
        self._process: subprocess.Popen[bytes] | None = None
        self._input = -1
        self.output = -1
        """Readable when something came, or the process ended."""
        self._alive = False
        self._raw = bytearray()
        with contextlib.suppress(OSError, ValueError):
            self._start(place)

    def _start(self, place: Place) -> None:
        import subprocess  # most scans need none, and it takes a while to import

        paths = {str(Path(__file__).absolute().parents[2]), str(Path(msgspec.__file__).absolute().parents[1])}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", f"utf8={sys.flags.utf8_mode}", "-c", _MAIN, *sorted(paths)],
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
        self._send(Start(place.root, [os.fsencode(root) for root in place.roots]))

    @property
    def pid(self) -> int | None:
        """Of its process; None when that could not be started."""
        return self._process.pid if self._process else None

    @property
    def ready(self) -> bool:
        """Whether it can be asked for more."""
        return self._alive and len(self.asked) + self._forgotten < AHEAD

    def ask(self, numbers: range, names: Sequence[str], inside: str = "", files: bool = False) -> None:
        """Have it read what has these numbers, as `Batch` has it."""
        self.asked.append(numbers)
        self._send(Batch(numbers.start, [os.fsencode(name) for name in names], os.fsencode(inside), files))

    def forget(self) -> None:
        """Whatever it was asked for is not wanted any more."""
        self._forgotten += len(self.asked)
        self.asked.clear()

    def _send(self, content: Start | Batch) -> None:
        raw = message(content)
        try:
            self._alive &= os.write(self._input, raw) == len(raw)
        except OSError:
            self._alive = False  # dead, or it does not take what it gets

    def answers(self) -> Iterator[tuple[range, Iterable[Sent]]]:
        """What came since the last call, a batch at a time; of a dead helper, batches without an answer."""
        try:
            while self._alive and (raw := os.read(self.output, _PIPE)):
                self._raw += raw
                yield from self._whole()
                if self._raw and not self.asked and not self._forgotten:
                    break  # nobody asked
            self._alive = False
        except BlockingIOError:
            return
        except OSError:
            self._alive = False
        while self.asked:
            yield self.asked.popleft(), ()

    def _whole(self) -> Iterator[tuple[range, Iterable[Sent]]]:
        while len(self._raw) >= HEAD and (self.asked or self._forgotten):
            end = HEAD + int.from_bytes(self._raw[:HEAD], "big")
            if len(self._raw) < end:
                return
            raw = bytes(self._raw[HEAD:end])
            del self._raw[:end]
            if self._forgotten:
                self._forgotten -= 1
            else:
                yield self.asked.popleft(), self._decoded(raw)

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
