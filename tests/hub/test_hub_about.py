"""What a repo is, from config.json and headers alone."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachetop.hub import gguf, safetensors
from cachetop.hub.scan import Scanner
from cachetop.hub.weights import Unreadable
from support import hubcache
from support.weights import about, header


def text(word: str) -> bytes:
    return struct.pack("<Q", len(word)) + word.encode()


def quantized() -> bytes:
    """A GGUF file of two tensors, with the kinds of properties that real ones have."""
    tokens = struct.pack("<IIQ", 9, 8, 3) + text("a") + text("b") + text("c")
    scores = struct.pack("<IIQ", 9, 6, 3) + bytes(12)
    properties = [text("general.architecture") + struct.pack("<I", 8) + text("llama"),
                  text("tokenizer.ggml.tokens") + tokens, text("tokenizer.ggml.scores") + scores,
                  text("llama.block_count") + struct.pack("<II", 4, 2)]  # fmt: skip
    tensors = [text("blk.0.weight") + struct.pack("<IQQIQ", 2, 256, 4, 12, 0),
               text("norm") + struct.pack("<IQIQ", 1, 256, 0, 576)]  # fmt: skip
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(properties))
    head = start + b"".join(properties) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + bytes(576 + 1024)


def test_a_sharded_model(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    one = header({"embed": ("BF16", [10, 4], 80), "norm": ("F32", [4], 16)})
    two = header({"head": ("BF16", [4, 10], 80)})
    made.file("config.json", b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    made.file("model-00001-of-00002.safetensors", one)
    made.file("model-00002-of-00002.safetensors", two)
    made.file("consolidated.safetensors", header({"all": ("F32", [1000], 4000)}))
    made.file("pytorch_model.bin", b"a pickle")
    made.file("README.md", b"---\nlicense: mit\ntags: [x]\n---\n# Hello\x1b[2J\n\nA *model*.\n")
    made.ref()
    found = about(scanner)
    assert (found.architecture, found.model_type, found.license) == ("LlamaForCausalLM", "llama", "mit")
    assert (found.parameters, found.memory, found.dtypes) == (84, 176, {"BF16": 80, "F32": 4})
    assert [(t.name, t.dtype, t.shape, t.size) for t in found.tensors] == [
        ("embed", "BF16", (10, 4), 80), ("norm", "F32", (4,), 16), ("head", "BF16", (4, 10), 80),
    ]  # fmt: skip
    assert [(w.name, w.parameters, w.chosen) for w in found.weights] == [
        ("consolidated.safetensors", 1000, False), ("model.safetensors", 84, True),
    ]  # fmt: skip
    assert found.pickled == ("pytorch_model.bin",)
    assert found.card == "# Hello�[2J\n\nA *model*."
    assert found.resident is not None and found.resident > 0


def test_shards_that_are_counted_with_six_digits(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    for number in (1, 2, 3):
        made.file(f"model-{number:05d}-of-000003.safetensors", header({f"w{number}": ("F32", [number], 4 * number)}))
    made.ref()
    found = about(scanner)
    assert (found.parameters, [w.name for w in found.weights]) == (6, ["model.safetensors"])


def test_a_revision_by_its_ref_before_a_commit_that_begins_so(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    for commit in ("2024" + "a" * 36, "2024" + "b" * 36, "9" * 40):
        made.file("config.json", commit.encode(), commit)
    made.ref("2024", "9" * 40)
    assert about(scanner, "2024").revision == "9" * 40
    assert about(scanner, "2024b").revision == "2024" + "b" * 36
    made.ref("2024", "2024" + "b" * 36).rename(made.path / "refs" / "main")
    with pytest.raises(LookupError, match="several revisions that begin with '2024'"):
        about(scanner, "2024")
    with pytest.raises(LookupError, match="no revision '202'"):
        about(scanner, "202")


def test_a_pipeline_of_several_models_adds_up(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("model_index.json", b'{"_class_name": "StableDiffusionPipeline"}')
    made.file("unet/diffusion_pytorch_model.safetensors", header({"a": ("F32", [10], 40)}))
    made.file("unet/diffusion_pytorch_model.fp16.safetensors", header({"a": ("F16", [10], 20)}))
    made.file("vae/diffusion_pytorch_model.safetensors", header({"a": ("F16", [5], 10)}))
    found = about(scanner)
    assert (found.architecture, found.parameters, found.memory) == ("StableDiffusionPipeline", 15, 50)


def test_gguf(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("q4.gguf", quantized())
    found = about(scanner)
    assert (found.architecture, found.parameters, found.memory) == ("llama", 256 * 4 + 256, 576 + 1024)
    assert [(t.name, t.dtype, t.shape) for t in found.tensors] == [
        ("blk.0.weight", "Q4_K", (4, 256)), ("norm", "F32", (256,)),
    ]  # fmt: skip
    made.file("q8.gguf", quantized() + b"more")
    found = about(scanner)
    assert [w.parameters for w in found.weights] == [1280, 1280]
    assert (found.parameters, found.memory) == (None, None)  # which of them is up to the person


def test_a_missing_shard_leaves_the_sum_unknown(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    blob = made.file("model-00001-of-00002.safetensors", header({"a": ("F32", [10], 40)}))
    made.ref()
    made.tree({"model-00001-of-00002.safetensors": (blob.stat().st_size, blob.name),
               "model-00002-of-00002.safetensors": (4_900_000_000, "e" * 64)})  # fmt: skip
    found = about(scanner)
    assert (found.parameters, found.memory) == (None, None)
    assert found.weights[0].problem == "1 of its 2 shards are there."
    assert (found.files_expected, found.missing_size) == (2, 4_900_000_000)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 40_000) + b"[" * 40_000,
        header({"a": ("F32", [10], 40)})[:-1],
        header({"a": ("F32", [10], 4)}),
        header({"a": ("F32", [-1], 40)}),
        header({"a": ("F32", [1 << 62, 1 << 62], 40)}),
    ],
)
def test_a_lying_header_is_a_sentence(cache: Path, scanner: Scanner, content: bytes) -> None:
    made = hubcache.repo(cache)
    made.file("model.safetensors", content, etag="e" * 64)
    found = about(scanner)
    assert found.parameters is None and found.tensors == ()
    assert (found.weights[0].problem or "").startswith("model.safetensors ")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2000), st.binary(min_size=1, max_size=12), st.sampled_from([safetensors.read, gguf.read]))
def test_any_damage_to_a_header_is_read_or_refused(world: Path, at: int, noise: bytes, reader: object) -> None:
    content = bytearray(header({"a": ("F32", [10], 40)}) if reader is safetensors.read else quantized())
    content[at % len(content) : at % len(content) + len(noise)] = noise
    path = world / "file"
    path.write_bytes(content)
    with path.open("rb") as stream:
        try:
            reader(stream.fileno(), "file", len(content))  # type: ignore[operator]
        except Unreadable as refused:
            assert str(refused).startswith("file ")


def test_a_revision_by_ref_or_commit(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("model.safetensors", header({"a": ("F32", [10], 40)}))
    made.file("model.safetensors", header({"a": ("F32", [20], 80)}), commit=hubcache.OTHER)
    made.ref()
    made.ref("v2", hubcache.OTHER)
    assert about(scanner).parameters == 10
    assert about(scanner, "v2").parameters == about(scanner, "bbbb").parameters == 20
    with pytest.raises(LookupError, match="no revision 'v3'"):
        about(scanner, "v3")


def test_describing_reads_no_weight_and_leaves_no_trace(cache: Path, scanner: Scanner) -> None:
    import os

    made = hubcache.repo(cache)
    blob = made.file("model.safetensors", header({"a": ("F32", [1 << 20], 4 << 20)}))
    made.ref()
    os.utime(blob, (1_600_000_000, 1_700_000_000))
    descriptor = os.open(blob, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    cold = about(scanner).resident
    assert about(scanner).parameters == 1 << 20
    assert blob.stat().st_atime == 1_600_000_000
    warm = about(scanner).resident
    assert cold is not None and warm is not None and warm - cold <= 1 << 16


def show(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "cachetop", "models", "show", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done


def test_show_on_the_command_line(cache: Path) -> None:
    made = hubcache.repo(cache)
    made.file("config.json", b'{"architectures": ["BertModel"]}')
    made.file("model.safetensors", header({"a": ("F32", [1 << 20], 4 << 20)}))
    made.ref()
    said = json.loads(show("org/model", "--json").stdout)
    assert said["schema"] == "cachetop.repo/1"
    assert {"architecture": "BertModel", "parameters": 1 << 20, "memory": 4 << 20, "id": "org/model"}.items() <= (
        said.items()
    )
    assert said["tensors"] == [{"name": "a", "dtype": "F32", "shape": [1 << 20], "size": 4 << 20,
                                "file": "model.safetensors"}]  # fmt: skip
    lines = show("org/model@main").stdout
    assert "needs 4 MiB VRAM as stored" in lines and "BertModel" in lines and "1.05 million, F32" in lines
    assert "No repo 'org/other'" in show("org/other", code=1).stderr
    assert "no revision 'v9'" in show("org/model@v9", code=1).stderr
