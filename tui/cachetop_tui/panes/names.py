"""Names of repos and kernels cut to the cells there are."""

from __future__ import annotations

from cachetop.base.hostile import clean
from cachetop_tui.cut import head, middle
from cachetop_tui.paint import width_of


def repo(identity: str, room: int) -> tuple[str, str]:
    """An untrusted repo id as (organisation with its slash or nothing, name), at most `room` cells.

    The organisation is cut first, then goes whole, and only then is the name cut in its middle.
    """
    organisation, slash, name = clean(identity).partition("/")
    if not slash:
        return "", middle(organisation, room)
    left = room - width_of(name) - 1
    if left >= width_of(organisation):
        return f"{organisation}/", name
    if left >= 4:
        return f"{head(organisation, left)}/", name
    return "", middle(name, room)


def home(path: str, own: str) -> str:
    """An untrusted path with the home folder `own` written as `~`."""
    path = clean(path)
    return "~" + path[len(own) :] if own and (path == own or path.startswith(own.rstrip("/") + "/")) else path
