"""Hub caches of every kind that nothing is wrong with."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from support import hubcache


def many_kinds(cache: Path) -> None:
    for kind in hubcache.PREFIXES:
        hubcache.healthy(cache, "org/same-name", kind)
    several = hubcache.healthy(cache, "gpt2")
    several.file("config.json", b"new", commit=hubcache.OTHER)
    several.link("onnx/model.onnx", f"../../../blobs/{hubcache.etag_of(b'')}", commit="c" * 40)
    several.blob(b"")
    several.ref("refs/pr/1", hubcache.OTHER)
    several.ref("v1.0")
    several.partial("d" * 64, b"x" * 5000)


def shared_store(cache: Path) -> None:
    for name in ("org/one", "org/two"):
        made = hubcache.repo(cache, name)
        made.stored("model.safetensors", b"w" * 200_000)
        made.ref()
    unused = cache / "blobs" / "ab" / ("ab" + "0" * 62)
    unused.parent.mkdir(exist_ok=True)
    unused.write_bytes(b"nobody names me")


def without_symlinks(cache: Path) -> None:
    made = hubcache.repo(cache)
    made.real("config.json", b"{}")
    made.real("deep/er/model.bin", b"w" * 10_000)
    made.real("config.json", b"{} ", commit=hubcache.OTHER)
    made.ref()
    (made.path / "blobs").mkdir()


def odd_but_healthy(cache: Path) -> None:
    made = hubcache.healthy(cache)
    (made.path / "snapshots" / hubcache.OTHER).mkdir()
    (made.path / "snapshots" / ".DS_Store").write_bytes(b"mac")
    (made.path / ".no_exist" / hubcache.COMMIT).mkdir(parents=True)
    (made.path / ".no_exist" / hubcache.COMMIT / "adapter_config.json").touch()
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")


def absolute_links(cache: Path) -> None:
    made = hubcache.repo(cache)
    made.link("model.bin", str(made.blob(b"weights")))
    made.ref()


Repos = dict[tuple[str, str], list[tuple[str, str, bytes, str]]]
"""(type, id) of repos with the files of each: commit, name, content, and how it is kept."""

NAMES = st.sampled_from(["config.json", "a/b/c.bin", "a/model.safetensors", "vocab.txt", "modèle.bin", "x y"])
COMMITS = st.sampled_from([hubcache.COMMIT, hubcache.OTHER, "c" * 40])
CONTENTS = st.binary(max_size=6) | st.integers(0, 20_000).map(lambda size: b"\1" * size)
FILES = st.lists(
    st.tuples(COMMITS, NAMES, CONTENTS, st.sampled_from(["blob", "stored", "real"])), unique_by=lambda f: (f[0], f[1])
)
REPOS = st.dictionaries(st.tuples(st.sampled_from(["model", "dataset"]), st.sampled_from(["a/b", "c", "a/d-e"])), FILES)


def filled(cache: Path, repos: Repos) -> None:
    """Make these repos in `cache`."""
    for (kind, name), files in repos.items():
        made = hubcache.repo(cache, name, kind)
        (made.path / "snapshots").mkdir()
        for commit, file, content, how in files:
            # an etag per way of keeping it, as a blob is either a file or a link into the store
            etag = hubcache.etag_of(content + how.encode())
            if how == "real":
                made.real(file, content, commit)
            elif (made.path / "blobs" / etag).exists():
                made.link(file, f"{'../' * file.count('/')}../../blobs/{etag}", commit)
            elif how == "stored":
                made.stored(file, content, commit, etag)
            else:
                made.file(file, content, commit, etag)
        if files:
            made.ref("main", files[0][0])
