"""Write the pages that are generated from the program's own texts: `python docs/write.py`."""

from __future__ import annotations

from pathlib import Path

from cachetop.explain.page import document

PAGES = {"model-or-kernel.md": "en", "model-or-kernel.es.md": "es"}


def main() -> None:
    """Write each page beside this script."""
    for name, language in PAGES.items():
        Path(__file__).with_name(name).write_text(document(language), encoding="utf-8")


if __name__ == "__main__":
    main()
