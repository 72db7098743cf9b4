"""Completion after `%cachetop` and `%%cachetop`, also in `plan = %cachetop ...`, and nothing else beside it."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from cachetop.notebook.words import complete

_LINE = re.compile(r"(?:\s*|[^#'\"]*=\s*)(%%?cachetop\s.*)", re.DOTALL)


@context_matcher(identifier="cachetop", priority=2000)  # type: ignore[untyped-decorator]
def matcher(context: CompletionContext) -> dict[str, Any]:
    """IPython's matcher (API version 2). It offers what the parsers know, and Python's own names only without that."""
    found = _LINE.fullmatch(context.text_until_cursor)
    if found is None:
        return {"completions": []}
    line = found[1]
    symbol = re.split(r"\s", line)[-1]
    words = complete(line, symbol)
    return {
        "completions": [SimpleCompletion(text=word, type="param") for word in words],
        "matched_fragment": symbol,
        "suppress": bool(words),
    }
