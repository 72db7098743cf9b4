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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cachetop.hub.folder import Place
from cachetop.hub.sent import HEAD, Batch, Sent, Start, message

if TYPE_CHECKING:
    import subprocess

AHEAD = 2
"""Batches that a helper has at a time, so that it need not wait for the next."""
_PIPE = 1 << 20
_MAIN = "import sys; sys.path += sys.argv[1:]; from cachetop.hub.helper_main import main; main()"


class Helper:
    """Reads repos of one cache root. Whatever happens to the process is no error: it does not answer then."""

    def __init__(self, place: Place) -> None:
        self.asked: deque[range] = deque()
        """The numbers of the repos it was asked for and has not answered, a range a batch."""
        self._process: subprocess.Popen[bytes] | None = None
        self._input = -1
        self.output = -1
        """Readable when something came, or the process ended."""
        self._alive = False
        self._raw = bytearray()
        self._decoder = msgspec.msgpack.Decoder(list[Sent])
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
        self._alive = True
        self._send(Start(place.root, [os.fsencode(root) for root in place.roots]))

    @property
    def pid(self) -> int | None:
        """Of its process; None when that could not be started."""
        return self._process.pid if self._process else None

    @property
    def ready(self) -> bool:
        """Whether it can be asked for more."""
        return self._alive and len(self.asked) < AHEAD

    def ask(self, numbers: range, folders: Sequence[str]) -> None:
        """Have it read the repos of these numbers."""
        self.asked.append(numbers)
        self._send(Batch(numbers.start, [os.fsencode(folders[number]) for number in numbers]))

    def _send(self, content: Start | Batch) -> None:
        raw = message(content)
        try:
            self._alive &= os.write(self._input, raw) == len(raw)
        except OSError:
            self._alive = False  # dead, or it does not take what it gets

    def answers(self) -> Iterator[tuple[range, list[Sent]]]:
        """What came since the last call, a batch at a time; of a dead helper, batches without an answer."""
        try:
            while self._alive and (raw := os.read(self.output, _PIPE)):
                self._raw += raw
                yield from self._whole()
                if self._raw and not self.asked:
                    break  # nobody asked
            self._alive = False
        except BlockingIOError:
            return
        except (OSError, msgspec.DecodeError):
            self._alive = False
        while self.asked:
            yield self.asked.popleft(), []

    def _whole(self) -> Iterator[tuple[range, list[Sent]]]:
        while len(self._raw) >= HEAD and self.asked:
            end = HEAD + int.from_bytes(self._raw[:HEAD], "big")
            if len(self._raw) < end:
                return
            sent = self._decoder.decode(self._raw[HEAD:end])
            del self._raw[:end]
            yield self.asked.popleft(), sent

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
