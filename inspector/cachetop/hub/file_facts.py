"""What `AboutFile` knows of one file, in words."""

from __future__ import annotations

from cachetop.base import units
from cachetop.hub.facts import refs_of
from cachetop.hub.one_file import AboutFile

_KEPT = {
    "blob": "a link to a blob of its repo",
    "store": "a link to a blob that is a link into the cache-wide store, which other repos may share",
    "real": "a real file, not a link to a blob",
}
_CHECKSUMS = {
    "sound": "sound when it was last checked, and unchanged since",
    "damaged": "DAMAGED: its content is not what its name says",
    "unchecked": "not checked yet",
    "unknown": "nothing here tells what it should be",
}


def file_facts(about: AboutFile, now: float) -> list[tuple[str, str]]:
    """Labels and what is known of one file under them, in the order to be read; `now` in epoch seconds."""
    refs = refs_of(about.refs)
    checked = _CHECKSUMS.get(about.checksum, about.checksum)
    found: list[tuple[str, str | None]] = [
        ("size", f"{units.size(about.size)}, on disk {units.size(about.size_on_disk)}"),
        ("in RAM", f"{units.size(about.resident)} of {units.size(about.size)}" if about.resident is not None else "?"),
        ("written", None if about.last_modified is None else f"{units.age(about.last_modified, now)} ago"),
        ("revision", f"{about.commit} ({refs})" if refs else f"{about.commit}, detached"),
        ("kept as", _KEPT.get(about.kept, about.kept)),
        ("path", about.path),
        ("blob", about.blob),
        ("content", about.content if about.content != about.path else None),
        ("checksum", f"{about.algorithm}: {checked}" if about.algorithm else checked),
        ("architecture", about.architecture),
        ("pickle", "loading it would run code; it is not read" if about.pickled else None),
    ]
    return [(label, text) for label, text in found if text]
