"""Make a Hugging Face cache with docling's models in tiny, with random weights.

    PYTHON tiny_models.py HF_HOME [--only layout,tables,vlm]

Run as a script under a Python with torch, transformers and docling-ibm-models. The architectures, file
names and the cache layout (blobs, snapshots, refs, trees) are those of the published repositories, so that
docling loads them with HF_HUB_OFFLINE=1 by its own code. What they recognise means nothing. About 110 MB in
7 s; nearly all of it is the table model, whose hidden size is fixed in its code.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

LAYOUT_LABELS = (
    "caption", "footnote", "formula", "list_item", "page_footer", "page_header", "picture", "section_header", "table",
    "text", "title", "document_index", "code", "checkbox_selected", "checkbox_unselected", "form", "key_value_region",
)  # fmt: skip
_TAGS = ("<pad>", "<unk>", "<start>", "<end>", "ecel", "fcel", "lcel", "ucel", "xcel", "nl", "ched", "rhed", "srow")
_WHERE = (0.5, 0.24, 0.85, 0.3)
"""Centre and size of the boxes that the layout model finds, as shares of the page."""
_LARGE = {".safetensors", ".onnx", ".bin"}


def layout(folder: Path, often: str = "table", seldom: str = "text") -> None:
    """RT-DETRv2 with a one-block backbone: 0.1 million parameters instead of 43. It finds these two labels."""
    import torch
    from transformers import RTDetrImageProcessor, RTDetrV2Config, RTDetrV2ForObjectDetection

    torch.manual_seed(0)
    backbone = {
        "model_type": "rt_detr_resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1],
        "layer_type": "basic", "out_indices": [2, 3, 4], "num_channels": 3, "hidden_act": "relu",
    }  # fmt: skip
    config = RTDetrV2Config(
        num_labels=len(LAYOUT_LABELS), id2label=dict(enumerate(LAYOUT_LABELS)),
        label2id={label: number for number, label in enumerate(LAYOUT_LABELS)}, anchor_image_size=None,
        backbone_config=backbone, encoder_in_channels=[16, 16, 16], encoder_hidden_dim=32, encoder_ffn_dim=32,
        encoder_attention_heads=2, d_model=32, num_queries=20, decoder_in_channels=[32, 32, 32], decoder_ffn_dim=32,
        decoder_layers=2, decoder_attention_heads=2, decoder_n_points=2, hidden_expansion=0.5,
    )  # fmt: skip
    model = RTDetrV2ForObjectDetection(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "class_embed" in name and name.endswith("bias"):
                # so that these are found at all, and little else
                parameter.fill_(-4.0)
                parameter[LAYOUT_LABELS.index(often)] = 0.2
                parameter[LAYOUT_LABELS.index(seldom)] = -0.2
            elif "class_embed" in name and name.endswith("weight"):
                parameter.normal_(0, 0.05)
            if "enc_bbox_head" in name and name.endswith("layers.2.bias"):
                parameter.fill_(100.0)  # every anchor saturates, so that the decoder's bias alone places a box
            if "decoder.bbox_embed.0" in name and name.endswith("layers.2.bias"):
                # on the upper part of the page, where text is: a region without any is given to OCR
                parameter.copy_(torch.logit(torch.tensor(_WHERE)) - torch.logit(torch.tensor(1 - 1e-5)))
            elif "decoder.bbox_embed" in name and name.endswith("layers.2.bias"):
                parameter.zero_()
        for name, module in model.named_modules():
            if name.startswith("model.backbone") and name.endswith("layer.2.normalization"):
                module.weight.fill_(0.3)  # a deep network of random weights would overflow
    model.save_pretrained(folder)
    RTDetrImageProcessor(size={"height": 640, "width": 640}, do_normalize=False).save_pretrained(folder)


def tables(folder: Path) -> None:
    """TableFormer with one encoder and one decoder layer, in both modes docling knows; they share a blob."""
    import torch

    network: Any = importlib.import_module("docling_ibm_models.tableformer.models.table04_rs.tablemodel04_rs")
    from safetensors.torch import save_model

    config = {
        "dataset": {
            "type": "TF_prepared", "name": "random", "resized_image": 448,
            "image_normalization": {"state": True, "mean": [0.942, 0.943, 0.944], "std": [0.179, 0.179, 0.179]},
        },
        "model": {
            "type": "TableModel04_rs", "name": "random", "save_dir": "./", "backbone": "resnet18", "enc_image_size": 28,
            "tag_embed_dim": 16, "hidden_dim": 512, "tag_decoder_dim": 512, "bbox_embed_dim": 256,
            "tag_attention_dim": 256, "bbox_attention_dim": 512, "enc_layers": 1, "dec_layers": 1, "nheads": 8,
            "dropout": 0.1, "bbox_classes": 2,
        },
        "train": {"bbox": True},
        # random weights never say that a table ends, so the steps are few
        "predict": {
            "max_steps": 24, "beam_size": 5, "bbox": True, "pdf_cell_iou_thres": 0.05, "padding": False,
            "padding_size": 50, "disable_post_process": False, "profiling": False,
        },
        "dataset_wordmap": {
            "word_map_tag": {tag: number for number, tag in enumerate(_TAGS)}, "word_map_cell": {"<pad>": 0},
        },
    }  # fmt: skip
    for mode in ("accurate", "fast"):
        inner = folder / "model_artifacts" / "tableformer" / mode
        inner.mkdir(parents=True)
        torch.manual_seed(0)
        model = network.TableModel04_rs(config, {"word_map": config["dataset_wordmap"]}, "cpu").eval()
        save_model(model, str(inner / f"tableformer_{mode}.safetensors"))
        (inner / "tm_config.json").write_text(json.dumps(config, indent=1))


_STRUCTURE = (
    "<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>", "<|pad|>", "<fake_token_around_image>", "<image>",
    "<global-img>", "<end_of_utterance>", "<doctag>", "</doctag>", "<text>", "</text>", "<loc_10>", "<loc_100>",
    "<loc_400>", "<loc_401>", *(f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)),
)  # fmt: skip
_WORDS = tuple(f" word{number}" for number in range(120))
_CHAT = (
    "{% for message in messages %}{{ '<|start_of_role|>' + message['role'] + '<|end_of_role|>' }}"
    "{% for c in message['content'] %}{% if c['type']=='text' %}{{ c['text'] }}"
    "{% elif c['type']=='image' %}{{ '<image>' }}{% endif %}{% endfor %}{{ '<|end_of_text|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"
)


def vlm(folder: Path) -> None:
    """Idefics3 that answers every page with the same 120 words in doctags, token by token."""
    import torch
    from transformers import (
        GenerationConfig,
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    tokenizer, ids = _tokenizer()
    size = len(tokenizer)
    end, pad = ids["<|end_of_text|>"], ids["<|pad|>"]
    text = {
        "model_type": "llama", "hidden_size": 512, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "vocab_size": size,
        "max_position_embeddings": 8192, "tie_word_embeddings": False, "pad_token_id": pad, "bos_token_id": end,
        "eos_token_id": end,
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 128,
        "patch_size": 16,
    }  # fmt: skip
    torch.manual_seed(0)
    config = Idefics3Config(
        text_config=text, vision_config=vision, scale_factor=4, image_token_id=ids["<image>"], tie_word_embeddings=False
    )
    model = Idefics3ForConditionalGeneration(config).eval()
    with torch.no_grad():
        # attention and MLP say nothing, embeddings are one-hot: the next token depends on the last alone
        for layer in model.model.text_model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embedding, head = model.model.text_model.embed_tokens.weight, model.lm_head.weight
        embedding.zero_()
        head.zero_()
        for number in range(size):
            embedding[number, number] = 1.0
        opening = ("<|end_of_role|>", "<doctag>", "<text>", "<loc_10>", "<loc_100>", "<loc_400>", "<loc_401>")
        answer = (*opening, *_WORDS, "</text>", "</doctag>", "<|end_of_text|>")
        for before, after in pairwise(answer):
            head[ids[after], ids[before]] = 1.0
    model = model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(bos_token_id=end, eos_token_id=end, pad_token_id=pad, use_cache=True)
    model.save_pretrained(folder)
    images = Idefics3ImageProcessor(
        size={"longest_edge": 256}, max_image_size={"longest_edge": 128}, do_image_splitting=True
    )
    Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=_CHAT).save_pretrained(folder)


def _tokenizer() -> tuple[Any, dict[str, int]]:
    """A byte-level tokenizer without merges, and the ids of the special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {char: number for number, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = (*_STRUCTURE, *_WORDS)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end_of_text|>", bos_token="<|end_of_text|>", pad_token="<|pad|>",
        padding_side="left",
    )  # fmt: skip
    return fast, {token: fast.convert_tokens_to_ids(token) for token in special}


