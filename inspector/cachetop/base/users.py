"""Users by name, as people know them."""

from __future__ import annotations

import pwd
from functools import lru_cache

from cachetop.base.hostile import clean


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The name of a user; the number where this machine has none for it. May ask a directory service: not for an event
    loop."""
    try:
        return clean(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid)
