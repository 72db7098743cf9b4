"""Looking moves no access time, and what the times are worth is told: on mounts of the test's own.

Where namespaces are refused these tests fail under CI and are skipped elsewhere: each runs this file as a program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cachetop import locations
from cachetop.hub.about import describe
from cachetop.hub.facts import facts
from cachetop.hub.scan import Scanner
from support import hubcache
from support.rights import ordinary
from support.weights import header

_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
LONG_AGO = 1_600_000_000


def populate(home: Path) -> Path:
    hub = home / "hub"
    hub.mkdir(parents=True)
    made = hubcache.healthy(hub, "org/model")
    made.file("model.safetensors", header({"a": ("F32", [4], 16)}))
    made.file("README.md", b"# A card\n")
    made.file("old.bin", b"pickle")
    made.real("sub/real.json", b"{}")
    made.stored("stored.bin", b"s" * 5000)
    made.partial("e" * 64, b"x" * 5000)
    for path in (home / "token", home / "assets" / "file"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"hf_abcdefghijklmnop")
    return hub


def backdate(top: Path) -> None:
    for path in [top, *top.rglob("*")]:
        os.utime(path, (LONG_AGO, path.lstat().st_mtime), follow_symlinks=False)


def moved(top: Path) -> list[str]:
    """The regular files whose access time is another one than `backdate` set."""
    found = [top / name for name in json.loads(subprocess.run(
        ["find", top, "-type", "f", "-printf", '"%P",'], capture_output=True, check=True, text=True
    ).stdout.join(("[", '""]'))) if name]  # fmt: skip
    assert len(found) > 10
    return sorted(str(path.relative_to(top)) for path in found if path.stat().st_atime != LONG_AGO)


def cachetop(*words: str) -> Any:
    ran = subprocess.run([sys.executable, "-m", "cachetop", *words], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def strict(home: Path) -> None:
    """On strictatime, where every read moves the time, none of these does: not of a file, nor of a folder."""
    from cachetop_tui.documents import repo as document

    subprocess.run(["mount", "-t", "tmpfs", "-o", "strictatime", "none", str(home)], check=True)
    hub = populate(home)
    backdate(home)
    (hub / "models--org--model" / "blobs" / hubcache.etag_of(b"# A card\n")).read_bytes()
    assert len(moved(home)) == 1, "the mount is strict"
    backdate(home)
    for words in (("models",), ("models", "show", "org/model"), ("models", "verify"), ("models", "verify", "--afresh"),
                  ("status",), ("doctor",), ("prune", "models", "--all", "--dry-run")):  # fmt: skip
        cachetop(*words, "--json")
        assert moved(home) == [], words
    told = cachetop("models", "--json")
    assert [root["access_times"] for root in told["roots"]] == ["strictatime"]
    repo = Scanner([locations.hub()]).scan().repos[0]
    about = document.load(repo, None)
    assert about.card == "# A card" and not about.access_times_moved
    assert moved(home) == []
    (hub / "models--org--model" / "blobs" / hubcache.etag_of(b"pickle")).read_bytes()
    (repo,) = cachetop("models", "--json")["repos"]
    assert repo["last_used"] is not None and repo["last_used_reason"] is None
    for options, kept in (("noatime,rw", "noatime"), ("strictatime,ro", "read-only"), ("relatime,rw", "relatime")):
        subprocess.run(["mount", "-o", f"remount,{options}", "none", str(home)], check=True)
        told = cachetop("models", "--json")
        assert [root["access_times"] for root in told["roots"]] == [kept]
        (repo,) = told["repos"]
        about = document.load(Scanner([locations.hub()]).scan().repos[0], None)
        said = dict(facts(about, 1e10))["last used"]
        if kept == "relatime":
            assert repo["last_used"] is not None and said.endswith(" ago, to a day (relatime)")
        else:
            assert repo["last_used"] is None
            assert repo["last_used_reason"] == said == "its file system keeps no access times (noatime or read-only)"


def test_looking_moves_no_access_time(world: Path) -> None:
    try:
        refused = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False).stderr.strip()
    except OSError as error:
        refused = str(error)
    if refused and not os.environ.get("CI"):
        pytest.skip(f"this machine does not allow mount namespaces: {refused}")
    assert not refused
    home = world / ".cache" / "huggingface"
    home.mkdir(parents=True)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    ran = subprocess.run(
        [*_UNSHARE, sys.executable, __file__, str(home)], env=os.environ | {"PYTHONPATH": paths}, timeout=120,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_files_of_somebody_else_are_read_and_that_is_said(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a file's owner may read it without a trace: the kernel refuses O_NOATIME to others."""
    hub = populate(world / ".cache" / "huggingface")
    if os.geteuid() == 0:
        for path in [hub, *hub.rglob("*")]:
            os.chown(path, 65534, 65534, follow_symlinks=False)
    else:
        plain = os.open

        def refusing(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            if flags & os.O_NOATIME:
                raise PermissionError(1, "Operation not permitted", path)
            return plain(path, flags, *rest, **more)

        monkeypatch.setattr(os, "open", refusing)
    backdate(hub)
    with ordinary():
        scanner = Scanner([locations.hub()])
        (repo,) = scanner.scan().repos
        assert moved(hub) in ([], ["models--org--model/refs/main"]), "a scan reads no content"
        about = describe(repo, scanner)
    assert (about.card, about.parameters) == ("# A card", 4)
    assert about.access_times_moved is (about.access_times in ("relatime", "strictatime"))
    if about.access_times_moved:
        assert dict(facts(about, 1e10))["last used"].endswith("this look at another user's files may have moved it")


if __name__ == "__main__":
    strict(Path(sys.argv[1]))
