"""What can be wrong with a repo, one sentence per rule however many files it concerns."""

from __future__ import annotations

from cachetop.base.hostile import clean
from cachetop.base.record import Problem
from cachetop.hub.mending import Subject, What, command

_SENTENCES = {
    "missing-blob": "{n:of its files lost its|of its files lost their} content, the blob is gone: {names}. "
    "Download the repo again.",
    "foreign-link": "{n:symlink leads|symlinks lead} elsewhere than to the repo's own blobs and {n:=is|are} not "
    "followed: {names}. Delete the links, or download the repo again.",
    "unreadable": "{n:folder or file|folders or files} could not be read: {names}. Sizes count only what could be "
    "read. Give yourself the right to read them (chmod u+rX).",
    "io-error": "{n:folder or file|folders or files} could not be read: {names}. Sizes count only what could be "
    "read. Look whether the disk or the network file system is well.",
    "bad-ref": "{n:ref is|refs are} not one plain commit: {names}. Delete the ref file, or download the repo again.",
    "missing-commit": "{n:ref names|refs name} a commit that is not in the cache: {names}. Download the repo again.",
    "no-snapshots": "It has no snapshots: a download is starting or was cut off, or they were deleted. If nothing "
    "downloads it, delete it or download it again.",
    "no-snapshots, told": "No file of it is here, only {names}: the Hub refused the files (a gated or private repo: "
    "accept its terms on its page and log in), only that much was looked up, or the download ended before its first "
    "file. Download it to hear which, or delete it.",
    "stray-file": "{n:thing lies|things lie} where a folder of a revision belongs: {names}. Move it out of the cache.",
    "orphan-blob": "{n:blob belongs|blobs belong} to no revision: {names}. Only deleting the whole repo frees them.",
    "too-deep": "{n:folder is|folders are} nested too deeply and {n:=was|were} not read: {names}. "
    "Move them out of the cache.",
    "repo-link": "The repo folder is a symlink and is not followed: {names}. Set HF_HUB_CACHE to where it leads.",
    "not-a-folder": "Something that is not a folder lies in the place of this repo: {names}. Move it away.",
    "corrupt": "{n:file is damaged, its|files are damaged, their} content is not what the name says: {names}. "
    "Download {n:=it|them} again.",
    "read-error": "{n:file|files} could not be read when {n:=it was|they were} checked: {names}. The disk may be "
    "failing: look whether it is well (dmesg, smartctl) before you download {n:=it|them} again.",
    "wrong-size": "{n:file differs|files differ} in size from what the Hub announced: {names}. "
    "Download {n:=it|them} again.",
}


BLIND = ("unreadable", "io-error", "repo-link", "not-a-folder")
"""The rules by which part of a repo was not seen."""


def unreadable(error: OSError) -> str:
    """The rule for what could not be read: rights, or something worse."""
    return "unreadable" if isinstance(error, PermissionError) else "io-error"


class _Count(int):
    """A number with words: `{n:file is|files are}`, and after `=` the words alone."""

    def __format__(self, spec: str) -> str:
        one, _, many = spec.removeprefix("=").partition("|")
        words = one if self == 1 else many
        return words if spec.startswith("=") else f"{int(self):,} {words}"


class Complaints:
    """Gathers what went wrong while one repo is read."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[str, What]]] = {}

    def add(self, rule: str, name: str = "", what: What = ("", "")) -> None:
        """Note that `rule` holds for `name`, a name as it is on disk or a phrase around one. `what` it is about."""
        self._found.setdefault(rule, []).append((name, what))

    def sort(self) -> None:
        """Put them in the order of rules and names: what is read first is chance."""
        if self._found:
            self._found = {rule: sorted(found) for rule, found in sorted(self._found.items())}

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def blind(self) -> bool:
        """Whether something could not be read: a change of rights moves no mtime, so one has to look again."""
        return bool(self._found) and not self._found.keys().isdisjoint(BLIND)

    def problems(self, sick: Subject) -> tuple[Problem, ...]:
        """One problem per rule, with the first three names and the command that mends it or looks closer."""
        return tuple(
            [
                Problem(rule=rule, message=_sentence(rule, found), fix=command(rule, sick, [what for _, what in found]))
                for rule, found in self._found.items()
            ]
        )


def _sentence(rule: str, found: list[tuple[str, What]]) -> str:
    shown = ", ".join(clean(name, 120) for name, _ in found[:3])
    if len(found) > 3:
        shown += f" and {len(found) - 3} more"
    if rule == "no-snapshots" and shown:
        rule = "no-snapshots, told"
    return _SENTENCES[rule].format(n=_Count(len(found)), names=shown)
