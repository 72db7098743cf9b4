"""Make untrusted text safe to show.

File names, repo names, kernel names, command lines and error messages come from disks, processes and
the network. Before any of them reaches a terminal, JSON or HTML it passes `clean`; whatever may carry a
credential passes `mask` as well. Neither ever raises.
"""

from __future__ import annotations

import os
import re
import unicodedata

_CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "�")
# Format characters that reorder or hide text (bidi controls, zero-width, tags): category Cf, plus line separators.
_INVISIBLE = {"Cf", "Zl", "Zp", "Cs", "Co", "Cn"}

_MASK = "****"
_TOKENS = re.compile(
    r"\b(hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{12,}|gh[pousr]_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{12,}"
    r"|xox[abpr]-[A-Za-z0-9-]{8,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?)"
)
_ASSIGNED = re.compile(
    r"(?i)((?<![a-z0-9])(?:[\w-]*[_-])?"
    r"(?:auth|access|refresh|id|bearer)?(?:token|secret|password|passwd|passphrase|credentials?|authorization"
    r"|api[_-]?key|(?:access|private|secret|signing|encryption|account|master|auth)[_-]?key)(?:[_-](?:id|value))?"
    r"|(?<![\w-])-*key)"
    r"([\"']?\s*[=:]\s*|\s+(?!-))(\"[^\"]*\"|'[^']*'|(?:bearer\s+|basic\s+)?[^\s,;&\"'}]+)"
)
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@]+@")


def clean(text: str | bytes | os.PathLike[str], limit: int = 4096) -> str:
    """Return `text` on one line without control, escape, bidi or zero-width characters.

    Each such character becomes U+FFFD, so that two names which differ only there still look odd rather
    than equal. Bytes are decoded as UTF-8, undecodable ones replaced. At most `limit` characters are kept.
    """
    if isinstance(text, str) and len(text) <= limit and text.isascii() and text.isprintable():
        return text  # at once, for nearly every name is like that
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    elif not isinstance(text, str):
        text = os.fspath(text)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    text = text.translate(_CONTROL)
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _INVISIBLE else c for c in text)


def mask_tokens(text: str) -> str:
    """`mask` for prose: only what has the shape of a well-known token, and the user-info part of a URL."""
    return _TOKENS.sub(_MASK, _USERINFO.sub(rf"\g<1>{_MASK}@", text))


def mask(text: str) -> str:
    """Return `text` with whatever looks like a credential replaced by `****`.

    Covers the well-known token shapes (hf_, sk-, gh*_, AWS, Slack, JWT), the value after a name that ends in
    token, secret, password, api key and the like (`--hf-token x`, `HF_TOKEN=x`, `"api_key": "x"`), and the
    user-info part of a URL. `--max-tokens 4096` and `--tokenizer org/name` hold no secret and are left alone.
    """
    return _ASSIGNED.sub(lambda m: f"{m[1]}{m[2]}{_MASK}", mask_tokens(text))


def show(text: str | bytes | os.PathLike[str], limit: int = 4096) -> str:
    """`clean` and `mask` together, for command lines, environment values and error messages."""
    return mask(clean(text, limit))
