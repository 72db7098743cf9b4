"""Write the pages that are generated from the program's own texts: `python docs/write.py`."""

from __future__ import annotations

import json
from pathlib import Path

from cachetop.config.describing import json_schema, page
from cachetop.explain.page import document

PAGES = {"model-or-kernel.md": "en", "model-or-kernel.es.md": "es"}


def main() -> None:
    """Write each page beside this script."""
    for name, text in pages().items():
        Path(__file__).with_name(name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Every generated file of this folder with its text."""
    made = {name: document(language) for name, language in PAGES.items()}
    return made | {"settings.md": page(), "config.schema.json": f"{json.dumps(json_schema(), indent=2)}\n"}


if __name__ == "__main__":
    main()
