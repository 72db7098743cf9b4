"""Pipelines that let go soon when they are cancelled, so that the worker and its models can stay.

docling looks at its timeout between pages while it parses. Afterwards it drains the parser of the pages that
nobody wants any more, and puts the document together; both take seconds for thousands of pages.
"""

import threading
from collections.abc import Iterator
from typing import Any


class Pages(list[Any]):
    """A document's pages, which come to an end when `stop` is set."""

    def __init__(self, pages: list[Any], stop: threading.Event) -> None:
        super().__init__(pages)
        self._stop = stop

    def __iter__(self) -> Iterator[Any]:
        for page in super().__iter__():
            if self._stop.is_set():
                return
            yield page


def stoppable(base: Any, stop: threading.Event, assembles: bool) -> Any:
    """`base`, a pipeline class, that leaves early once `stop` is set.

    The parser is drained by a thread of its own then: it cannot be stopped (docling-parse 7 waits for its
    tasks even when it is destroyed). With `assembles` the assembly ends at the next page, too.
    """

    class Stoppable(base):  # type: ignore[misc]
        """The pipeline; what was assembled before the stop stays."""

        def _assemble_document(self, conv_res: Any) -> Any:
            if not assembles:
                return super()._assemble_document(conv_res)
            whole = conv_res.pages
            # the pages finished before a stop are still put together, for as long as there is time
            conv_res.pages = whole if stop.is_set() else Pages(whole, stop)
            try:
                return super()._assemble_document(conv_res)
            finally:
                conv_res.pages = whole

        def _unload(self, conv_res: Any) -> None:
            if stop.is_set():
                threading.Thread(target=super()._unload, args=(conv_res,), name="drain", daemon=True).start()
            else:
                super()._unload(conv_res)

    Stoppable.__name__ = Stoppable.__qualname__ = base.__name__
    return Stoppable
