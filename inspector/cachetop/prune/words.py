"""Errors of the system in words that say what to do."""

from __future__ import annotations

import errno
import os

_MEANING = {
    errno.EACCES: "permission denied: the folder belongs to somebody else or may not be written",
    errno.EPERM: "not permitted: the file may be immutable (chattr +i) or the folder sticky",
    errno.EROFS: "the file system is read-only",
    errno.EBUSY: "busy: something is mounted there",
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.ELOOP: "a symlink stands where a folder was; it was not followed",
    errno.ENOTDIR: "something else stands where a folder was; it was not followed",
    errno.EXDEV: "it lies on another file system, which is not entered",
    errno.ESTALE: "the network file system no longer knows it",
    errno.ENOENT: "it is gone",
    errno.ENAMETOOLONG: "its folders lie deeper in each other than any program puts them",
    errno.EEXIST: "something of that name is there again",
    errno.EIO: "the disk reports an input/output error",
}


def words(error: OSError) -> str:
    """An OSError as a sentence part: what it means here, and its name."""
    if error.errno is None:
        return str(error)
    name = errno.errorcode.get(error.errno, str(error.errno))
    return f"{_MEANING.get(error.errno, os.strerror(error.errno).lower())} ({name})"
