"""Headers of weights against the packages that write them, cut off anywhere, and without a look at the weights."""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import random
import re
import struct
import subprocess
import sys
from pathlib import Path

import gguf as package
import numpy as np
import pytest
import safetensors as library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachetop.base.residency import resident
from cachetop.hub import gguf, safetensors
from cachetop.hub.about import describe
from cachetop.hub.scan import Scanner
from cachetop.hub.weights import Header, Unreadable
from support import hubcache
from support.weights import about

TYPES = {
    "bool": 8, "uint8": 8, "int8": 8, "float8_e4m3fn": 8, "float8_e5m2": 8, "float8_e8m0fnu": 8, "float8_e4m3fnuz": 8,
    "float8_e5m2fnuz": 8, "int16": 16, "uint16": 16, "float16": 16, "bfloat16": 16, "int32": 32, "uint32": 32,
    "float32": 32, "int64": 64, "uint64": 64, "float64": 64, "complex64": 64,
}  # fmt: skip


def parsed(reader: object, content: bytes, path: Path) -> Header | None:
    """What a reader makes of a file; None where it refuses it, with a sentence."""
    path.write_bytes(content)
    with path.open("rb") as stream:
        try:
            return reader(stream.fileno(), "file", len(content))  # type: ignore[operator, no-any-return]
        except Unreadable as refused:
            assert str(refused).startswith("file ")
            return None


def plain(header: Header | None) -> dict[str, tuple[str, tuple[int, ...], int]] | None:
    return None if header is None else {each.name: (each.dtype, each.shape, each.size) for each in header.tensors}


def theirs(content: bytes) -> dict[str, tuple[str, tuple[int, ...], int]] | None:
    """The same by the safetensors library."""
    try:
        return {
            name: (told["dtype"], tuple(told["shape"]), len(told["data"]))
            for name, told in library.deserialize(content)  # type: ignore[no-untyped-call]
        }
    except library.SafetensorError:
        return None


def every_type() -> bytes:
    """A file of the safetensors library's own with each type that it writes."""
    held = [(name, ctypes.create_string_buffer(6 * bits // 8)) for name, bits in TYPES.items()]
    return library.serialize(
        {
            f"layer.{name}": library.TensorSpec(
                dtype=name, shape=[3, 2], data_ptr=ctypes.addressof(data), data_len=len(data)
            )
            for name, data in held
        },
        {"format": "pt"},
    )


def test_every_type_of_the_safetensors_library(cache: Path, scanner: Scanner) -> None:
    content = every_type()
    hubcache.repo(cache).file("model.safetensors", content)
    found = about(scanner)
    assert {each.name: (each.dtype, each.shape, each.size) for each in found.tensors} == theirs(content)
    assert found.parameters == 6 * len(TYPES)
    assert found.memory == sum(6 * bits // 8 for bits in TYPES.values())
    assert found.dtypes == dict.fromkeys(found.dtypes, 6) and len(found.dtypes) == len(TYPES)


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [("F4", [4, 2], 4), ("F6_E2M3", [4], 3), ("F6_E3M2", [8], 6), ("F4", [3], 2), ("F6_E2M3", [3], 3), ("BOOL", [], 1)],
)
def test_types_smaller_than_a_byte(world: Path, dtype: str, shape: list[int], size: int) -> None:
    raw = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    content = struct.pack("<Q", len(raw)) + raw + bytes(size)
    assert plain(parsed(safetensors.read, content, world / "f")) == theirs(content)


def test_a_type_that_is_not_known_yet_counts_by_its_bytes(cache: Path, scanner: Scanner) -> None:
    raw = json.dumps({"a": {"dtype": "F9_NEW", "shape": [4], "data_offsets": [0, 5]}}).encode()
    hubcache.repo(cache).file("model.safetensors", struct.pack("<Q", len(raw)) + raw + bytes(5))
    found = about(scanner)
    assert (found.parameters, found.memory, found.dtypes) == (4, 5, {"F9_NEW": 4})


PLACES = st.integers(0, 12) | st.sampled_from([-1, 1 << 62, 1 << 63, 1 << 64])
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "F32", "BF16", "F4", "BOOL"]),
        "shape": st.lists(st.integers(-1, 4) | st.just(1 << 62), max_size=3),
        "data_offsets": st.tuples(PLACES, PLACES),
    }
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from("abc"), ENTRY, max_size=3), st.integers(0, 13), st.sampled_from([0, -1, 3, 1 << 62])
)
def test_what_the_library_refuses_is_refused(world: Path, told: dict[str, object], data: int, off: int) -> None:
    raw = json.dumps(told).encode()
    content = struct.pack("<Q", len(raw) + off) + raw + bytes(data)
    assert plain(parsed(safetensors.read, content, world / "f")) == theirs(content)


