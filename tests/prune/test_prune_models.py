"""Deleting models through the library: repos, revisions, dead downloads, the shared store, locks."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from cachetop.hub.scan import Scanner
from cachetop.locations import Location
from cachetop.prune.undo import undo
from support.hubcache import COMMIT, OTHER, healthy, repo, settle
from support.pruning import allocated, carry_out, picture, plan_models, state


def _ids(hub: Path) -> list[str]:
    """The repos that huggingface_hub sees in the cache; it must not complain about any."""
    from huggingface_hub import scan_cache_dir

    found = scan_cache_dir(hub)
    assert not found.warnings
    return sorted(one.repo_id for one in found.repos)


def test_a_repo_goes_and_comes_back(hub: Path) -> None:
    before, bytes_before = picture(hub), allocated(hub)
    draft = plan_models(hub, "org/alpha")
    assert [item.kind for item in draft.plan.items] == ["repo"]
    assert draft.plan.cost is not None and draft.plan.cost.sentence.startswith("only models: ")
    result = carry_out(draft, now=False)
    assert result.held == draft.plan.frees
    assert undo(state()).restored == result.deleted
    assert picture(hub) == before
    settle(hub)
    assert carry_out(plan_models(hub, "org/alpha")).freed == bytes_before - allocated(hub) > 0
    assert _ids(hub) == ["org/beta"]


def test_a_detached_revision_leaves_what_others_name(hub: Path) -> None:
    alpha = repo(hub, "org/alpha")
    alpha.file("extra.bin", b"x" * 40_000, commit=OTHER)
    shared = next(path for path in (alpha.path / "blobs").iterdir() if path.stat().st_size > 45_000)
    alpha.link("again.onnx", f"../../blobs/{shared.name}", commit=OTHER)
    settle(hub)
    before = allocated(hub)
    draft = plan_models(hub, detached=True)
    assert [item.key for item in draft.plan.items] == [f"org/alpha@{OTHER}"]
    result = carry_out(draft)
    assert result.freed == draft.plan.frees == before - allocated(hub)
    assert 40_000 <= result.freed < 50_000
    assert shared.exists() and not (alpha.path / "snapshots" / OTHER).exists()
    assert (alpha.path / "snapshots" / COMMIT / "onnx" / "model.onnx").read_bytes()
    assert _ids(hub) == ["org/alpha", "org/beta"]


def test_a_revision_goes_with_its_refs_and_lists(hub: Path) -> None:
    alpha = repo(hub, "org/alpha")
    alpha.file("old.bin", b"o" * 9000, commit=OTHER)
    alpha.ref("refs/pr/1", OTHER)
    alpha.tree({"old.bin": (9000, "0" * 40)}, commit=OTHER)
    settle(hub)
    before = picture(hub)
    result = carry_out(plan_models(hub, "org/alpha@refs/pr/1"), now=False)
    assert len(result.deleted) == 1 and not result.failed and not result.skipped
    assert not (alpha.path / "refs" / "refs" / "pr" / "1").exists()
    assert not (alpha.path / "trees" / f"{OTHER}.json").exists()
    assert _ids_without_trash(hub) == {"org/alpha": {COMMIT}, "org/beta": {COMMIT}}
    undo(state())
    assert picture(hub) == before


def _ids_without_trash(hub: Path) -> dict[str, set[str]]:
    models = Scanner([Location("hub", str(hub), "test")]).scan()
    return {one.id: {revision.commit for revision in one.revisions} for one in models.repos}


def test_all_revisions_of_a_repo_mean_the_repo(hub: Path) -> None:
    draft = plan_models(hub, f"org/alpha@{COMMIT[:8]}")
    assert [item.kind for item in draft.plan.items] == ["repo"]
    carry_out(draft)
    assert _ids(hub) == ["org/beta"]


def test_a_shared_payload_goes_with_the_last_repo_that_names_it(hub: Path) -> None:
    payloads = {repo(hub, name).stored("w.safetensors", b"s" * 100_000) for name in ("org/alpha", "org/beta")}
    (payload,) = payloads
    settle(hub)
    before = allocated(hub)
    first = plan_models(hub, "org/alpha")
    assert carry_out(first).freed == first.plan.frees == before - allocated(hub)
    assert payload.exists()
    settle(hub)
    both = plan_models(hub, "org/beta")
    assert both.plan.frees > 100_000
    middle = allocated(hub)
    assert carry_out(both).freed == both.plan.frees == middle - allocated(hub)
    assert not payload.exists() and not payload.with_name(f"{payload.name}.refs").exists()


def test_two_repos_in_one_plan_free_their_payload_once(hub: Path) -> None:
    for name in ("org/alpha", "org/beta"):
        repo(hub, name).stored("w.safetensors", b"s" * 100_000)
    settle(hub)
    before, tree = allocated(hub), picture(hub)
    draft = plan_models(hub, all=True)
    assert sum(item.frees for item in draft.plan.items) > 100_000
    result = carry_out(draft, now=False)
    assert result.held == draft.plan.frees
    undo(state())
    assert picture(hub) == tree
    settle(hub)
    assert carry_out(plan_models(hub, all=True)).freed == before - allocated(hub)


def test_a_payload_that_a_new_repo_names_meanwhile_stays(hub: Path) -> None:
    payload = repo(hub, "org/alpha").stored("w.safetensors", b"s" * 100_000)
    settle(hub)
    draft = plan_models(hub, "org/alpha")
    late = repo(hub, "org/late")
    late.stored("w.safetensors", b"s" * 100_000)  # writes the manifest anew, which moves its time
    os.utime(payload.with_name(f"{payload.name}.refs"), ns=(draft.work[0].moves[-1].stamp,) * 2)
    result = carry_out(draft)
    assert payload.exists() and len(result.deleted) == 1
    assert [one.reason.startswith("still used by models--org--late/blobs/") for one in result.skipped] == [True]
    assert result.freed < draft.plan.frees


def test_a_dead_partial_goes_and_a_live_one_stays(hub: Path) -> None:
    alpha = repo(hub, "org/alpha")
    dead, live = alpha.partial("d" * 64, b"d" * 20_000), alpha.partial("e" * 64, b"e" * 20_000)
    settle(hub)
    with open(alpha.lock("e" * 64), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        draft = plan_models(hub, incomplete=True)
        assert [item.key for item in draft.plan.items] == [dead.name]
        whole = plan_models(hub, "org/alpha")
        assert not whole.plan.items and "downloading" in whole.plan.blocked[0].reason
        assert whole.plan.blocked[0].pids == (os.getpid(),)
        assert carry_out(draft).freed == draft.plan.frees
    assert not dead.exists() and live.exists()


def test_a_lock_taken_after_the_plan_is_respected(hub: Path) -> None:
    alpha = repo(hub, "org/alpha")
    dead = alpha.partial("d" * 64, b"d" * 20_000)
    settle(hub)
    drafts = plan_models(hub, incomplete=True), plan_models(hub, "org/alpha")
    with open(alpha.lock("d" * 64), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for draft in drafts:
            result = carry_out(draft)
            assert not result.deleted and "downloading" in result.skipped[0].reason
    assert dead.exists()


def test_a_repo_that_changed_since_the_plan_is_skipped(hub: Path) -> None:
    draft = plan_models(hub, "org/alpha")
    repo(hub, "org/alpha").partial("d" * 64, b"d")
    result = carry_out(draft)
    assert not result.deleted and "changed" in result.skipped[0].reason
    assert (hub / "models--org--alpha" / "refs" / "main").exists()


def test_a_download_between_two_files_is_not_torn(hub: Path) -> None:
    begun = repo(hub, "org/begun")
    begun.file("one.bin", b"1" * 5000)
    begun.ref()
    begun.tree({"one.bin": (5000, "0" * 40), "two.bin": (5000, "1" * 40)})
    blocked = plan_models(hub, "org/begun")
    assert not blocked.plan.items and "1 of its files has still to come" in blocked.plan.blocked[0].reason
    settle(hub, 120)
    assert len(plan_models(hub, "org/begun").plan.items) == 1


@pytest.mark.parametrize("link", ["../../../../../precious", "/{outside}/precious"])
def test_a_link_out_of_the_cache_is_never_followed(hub: Path, tmp_path: Path, link: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("irreplaceable")
    alpha = repo(hub, "org/alpha")
    alpha.link("evil.txt", link.format(outside=str(tmp_path).lstrip("/")), commit=OTHER)
    alpha.link("evil2.txt", os.path.relpath(precious, alpha.path / "snapshots" / OTHER), commit=OTHER)
    (alpha.path / "blobs" / "evil").symlink_to(precious)
    alpha.link("evil3.txt", "../../blobs/evil", commit=OTHER)
    settle(hub)
    result = carry_out(plan_models(hub, detached=True))
    assert len(result.deleted) == 1 and not result.failed
    carry_out(plan_models(hub, "org/alpha"))
    assert precious.read_text() == "irreplaceable"


def test_the_keep_list_protects_repos(hub: Path) -> None:
    draft = plan_models(hub, all=True, keep=["ORG/alp*"])
    assert [one.key for one in draft.plan.kept] == ["org/alpha"]
    assert [item.key for item in draft.plan.items] == ["org/beta"]


def test_names_by_type_and_unknown_ones(hub: Path) -> None:
    healthy(hub, "org/alpha", kind="dataset")
    settle(hub)
    assert len(plan_models(hub, "org/alpha").plan.items) == 2
    assert len(plan_models(hub, "dataset/org/alpha").plan.items) == 1
    draft = plan_models(hub, "org/alpha@feature", "no/such")
    assert draft.plan.missing == ("org/alpha@feature", "no/such") and not draft.plan.items


def test_nothing_is_both_detached_and_a_partial(hub: Path) -> None:
    repo(hub, "org/alpha").partial("d" * 64, b"d")
    assert not plan_models(hub, detached=True, incomplete=True).plan.items


def test_what_two_names_mean_goes_once(hub: Path) -> None:
    alpha = repo(hub, "org/alpha")
    alpha.file("old.bin", b"o" * 9000, commit=OTHER)
    settle(hub)
    from cachetop.hub.detail import with_detail
    from cachetop.prune import models
    from cachetop.prune.draft import Drafting
    from cachetop.prune.selection import Selection

    scanner = Scanner([Location("hub", str(hub), "test")])
    found = with_detail(scanner.scan(), scanner)
    whole = plan_models(hub, "org/alpha").plan.frees
    for names in ((f"org/alpha@{OTHER}", "org/alpha"), ("org/alpha", f"org/alpha@{OTHER}")):
        into = Drafting([str(hub)])
        models.draft(found, scanner, [Selection("models", names=(name,)) for name in names], into)
        draft = into.done()
        assert [item.key for item in draft.plan.items] == ["org/alpha"] and draft.plan.frees == whole


def test_what_several_rules_mean_shares_its_blobs(hub: Path) -> None:
    """A blob that two revisions name goes when one rule means the one and another rule the other."""
    from cachetop.hub.detail import with_detail
    from cachetop.prune import models
    from cachetop.prune.draft import Drafting
    from cachetop.prune.selection import Selection

    alpha, third = repo(hub, "org/alpha"), "d" * 40
    shared = alpha.file("s.bin", b"s" * 30_000, commit=OTHER)
    alpha.link("s.bin", f"../../blobs/{shared.name}", commit=third)
    dead = alpha.partial("e" * 64, b"e" * 9_000)
    settle(hub)
    before = allocated(hub)
    scanner = Scanner([Location("hub", str(hub), "test")])
    found = with_detail(scanner.scan(), scanner)
    into = Drafting([str(hub)])
    rules = [Selection("models", names=(f"org/alpha@{OTHER}", "no/such")), Selection("models", incomplete=True),
             Selection("models", names=(f"org/alpha@{third}", "nor/this"))]  # fmt: skip
    models.draft(found, scanner, rules, into)
    draft = into.done()
    assert draft.plan.missing == ("no/such", "nor/this")
    result = carry_out(draft)
    assert len(result.deleted) == 3 and not result.failed and not result.skipped
    assert result.freed == draft.plan.frees == before - allocated(hub)
    assert not shared.exists() and not dead.exists()


def test_superseded_are_detached_ones_beside_a_newer_download(hub: Path) -> None:
    repo(hub, "org/alpha").file("old.bin", b"o" * 9000, commit=OTHER)
    pinned = repo(hub, "org/pinned")  # downloaded by its commit alone: detached, and nothing took its place
    pinned.file("only.bin", b"p" * 9000, commit=OTHER)
    settle(hub)
    assert [item.key for item in plan_models(hub, detached=True).plan.items] == [f"org/alpha@{OTHER}", "org/pinned"]
    (item,) = plan_models(hub, superseded=True).plan.items
    assert item.key == f"org/alpha@{OTHER}" and "newer download" in item.reasons[-1]
    assert len(carry_out(plan_models(hub, superseded=True)).deleted) == 1
    assert (pinned.path / "snapshots" / OTHER / "only.bin").exists()


def test_a_budget_passes_over_what_the_keep_list_protects(hub: Path) -> None:
    for number, name in enumerate(("org/alpha", "org/beta")):
        for path in (hub / f"models--{name.replace('/', '--')}").rglob("*"):
            os.utime(path, (1_600_000_000 + number, 1_600_000_000 + number), follow_symlinks=False)
    plan = plan_models(hub, max_size=1 + plan_models(hub, "org/alpha").plan.frees, keep=["org/alpha"]).plan
    assert [item.key for item in plan.items] == ["org/beta"] and [one.key for one in plan.kept] == ["org/alpha"]


@pytest.mark.parametrize("where", ["blob", "payload", "download"])
def test_a_budget_passes_over_what_is_in_use_and_names_it(hub: Path, where: str) -> None:
    alpha, beta = repo(hub, "org/alpha"), repo(hub, "org/beta")
    alpha.stored("payload.bin", b"p" * 60_000)
    for number, folder in enumerate((hub, beta.path)):
        for path in folder.rglob("*"):
            os.utime(path, (1_600_000_000 + number, 1_600_000_000 + number), follow_symlinks=False)
    budget = allocated(hub) - 30_000  # some of that is no blob
    assert [item.key for item in plan_models(hub, max_size=budget).plan.items] == ["org/alpha"]
    used = max((alpha.path / "blobs").iterdir(), key=lambda path: path.lstat().st_size)
    if where == "payload":
        used = next(path for path in hub.glob("blobs/*/*") if path.suffix == "")
    if where == "download":
        used = alpha.path / "blobs" / ("e" * 64 + ".incomplete")
        used.write_bytes(b"half")
        (hub / ".locks" / alpha.path.name).mkdir(parents=True)
        (hub / ".locks" / alpha.path.name / f"{'e' * 64}.lock").touch()
        used = hub / ".locks" / alpha.path.name / f"{'e' * 64}.lock"
    with open(used, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        plan = plan_models(hub, max_size=budget).plan
    assert [item.key for item in plan.items] == ["org/beta"]
    assert [one.key for one in plan.blocked] == ["org/alpha"]
    assert ("downloading" if where == "download" else "in use") in plan.blocked[0].reason


def test_a_budget_counts_a_shared_payload_once(hub: Path) -> None:
    """Three repos of 300 KB, 200 KB of them one payload: two of them hold 400 KB, not 600 KB."""
    names = ("org/first", "org/second", "org/third")
    for number, name in enumerate(names):
        one = repo(hub, name)
        one.stored("w.bin", b"s" * 200_000)
        one.file("own.bin", bytes([number]) * 100_000)
        for path in one.path.rglob("*"):
            os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    both = plan_models(hub, *names).plan.frees - plan_models(hub, names[0]).plan.frees
    assert [item.key for item in plan_models(hub, *names, max_size=both).plan.items] == ["org/first"]
    assert [item.key for item in plan_models(hub, *names, max_size=both - 5000).plan.items] == list(names[:2])


def test_what_this_very_process_uses_is_blocked(hub: Path) -> None:
    weights = next(path for path in (hub / "models--org--alpha" / "blobs").iterdir() if path.stat().st_size > 45_000)
    draft = plan_models(hub, "org/alpha")
    with open(weights, "rb"):
        (blocked,) = plan_models(hub, "org/alpha").plan.blocked
        assert blocked.pids == (os.getpid(),) and "this process" in blocked.reason and blocked.lifted_by_force
        assert "this process" in carry_out(draft).skipped[0].reason
        looking = os.open(weights, os.O_RDONLY | os.O_NOATIME)  # as cachetop itself reads
    assert len(plan_models(hub, "org/alpha").plan.items) == 1
    os.close(looking)


@pytest.mark.parametrize("where", ["blobs/mine", f"snapshots/{COMMIT}/README.md", "token"])
def test_a_repo_that_the_login_token_was_put_into_stays(hub: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    token = hub / "models--org--alpha" / where
    token.write_text("hf_abcdefghijklmnop")
    monkeypatch.setenv("HF_TOKEN_PATH", str(token))
    settle(hub)
    draft = plan_models(hub, all=True)
    assert [item.key for item in draft.plan.items] == ["org/beta"]
    (blocked,) = draft.plan.blocked
    assert blocked.reason.startswith("your login token lies in it: ")
    carry_out(draft)
    assert token.exists()
