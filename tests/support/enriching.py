"""Tiny models for docling's enrichments and for another VLM preset, in the layout of a hub cache.

    PYTHON enriching.py FOLDER

Makes FOLDER/picture, FOLDER/formula and FOLDER/code, each an HF_HOME whose layout model finds one of that kind.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cachetop.demo.tiny_models import REPOS, install, layout, vlm


def classifier(folder: Path) -> None:
    """A vision transformer of one layer with three classes."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16,
        id2label={0: "bar_chart", 1: "logo", 2: "map"}, label2id={"bar_chart": 0, "logo": 1, "map": 2},
    )  # fmt: skip
    ViTForImageClassification(config).eval().save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


MODELS: dict[str, Callable[[Path], None]] = {
    "docling-project/CodeFormulaV2": vlm,
    "HuggingFaceTB/SmolVLM-256M-Instruct": vlm,
    "docling-project/SmolDocling-256M-preview": vlm,
    "docling-project/DocumentFigureClassifier-v2.5": classifier,
}


FOUND = ("picture", "formula", "code")


def main() -> None:
    """Make them."""
    made = Path(sys.argv[1])
    repo, ref, commit, _ = REPOS["layout"]
    first = made / FOUND[0]
    first.mkdir(parents=True)
    for number, (name, build) in enumerate(MODELS.items(), 16):
        _put(first, name, "main", f"{number:040x}", build)
    for found in FOUND[1:]:
        shutil.copytree(first, made / found, symlinks=True, copy_function=os.link)
    for found in FOUND:
        _put(made / found, repo, ref, commit, partial(layout, often=found))


def _put(home: Path, name: str, branch: str, commit: str, build: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(dir=home) as folder:
        build(Path(folder))
        install(home, name, branch, commit, Path(folder))


if __name__ == "__main__":
    main()
