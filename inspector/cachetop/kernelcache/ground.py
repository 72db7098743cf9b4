"""What verdicts rest on outside the entries: this machine's GPUs and environments, and folders that entries name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from cachetop.kernelcache import environments, sm

UNUSED_AFTER = 30 * 86400.0
"""Seconds without a use after which an entry is called unused, unless configured otherwise."""
_LOOKS_MOST = 256


class Ground:
    """What lies outside the entries, looked at once per pass: this machine's GPUs and environments, folders that
    entries name, the moment.

    Paths out of entries are only ever stat'ed or listed, and only the first 256 different ones: more are not judged.
    """

    def __init__(
        self,
        sms_here: tuple[str, ...] = (),
        unused_after: float = UNUSED_AFTER,
        found: Mapping[str, environments.Releases] | None = None,
    ) -> None:
        self.sms_here = tuple(sm.normalize(one) for one in sms_here)
        self.unused_after = unused_after
        self.now = time.time()
        self._seen: dict[str, tuple[int, int] | bool | None] = {}
        self._found = found
        self._named: dict[str, environments.Releases] = {}

    def gone(self, path: str) -> bool:
        """Whether `path` certainly does not exist."""
        return self._look(path) is False

    def same_folder(self, path: str, folder: int) -> bool | None:
        """Whether `path` is the folder open as `folder`; None when that is not known."""
        found = self._look(path)
        if not isinstance(found, tuple):
            return found
        about = os.fstat(folder)
        return found == (about.st_dev, about.st_ino)

    @property
    def environments(self) -> Mapping[str, environments.Releases]:
        """Every environment found here that has a package which fills a kernel cache, and its releases."""
        if self._found is None:
            self._found = environments.find()
        return self._found

    def having(self, package: str) -> dict[str, frozenset[str]]:
        """The environments found here that have `package`, and its releases there."""
        return {prefix: has[package] for prefix, has in self.environments.items() if package in has}

    def releases(self, environment: str) -> frozenset[str]:
        """The releases of Triton in an environment that an entry names; empty when that cannot be told."""
        found = self.environments.get(environment) or self._named.get(environment)
        if found is None:
            if len(self._named) >= _LOOKS_MOST or not environment.startswith("/"):
                return frozenset()
            found = self._named[environment] = environments.installed(environment)
        return found.get("triton", frozenset())

    def holder(self, release: str, package: str = "triton") -> str | None:
        """An environment found here that has this release of a package."""
        for found in (self.environments, self._named):
            for prefix, has in found.items():
                if release in has.get(package, ()):
                    return prefix
        return None

    def _look(self, path: str) -> tuple[int, int] | bool | None:
        """(device, inode), False for what does not exist, None for unknown."""
        if path not in self._seen:
            if len(self._seen) >= _LOOKS_MOST or not path.startswith("/"):
                return None
            try:
                about = os.stat(path)
                self._seen[path] = (about.st_dev, about.st_ino)
            except (FileNotFoundError, NotADirectoryError):
                self._seen[path] = False
            except (OSError, ValueError):
                self._seen[path] = None
        return self._seen[path]