def rows(header: Header | None) -> list[tuple[str, str, tuple[int, ...], int]]:
    assert header is not None
    return [(each.name, each.dtype, each.shape, each.size) for each in header.tensors]


def made(path: Path, order: package.GGUFEndian = package.GGUFEndian.LITTLE, alignment: int | None = None) -> bytes:
    """A file of the gguf package's own: every type of value, every type of tensor that it knows."""
    writer = package.GGUFWriter(path, "llama", endianess=order)
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_block_count(2)
    writer.add_token_list([f"word {number}" for number in range(1000)])
    writer.add_token_scores([1.5] * 1000)
    writer.add_array("nested", [[1, 2], [3]])
    writer.add_bool("yes", True)
    writer.add_float64("number", 1.0)
    noise = random.Random(1)
    for kind, (block, size) in package.GGML_QUANT_SIZES.items():
        if kind in (package.GGMLQuantizationType.Q8_1, package.GGMLQuantizationType.Q8_K):
            continue  # never in files; the package has an old size for one of them
        count = block * noise.randrange(1, 3)
        raw = np.zeros((3, count // block * size), dtype=np.uint8)
        writer.add_tensor(f"blk.{kind.name}.weight", raw, raw_shape=raw.shape, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("alignment", [None, 128])
def test_every_type_of_the_gguf_package(cache: Path, scanner: Scanner, alignment: int | None) -> None:
    path = cache.parent / "made.gguf"
    content = made(path, alignment=alignment)
    hubcache.repo(cache).file("model.gguf", content)
    found = about(scanner)
    known = package.GGUFReader(path).tensors
    assert [(each.name, each.dtype, each.shape, each.size) for each in found.tensors] == [
        (each.name, each.tensor_type.name, tuple(map(int, reversed(each.shape))), int(each.n_bytes)) for each in known
    ]
    assert found.parameters == sum(int(each.n_elements) for each in known)
    assert found.memory == sum(int(each.n_bytes) for each in known)
    assert found.architecture == "llama"


def test_the_other_byte_order_says_the_same(world: Path) -> None:
    little = rows(parsed(gguf.read, made(world / "little"), world / "f"))
    big = rows(parsed(gguf.read, made(world / "big", package.GGUFEndian.BIG), world / "f"))
    assert big == little


def test_a_file_cut_off_anywhere_is_refused(world: Path) -> None:
    writer = package.GGUFWriter(world / "made", "llama")
    writer.add_token_list(["a", "bc"])
    writer.add_tensor("one", np.ones((5, 3), dtype=np.float32))
    writer.add_tensor("two", np.ones((7,), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for reader, content, padding in (
        (gguf.read, (world / "made").read_bytes(), 32 - 14), (safetensors.read, every_type(), 0),
    ):  # fmt: skip
        for length in range(len(content)):
            read = parsed(reader, content[:length], world / "f")
            assert (read is None) == (length < len(content) - padding), length


def word(text: str, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text.encode()


@pytest.mark.parametrize(
    ("content", "size", "said"),
    [
        (struct.pack("<IQQ", 1, 0, 0), 0, "is GGUF of version 1, of which only 2 and 3 are known"),
        (
            struct.pack("<IQQ", 3, 0, 1 << 63),
            0,
            "announces 0 tensors and 9223372036854775808 properties, which cannot be",
        ),
        (struct.pack("<IQQ", 3, 0, 1) + word("k", 1 << 40), 0, "has a name of 1099511627776 bytes"),
        (
            struct.pack("<IQQ", 3, 0, 1) + word("k") + struct.pack("<I", 8) + word("v", 1 << 40),
            0,
            "of more than 256 MiB",
        ),
        (
            struct.pack("<IQQ", 3, 0, 1) + word("k") + struct.pack("<IIQ", 9, 8, 1 << 24),
            200 << 20,
            "has a list of 16777216",
        ),
        (struct.pack("<IQQ", 3, 0, 1) + word("k") + struct.pack("<IIQ", 9, 9, 1 << 22), 200 << 20, "has a list of"),
        (struct.pack("<IQQ", 3, 0, 1) + word("k") + struct.pack("<IIQ", 9, 0, 1 << 63), 0, "of more than 256 MiB"),
        (
            struct.pack("<IQQ", 3, 0, 1) + word("k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 6,
            1000,
            "makes no sense (a value of type 9)",
        ),
        (struct.pack("<IQQ", 3, 1, 0) + word("a") + struct.pack("<IQQ", 9, 1, 1), 1000, "has a tensor of 9 dimensions"),
        (
            struct.pack("<IQQ", 3, 1, 0) + word("a") + struct.pack("<IQQIQ", 2, 1 << 40, 1 << 40, 0, 0),
            1000,
            "impossible",
        ),
        (struct.pack("<IQQ", 3, 1, 0) + word("a") + struct.pack("<IQIQ", 1, 4, 0, 1 << 63), 1000, "is cut off"),
        (
            struct.pack("<IQQ", 3, 2, 0) + (word("a") + struct.pack("<IQIQ", 1, 8, 0, 0)) * 2,
            1000,
            "has tensors that overlap",
        ),
        (struct.pack("<IQQ", 3, 1, 0) + word("a") + struct.pack("<IQIQ", 1, 4, 5, 0), 1000, "of a type (number 5)"),
    ],
)
def test_what_cannot_be_is_refused_at_once(world: Path, content: bytes, size: int, said: str) -> None:
    path = world / "f"
    path.write_bytes(b"GGUF" + content)
    if size:
        os.truncate(path, size)  # sparse: large without being so
    with path.open("rb") as stream, pytest.raises(Unreadable, match=re.escape(said)):
        gguf.read(stream.fileno(), "file", path.stat().st_size)


def cold(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


@pytest.mark.parametrize("many", [10, 50_000])
def test_no_page_of_weights_is_read(cache: Path, scanner: Scanner, many: int) -> None:
    """However long the header is: only pages that hold a part of it come into RAM."""
    writer = package.GGUFWriter(cache.parent / "made", "llama")
    writer.add_token_list([f"word {number}" for number in range(many)])
    writer.add_tensor("a", np.ones((1 << 20,), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    quantized = hubcache.repo(cache, "org/gguf").file("model.gguf", (cache.parent / "made").read_bytes())
    told = {f"layer.{n}": {"dtype": "U8", "shape": [8], "data_offsets": [8 * n, 8 * n + 8]} for n in range(many)}
    raw = json.dumps(
        told | {"z": {"dtype": "U8", "shape": [1 << 22], "data_offsets": [8 * many, 8 * many + (1 << 22)]}}
    )
    content = struct.pack("<Q", len(raw)) + raw.encode() + bytes(8 * many + (1 << 22))
    plain = hubcache.repo(cache, "org/safetensors").file("model.safetensors", content)
    for path, header in ((quantized, quantized.stat().st_size - (4 << 20)), (plain, 8 + len(raw))):
        repo = next(repo for repo in scanner.scan().repos if repo.id.endswith("gguf") == (path is quantized))
        cold(path)
        assert resident(str(path)) == 0
        assert describe(repo, scanner).parameters
        assert resident(str(path)) == -(-header // 4096) * 4096


def test_no_pickle_is_read(cache: Path) -> None:
    """A whole `models show`, in a process of its own: of the pickles not a page came into RAM."""
    repo = hubcache.repo(cache)
    names = ["a.pt", "b.pth", "c.ckpt", "d.pkl", "e.pickle", "pytorch_model.bin"]
    pickles = [repo.file(name, pickle.dumps((name, bytes(100_000)))) for name in names]
    weights = repo.file("model.safetensors", every_type())
    repo.ref()
    for path in (weights, *pickles):
        cold(path)
    command = [sys.executable, "-m", "cachetop", "models", "show", "org/model", "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert (told["pickled"], told["parameters"]) == (names, 6 * len(TYPES))
    assert [resident(str(path)) for path in pickles] == [0] * len(pickles)
    assert resident(str(weights))
