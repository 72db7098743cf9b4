"""Opens what a scan saw, by descriptors below the cache root, and asks how much of it is in RAM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cachetop.base.files import leaves_a_trace, open_quietly
from cachetop.base.residency import resident_fd
from cachetop.hub import layout
from cachetop.hub.contents import Blob, Snapshot, folder, open_root
from cachetop.hub.known import Known
from cachetop.hub.records import File
from cachetop.locations import identity, token_files


class Opened:
    """A repo folder held open. Use `opened` to get one."""

    def __init__(self, known: Known, root: int, top: int, blobs: int | None) -> None:
        self.known = known
        self.root = root
        self.top = top
        self.used: list[float] = []
        """Access times that tell of a use: later than the last write."""
        self.refused: OSError | None = None
        """Why the content last asked for could not be opened, if it is not simply gone or another one."""
        self.traced = False
        """Reading a content may have moved its access time."""
        self._blobs = blobs
        self.asked: dict[Blob, int | None] = {}
        """Bytes in RAM of what was asked for so far."""

    def blob(self, key: str) -> int | None:
        """Bytes in RAM of the blob named `key` on disk; None where that cannot be told."""
        blob = self.known.contents.blobs[key]
        if blob not in self.asked:
            self.asked[blob] = self._ask(self.open_blob(key))
        return self.asked[blob]

    def ended(self, key: str) -> bool:
        """Whether nothing is called `key` in the folder of the blobs any more."""
        if self._blobs is None:
            return False
        try:
            os.stat(key, dir_fd=self._blobs, follow_symlinks=False)
        except FileNotFoundError:
            return True
        except OSError:
            pass
        return False

    def kept(self, commit: str, name: str, blob: Blob) -> int | None:
        """Bytes in RAM of a real file in a revision's folder; `name` as in `File.name`."""
        if blob not in self.asked:
            self.asked[blob] = self._ask(self.open_kept(commit, name, blob))
        return self.asked[blob]

    @contextmanager
    def content(self, snapshot: Snapshot, file: File) -> Iterator[int | None]:
        """The open content of a file of a revision; None when it is not what the scan saw, or not readable."""
        if file.blob is None:
            descriptor = self.open_kept(snapshot.commit, file.name, snapshot.kept[file.name])
        else:
            descriptor = self.open_blob(self.known.contents.keys.get(file.blob, file.blob))
        self.traced = self.traced or (descriptor is not None and leaves_a_trace(descriptor))
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def read(self, snapshot: Snapshot, file: File | None, limit: int) -> bytes:
        """At most `limit` first bytes of a file of a revision; none when there is none, or it cannot be read."""
        if file is None:
            return b""
        with self.content(snapshot, file) as descriptor:
            try:
                return b"" if descriptor is None else os.pread(descriptor, limit, 0)
            except OSError:
                return b""

    def open_blob(self, key: str) -> int | None:
        """Open the blob named `key` on disk if it is still the inode of the scan; the caller closes it."""
        blob = self.known.contents.blobs[key]
        if blob.stored:
            return self._below(self.root, f"{layout.STORE}/{blob.stored}", blob)
        return self._open(self._blobs, key, blob)

    def open_kept(self, commit: str, name: str, blob: Blob) -> int | None:
        """Open a real file in a revision's folder if it is still the inode of the scan; the caller closes it."""
        spelled = self.known.contents.names.get(name, name)
        return self._below(self.top, f"snapshots/{commit}/{spelled}", blob)

    def _below(self, start: int, path: str, blob: Blob) -> int | None:
        *folders, name = path.split("/")
        with ExitStack() as stack:
            try:
                for part in folders:
                    start = stack.enter_context(folder(part, start))
            except OSError as error:
                self.refused = error
                return None
            return self._open(start, name, blob)

    def _open(self, at: int | None, name: str, blob: Blob) -> int | None:
        self.refused = None
        if at is None or holds_a_token(blob):
            return None
        try:
            descriptor = open_quietly(name, at)
        except OSError as error:
            self.refused = error
            return None
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino, status.st_size) == (blob.device, blob.inode, blob.size):
                return descriptor
        except OSError:
            pass  # a file system that went away
        os.close(descriptor)  # or it was replaced since the scan
        return None

    def _ask(self, descriptor: int | None) -> int | None:
        if descriptor is None:
            return None
        try:
            status = os.fstat(descriptor)
            if status.st_atime > status.st_mtime:
                self.used.append(status.st_atime)
            return resident_fd(descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)


def holds_a_token(blob: Blob) -> bool:
    """Whether it is the file in which huggingface_hub keeps the login token: it may have been told to keep it here."""
    if blob.links == 1 and "HF_TOKEN_PATH" not in os.environ:
        return False
    return (blob.device, blob.inode) in [identity(path) for path in token_files()]


@contextmanager
def opened(known: Known) -> Iterator[Opened | None]:
    """Hold a repo folder open; None when it cannot be opened any more."""
    with ExitStack() as stack:
        blobs: int | None = None
        try:
            root = open_root(known.root)
            stack.callback(os.close, root)
            top = stack.enter_context(folder(known.folder, root))
        except OSError:
            yield None
            return
        try:
            blobs = stack.enter_context(folder("blobs", top))
        except OSError:
            pass  # a revision may still hold real files
        yield Opened(known, root, top, blobs)
