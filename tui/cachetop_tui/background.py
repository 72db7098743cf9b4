"""Work off the event loop that never keeps the app from leaving.

Textual's thread workers run in asyncio's executor, which Python waits for at exit: one read of a hung network
file system would hold back `q`. These threads are daemons: what has not come back by then is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def in_background(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`function(*args, **kwargs)` in a thread of its own; returns what it returns and raises what it raises."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()

    def settle(put: Callable[[Any], None], value: object) -> None:
        if not future.done():  # cancelled meanwhile
            put(value)

    def run() -> None:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            done, value = future.set_exception, error
        else:
            done, value = future.set_result, result  # type: ignore[assignment]
        with contextlib.suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(settle, done, value)

    threading.Thread(target=run, name=getattr(function, "__name__", "background"), daemon=True).start()
    return await future
