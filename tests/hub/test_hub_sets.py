"""Which weight files count: shards, variants, copies, the parts of a pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cachetop.hub.scan import Scanner
from support import hubcache
from support.weights import about, header


def test_shards_of_two_sets_are_not_mixed(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("model.safetensors", header({"whole": ("F32", [7], 28)}))
    for name in ("00001-of-00002", "00002-of-00002", "00001-of-00003", "00003-of-00003"):
        made.file(f"model-{name}.safetensors", header({name: ("F32", [1000], 4000)}))
    found = about(scanner)
    assert (found.parameters, found.memory) == (7, 28), "transformers takes the one file"
    assert [(len(w.files), w.chosen, w.problem) for w in found.weights] == [
        (1, True, None), (2, False, None), (2, False, "2 of its 3 shards are there."),
    ]  # fmt: skip


@pytest.mark.parametrize("variant", ["", ".fp16"])
@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({"a": 1, "b": 2}, None),
        ({"a": 1, "b": 2, "c": 2}, " names 1 of 3 tensors that are not where it says."),
        ({"a": 2, "b": 1}, " names 2 of 2 tensors that are not where it says."),
        ({"a": 1, "b": 3}, " names 1 of 2 tensors that are not where it says."),
        ({"a": 1}, " does not name 1 of the 2 tensors in its shards."),
        (None, " makes no sense: loaders cannot tell which shard holds what."),
    ],
)
def test_an_index_that_disagrees_leaves_the_sum_unknown(
    cache: Path, scanner: Scanner, variant: str, index: dict[str, int] | None, said: str | None
) -> None:
    made = hubcache.repo(cache)
    for number, name in ((1, "a"), (2, "b")):
        shard = f"unet/diffusion_pytorch_model{variant}-0000{number}-of-00002.safetensors"
        made.file(shard, header({name: ("F32", [5], 20)}))
    names = {t: f"diffusion_pytorch_model{variant}-0000{n}-of-00002.safetensors" for t, n in (index or {}).items()}
    content = b"[]" if index is None else json.dumps({"metadata": {"total_size": 40}, "weight_map": names}).encode()
    where = f"unet/diffusion_pytorch_model.safetensors.index{variant}.json"
    made.file(where, content)
    found = about(scanner)
    assert found.weights[0].problem == (said and where + said)
    assert (found.parameters, found.memory) == ((None, None) if said else (10, 40))


def test_copies_of_the_model_in_other_folders_do_not_count(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("model.safetensors", header({"a": ("F32", [10], 40)}))
    made.file("original/model.safetensors", header({"other.name": ("F32", [10], 40)}))
    made.file("checkpoint-500/model.safetensors", header({"a": ("BF16", [10], 20)}))
    made.file("2_Dense/model.safetensors", header({"a": ("F32", [3], 12)}))
    found = about(scanner)
    assert [w.name for w in found.weights if w.chosen] == ["2_Dense/model.safetensors", "model.safetensors"]
    assert (found.parameters, found.memory) == (13, 52)


def test_a_pipeline_says_which_folders_are_its_parts(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    parts = {"_class_name": "WanPipeline", "transformer": ["diffusers", "T"], "transformer_2": ["diffusers", "T"],
             "safety_checker": [None, None], "scheduler": ["diffusers", "S"]}  # fmt: skip
    made.file("model_index.json", json.dumps(parts, indent=2).encode())
    for folder in ("", "transformer/", "transformer_2/", "safety_checker/", "transformer_old/"):
        name = "model" if folder else "all_in_one"
        made.file(f"{folder}{name}.safetensors", header({"a": ("F32", [10], 40)}))
    found = about(scanner)
    assert [w.name for w in found.weights if w.chosen] == [
        "transformer/model.safetensors", "transformer_2/model.safetensors",
    ]  # fmt: skip
    assert (found.parameters, found.memory) == (20, 80)
