"""What can be wrong with a repo, one sentence per rule however many files it concerns."""

from __future__ import annotations

from cachetop.base.hostile import clean
from cachetop.base.record import Problem

_SENTENCES = {
    "missing-blob": "{n} of its files lost their content, the blob is gone: {names}. Download the repo again.",
    "foreign-link": "{n} symlinks lead elsewhere than to the repo's own blobs and are not followed: {names}. "
    "Delete the links, or download the repo again.",
    "unreadable": "{n} folders or files could not be read: {names}. Sizes count only what could be read. "
    "Give yourself the right to read them (chmod u+rX).",
    "bad-ref": "{n} refs are not one plain commit: {names}. Delete the ref file, or download the repo again.",
    "missing-commit": "{n} refs name a commit that is not in the cache: {names}. Download the repo again.",
    "no-snapshots": "It has no snapshots yet: a download is starting, was cut off, or only a ref was looked up. "
    "If nothing downloads it, delete it or download it again.",
    "stray-file": "{n} things lie where a folder of a revision belongs: {names}. Move them out of the cache.",
    "orphan-blob": "{n} blobs belong to no revision: {names}. Only deleting the whole repo frees them.",
    "too-deep": "{n} folders are nested too deeply and were not read: {names}. Move them out of the cache.",
    "repo-link": "The repo folder is a symlink and is not followed: {names}. Set HF_HUB_CACHE to where it leads.",
    "not-a-folder": "Something that is not a folder lies in the place of this repo: {names}. Move it away.",
    "wrong-size": "{n} files differ in size from what the Hub announced: {names}. Download them again.",
}


class Complaints:
    """Gathers what went wrong while one repo is read."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, rule: str, name: str = "") -> None:
        """Note that `rule` holds for `name`, a name as it is on disk or a phrase around one."""
        self._found.setdefault(rule, []).append(name)

    @property
    def blind(self) -> bool:
        """Whether something could not be read: a change of rights moves no mtime, so one has to look again."""
        return bool(self._found) and not self._found.keys().isdisjoint(("unreadable", "repo-link", "not-a-folder"))

    def problems(self) -> tuple[Problem, ...]:
        """One problem per rule, with the first three names."""
        if not self._found:
            return ()
        return tuple([Problem(rule=rule, message=_sentence(rule, names)) for rule, names in self._found.items()])


def _sentence(rule: str, names: list[str]) -> str:
    shown = ", ".join(clean(name, 120) for name in names[:3])
    if len(names) > 3:
        shown += f" and {len(names) - 3} more"
    return _SENTENCES[rule].format(n=len(names), names=shown)