REPOS: dict[str, tuple[str, str, str, Callable[[Path], None]]] = {
    "layout": ("docling-project/docling-layout-heron", "main", "8f39ad3c0b4c58e9c2d2c84a38465abf757272d8", layout),
    "tables": ("docling-project/docling-models", "v2.3.0", "fc0f2d45e2218ea24bce5045f58a389aed16dc23", tables),
    "vlm": ("ibm-granite/granite-docling-258M", "main", "0" * 39 + "1", vlm),
}
"""Name -> (repo, ref, commit, builder)."""


def _digest(path: Path, large: bool) -> str:
    """A blob's name: sha256 for files in large-file storage, git's sha1 for the others."""
    digest = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _pointer(sha256: str, size: int) -> str:
    """git's name of the pointer file that stands for a large file in the repository."""
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    return hashlib.sha1(b"blob %d\0%s" % (len(text), text)).hexdigest()


def install(hf_home: Path, repo: str, ref: str, commit: str, source: Path) -> Path:
    """Move the files below `source` into the hub cache of `hf_home` as the hub's client lays them out."""
    root = hf_home / "hub" / ("models--" + repo.replace("/", "--"))
    shutil.rmtree(root, ignore_errors=True)
    for part in ("blobs", "refs", "trees"):
        (root / part).mkdir(parents=True)
    snapshot = root / "snapshots" / commit
    tree: dict[str, dict[str, object]] = {}
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        name, size, large = file.relative_to(source), file.stat().st_size, file.suffix in _LARGE
        digest = _digest(file, large)
        tree[str(name)] = {"size": size, "blob_id": _pointer(digest, size) if large else digest}
        if large:
            tree[str(name)].update(lfs_sha256=digest, lfs_size=size)
        blob, link = root / "blobs" / digest, snapshot / name
        if not blob.exists():
            file.rename(blob)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (root / "refs" / ref).write_text(commit)
    (root / "trees" / f"{commit}.json").write_text(json.dumps({"format_version": 1, "files": tree}))
    return snapshot


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description="Make docling's models in tiny, with random weights.")
    parser.add_argument("hf_home", type=Path, metavar="HF_HOME")
    parser.add_argument("--only", default=",".join(REPOS), help="comma-separated: " + ", ".join(REPOS))
    chosen = parser.parse_args()
    wanted = chosen.only.split(",")
    if unknown := [name for name in wanted if name not in REPOS]:
        parser.error(f"there is no model {unknown[0]!r}; choose from {', '.join(REPOS)}")
    home = chosen.hf_home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        repo, ref, commit, build = REPOS[name]
        with tempfile.TemporaryDirectory(dir=home) as folder:
            build(Path(folder))
            print(install(home, repo, ref, commit, Path(folder)))  # noqa: T201


if __name__ == "__main__":
    main()
