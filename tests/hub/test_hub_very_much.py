"""Much more than belongs there: no call goes over all of it, little of it is kept, and what is not read is said."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachetop.base import turns
from cachetop.hub import detail, members, one_file, safetensors, sets
from cachetop.hub.about import About, describe
from cachetop.hub.detail import with_detail
from cachetop.hub.facts import facts, refs_of
from cachetop.hub.one_file import describe_file
from cachetop.hub.records import Revision
from cachetop.hub.scan import Scanner
from cachetop_tui.documents import file as file_document
from cachetop_tui.documents import repo as repo_document
from support import hubcache
from support.weights import about, header

VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('a"\\{}[],: é\n', max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('b},"', max_size=4), inner, max_size=3),
    max_leaves=6,
)
ANY = msgspec.json.Decoder(dict[str, Any])


@pytest.mark.parametrize("between", [members.OBJECTS, members.STRINGS])
@given(
    content=st.dictionaries(st.text('x"},', min_size=1, max_size=5), VALUES, max_size=12),
    indent=st.sampled_from([None, 1]),
)
def test_members_in_parts_are_the_members(between: Any, content: dict[str, Any], indent: int | None) -> None:
    raw = json.dumps(content, indent=indent).encode()
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "PART", 8)
        for part in members.in_parts(lambda at, n: raw[at : at + n], 1, len(raw) - 1, between, ANY.decode):
            found |= part
    assert found == content


def test_no_call_goes_over_more_than_a_few_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "PART", 64)
    monkeypatch.setattr(members, "MOST", 512)
    asked, decoded = [], []

    def read(at: int, count: int) -> bytes:
        asked.append(count)
        return raw[at : at + count]

    def decode(part: bytes) -> dict[str, Any]:
        decoded.append(len(part))
        return ANY.decode(part)

    raw = json.dumps({f"{n}": {"of": n} for n in range(1000)}).encode()
    parts = list(members.in_parts(read, 1, len(raw) - 1, members.OBJECTS, decode))
    assert sum(map(len, parts)) == 1000 and max(decoded) < 150
    odd: list[dict[str, Any]] = [{"a": "x" * 5000}, {"a": ['{"b": {}, "c": 1}, ' * 200]}, {"a": [{}, {}] * 1000}]
    for content in odd:
        raw = json.dumps(content | {"b": {}}).encode()
        with pytest.raises((members.TooLong, msgspec.MsgspecError)):
            list(members.in_parts(read, 1, len(raw) - 1, members.OBJECTS, decode))
    assert max(asked) <= 512 and max(decoded) <= 514


def test_a_header_of_many_parts_says_what_one_of_one_does(
    cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {f"layer.{n}": ("F32", [n], 4 * n) for n in range(1, 90)}
    raw = bytearray(header(told))
    made = hubcache.repo(cache)
    made.file("model.safetensors", bytes(raw))
    whole = about(scanner)
    monkeypatch.setattr(members, "PART", 200)
    assert about(scanner).tensors == whole.tensors and len(whole.tensors) == 89


def test_more_tensors_than_any_model_has_are_not_read_and_that_is_said(
    cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors, "MOST_TENSORS", 5)
    made = hubcache.repo(cache)
    made.file("model.safetensors", header({f"t{n}": ("U8", [1], 1) for n in range(6)}))
    found = about(scanner)
    assert (found.parameters, found.memory, found.tensors) == (None, None, ())
    (weights,) = found.weights
    assert weights.problem is not None and weights.problem.startswith("model.safetensors has a header of ")
    assert weights.problem.endswith(" B, which is not read: it announces more than 5 tensors.")


def test_all_the_files_of_a_revision_do_not_add_up_to_more_than_is_kept(
    cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sets, "_MOST", 4)
    made = hubcache.repo(cache)
    for number in range(1, 5):
        tensors = {f"t{number}.{n}": ("U8", [1], 1) for n in range(3)}
        made.file(f"model-0000{number}-of-00004.safetensors", header(tensors))
    (weights,) = about(scanner).weights
    assert weights.problem == "There are more than 4 tensors in this revision: not all are read."
    assert weights.parameters is None


@pytest.mark.parametrize("turned", [False, True])
def test_a_large_index_is_read_in_parts(
    cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch, turned: bool
) -> None:
    made = hubcache.repo(cache)
    names = {f"t{n}": f"model-0000{1 + n % 2}-of-00002.safetensors" for n in range(60)}
    for number in (1, 2):
        file = f"model-0000{number}-of-00002.safetensors"
        made.file(file, header({name: ("U8", [1], 1) for name, where in names.items() if where == file}))
    parts = [("metadata", {"total_size": 60}), ("weight_map", names)]
    made.file("model.safetensors.index.json", json.dumps(dict(parts[::-1] if turned else parts), indent=2).encode())
    monkeypatch.setattr(members, "PART", 100)
    monkeypatch.setattr(sets, "_LARGE", 200)
    assert [one.problem for one in about(scanner).weights] == [None]
    monkeypatch.setattr(sets, "_INDEX_BYTES", 1 << 9)
    (problem,) = [one.problem for one in about(scanner).weights]
    assert problem is not None and problem.startswith("model.safetensors.index.json, ") and " is not read: " in problem


def test_of_a_configuration_little_is_taken_and_one_that_is_too_large_is_named(
    cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.repo(cache)
    labels = {str(n): f"label {n}" for n in range(20_000)}
    config = {
        "id2label": labels,
        "model_type": "vit",
        "architectures": ["ViT"],
        "quantization_config": {"quant_method": "q"},
    }
    made.file("config.json", json.dumps(config).encode())
    found = about(scanner)
    assert (found.architecture, found.model_type, found.quantization, found.unread) == ("ViT", "vit", "q", ())
    monkeypatch.setattr("cachetop.hub.about._CONFIG_BYTES", 1000)
    found = about(scanner)
    assert found.architecture is None and len(found.unread) == 1
    assert dict(facts(found, 0.0))["not read"] == found.unread[0]
    assert found.unread[0].startswith("config.json is ") and "the limit is 1.00 KB" in found.unread[0]


@pytest.mark.parametrize("odd", [[], {"architectures": {"a": 1}}, {"architectures": [1]}, {"model_type": ["x"]}])
def test_a_configuration_of_odd_types_says_nothing(cache: Path, scanner: Scanner, odd: object) -> None:
    hubcache.repo(cache).file("config.json", json.dumps(odd).encode())
    found = about(scanner)
    assert (found.architecture, found.model_type, found.quantization) == (None, None, None)


@pytest.fixture
def large(cache: Path, scanner: Scanner) -> About:
    made = hubcache.repo(cache)
    made.file("model.safetensors", header({f"t{n}": ("U8", [1], 1) for n in range(700)}))
    return describe(scanner.scan().repos[0], scanner, most=repo_document.TENSORS)


def test_a_document_keeps_the_tensors_that_it_lists(cache: Path, scanner: Scanner, large: About) -> None:
    assert (len(large.tensors), large.tensors_left_out, large.parameters) == (500, 200, 700)
    repo = scanner.scan().repos[0]
    one = describe_file(repo, repo.revisions[0], repo.revisions[0].files[0], 500)
    assert one.tensors == large.tensors and one.tensors_left_out == 200
    for lines in (repo_document.lines(large, 80, 0.0), file_document.lines(one, 80, 0.0)):
        assert "… and 200 more" in [line.text.strip() for line in lines]
    assert "700 tensors" in "".join(line.text for line in file_document.lines(one, 80, 0.0))
    assert one_file.describe_file(repo, repo.revisions[0], repo.revisions[0].files[0]).tensors_left_out == 0


def test_very_many_refs_and_revisions_are_counted_not_all_written(large: About) -> None:
    refs = tuple(f"v{n}" for n in range(30_000))
    assert refs_of(refs[:3]) == "v0, v1, v2" and refs_of(refs).endswith("v19, …, 30,000 refs in all")
    (revision,) = large.revisions
    many = msgspec.structs.replace(large, revisions=(msgspec.structs.replace(revision, refs=refs),) * 5000)
    lines = repo_document.lines(many, 400, 0.0)
    assert len(lines) < 1100 and "… and 4,500 more" in [line.text.strip() for line in lines]
    assert any("30,000 refs in all" in line.text for line in lines)


def test_refs_come_in_order_with_main_first(cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_SORTED", 2)
    made = hubcache.repo(cache)
    made.file("config.json", b"{}")
    for ref in ("v2", "a", "main", "z", "b/c", "v1"):
        made.ref(ref)
    assert scanner.scan().repos[0].revisions[0].refs == ("main", "a", "b/c", "v1", "v2", "z")


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 9))
def test_sorting_in_turns_is_sorting(items: list[int], part: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "_SORTED", part)
        patch.setattr(turns, "_GIVEN_UP", part)
        done: list[list[int]] = []
        thread = threading.Thread(target=lambda: done.append(list(turns.in_order(items))))
        thread.start()
        thread.join()
        assert done == [sorted(items)]
        turns.give_up(items)
        assert not items


def test_of_very_many_revisions_each_is_compared_with_itself_alone(
    cache: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hubcache.repo(cache)
    for number in range(12):
        made.file("config.json", b"{}", commit=f"{number:040x}")
    models = scanner.scan()
    before = with_detail(models, scanner)
    asked: list[tuple[str, str | None]] = []
    original = detail._before

    def noting(revision: Revision, last: Revision | None) -> Any:
        asked.append((revision.commit, last.commit if last is not None else None))
        return original(revision, last)

    monkeypatch.setattr(detail, "_before", noting)
    again = with_detail(models, scanner)
    assert again.repos[0] is before.repos[0]
    assert len(asked) == 12 and all(one == other for one, other in asked)


def test_to_look_up_a_repo_no_revision_is_looked_at(cache: Path, scanner: Scanner) -> None:
    made = hubcache.repo(cache)
    made.file("config.json", b"{}")
    (repo,) = scanner.scan().repos
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Revision, "__hash__", None)
        assert hash(repo) == hash(msgspec.structs.replace(repo))
