"""Which model a process holds, with real processes that map real files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from cachetop.gpu.attribution import Attribution
from cachetop.gpu.holdings import Index
from cachetop.gpu.processes import Processes, container, start_ticks
from cachetop.gpu.records import Gpu, HeldModel, Process
from cachetop.gpu.source import NvmlSource
from support import fake_nvml
from support.gpu_process import GpuProcess, cached_model, inode, scenario_with, write_safetensors

COMMIT = "a" * 40
OTHER = "b" * 40


class Gpu0:
    """One GPU with some processes on it, sampled with an index of the hub cache."""

    def __init__(self, tmp_path: Path, index: Index, *pids: int, nested: bool = False) -> None:
        self.attribution = Attribution(lambda: index)
        self._source = NvmlSource(self.attribution, Processes(nested), pci=str(tmp_path / "no-pci"))
        self._scenario = scenario_with(*({"pid": pid, "used": 2**30} for pid in pids))

    def sample(self) -> Gpu:
        with fake_nvml.driver(self._scenario):
            self._source.open()
            return self._source.sample().gpus[0]

    def models(self) -> tuple[HeldModel, ...]:
        return self.sample().processes[0].models


def index_of(repo: str, blobs: list[Path], commit: str = COMMIT, suffix: str = ".safetensors") -> Index:
    return {
        inode(blob): [(repo, commit, f"model-{number}{suffix}", blob.stat().st_size)]
        for number, blob in enumerate(blobs)
    }


def test_mapped_weights_are_seen_with_their_revision_and_size(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    with GpuProcess() as child:
        gpu = Gpu0(tmp_path, index_of("org/model", [blob]), child.pid)
        assert gpu.models() == ()
        before = time.time()
        child.map(tmp_path / "hub/models--org--model/snapshots" / COMMIT / "model.safetensors")
        (model,) = gpu.models()
    assert (model.repo, model.revision, model.evidence) == ("org/model", COMMIT, "mapped")
    assert model.bytes == blob.stat().st_size
    assert before <= model.seen <= time.time()


def test_weights_that_were_unmapped_are_remembered_as_seen_loading(tmp_path: Path) -> None:
    first, second = cached_model(tmp_path / "hub", "org/model", COMMIT, ("model-0.safetensors", "model-1.safetensors"))
    with GpuProcess() as child:
        gpu = Gpu0(tmp_path, index_of("org/model", [first, second]), child.pid)
        child.map(first)
        gpu.models()
        child.unmap(first)
        child.map(second)
        (mapped,) = gpu.models()
        child.unmap(second)
        (model,) = gpu.models()
    assert mapped.evidence == "mapped"
    assert mapped.bytes == first.stat().st_size + second.stat().st_size  # shards add up
    assert model.evidence == "seen-loading" and model.bytes == mapped.bytes
    assert model.seen == mapped.seen


def test_a_model_that_was_deleted_from_the_cache_is_still_remembered(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    indexes = [index_of("org/model", [blob])]
    attribution = Attribution(lambda: indexes[-1])
    source = NvmlSource(attribution, Processes(False), pci=str(tmp_path / "no-pci"))
    with GpuProcess() as child, fake_nvml.driver(scenario_with({"pid": child.pid, "used": 1})):
        source.open()
        child.map(blob)
        source.sample()
        child.unmap(blob)
        blob.unlink()
        indexes.append({})
        (model,) = source.sample().gpus[0].processes[0].models
    assert (model.repo, model.evidence) == ("org/model", "seen-loading")


def test_what_was_seen_is_forgotten_with_its_process(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    child = GpuProcess()
    gpu = Gpu0(tmp_path, index_of("org/model", [blob]), child.pid)
    child.map(blob)
    assert gpu.models() and gpu.attribution.remembered() == 1
    child.end()
    (process,) = gpu.sample().processes
    assert process.models == () and process.command is None and not process.inspectable
    assert gpu.attribution.remembered() == 0


def test_a_file_that_is_only_open_counts_as_mapped(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    with GpuProcess() as child:
        child.open(blob)
        (model,) = Gpu0(tmp_path, index_of("org/model", [blob]), child.pid).models()
    assert model.evidence == "mapped"


def test_a_file_that_is_no_weights_file_is_no_evidence(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    with GpuProcess() as child:
        child.map(blob)
        assert Gpu0(tmp_path, index_of("org/model", [blob], suffix=".json"), child.pid).models() == ()


def test_a_file_of_another_cache_is_no_evidence(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    (stranger,) = cached_model(tmp_path / "elsewhere", "org/model", COMMIT)
    with GpuProcess() as child:
        child.map(stranger)
        assert Gpu0(tmp_path, index_of("org/model", [blob]), child.pid).models() == ()


def test_maps_that_show_another_device_are_matched_by_inode_and_repo_folder(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    device, number = inode(blob)
    named = [("org/model", COMMIT, "model.safetensors", 1), ("org/other", COMMIT, "model.safetensors", 1)]
    with GpuProcess() as child:
        child.map(blob)
        (model,) = Gpu0(tmp_path, {(device + 1, number): named[:1]}, child.pid).models()
        assert model.repo == "org/model"
        assert Gpu0(tmp_path, {(device + 1, number): named[1:]}, child.pid).models() == ()


def test_a_blob_of_two_revisions_names_neither_and_of_two_repos_names_the_one_that_explains_more(
    tmp_path: Path,
) -> None:
    shared, own = cached_model(tmp_path / "hub", "org/big", COMMIT, ("a.safetensors", "b.safetensors"))
    index: Index = {
        inode(shared): [
            ("org/big", COMMIT, "a.safetensors", 10),
            ("org/big", OTHER, "a.safetensors", 10),
            ("org/small", OTHER, "x.safetensors", 10),
        ],
        inode(own): [("org/big", COMMIT, "b.safetensors", 5)],
    }
    with GpuProcess() as child:
        gpu = Gpu0(tmp_path, index, child.pid)
        child.map(shared)
        assert [(m.repo, m.revision) for m in gpu.models()] == [("org/big", None), ("org/small", OTHER)]
        child.unmap(shared)
        child.map(own)
        (model,) = gpu.models()
    assert (model.repo, model.revision, model.bytes) == ("org/big", COMMIT, 15)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--model", "org/model"], True),
        (["--model=org/model@main"], True),
        (["/home/me/hub/models--org--model/snapshots/x/model.safetensors"], True),
        (["--model", "org/model-v2"], False),
        (["--model", "my-org/model"], False),
        (["/data/org/model"], False),
        (["org/model/sub"], False),
    ],
)
def test_a_repo_of_the_cache_on_the_command_line(tmp_path: Path, words: list[str], named: bool) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    with GpuProcess(*words) as child:
        found = Gpu0(tmp_path, index_of("org/model", [blob]), child.pid).models()
    assert [(m.repo, m.evidence, m.bytes) for m in found] == ([("org/model", "command-line", None)] if named else [])


def test_the_strongest_evidence_is_shown_and_a_report_outranks_all(tmp_path: Path) -> None:
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    with GpuProcess("--model", "org/model") as child:
        gpu = Gpu0(tmp_path, index_of("org/model", [blob]), child.pid)
        evidence: list[str] = []

        def note() -> None:
            (model,) = gpu.models()
            evidence.append(model.evidence)

        note()
        child.map(blob)
        note()
        child.unmap(blob)
        note()
        gpu.attribution.report(child.pid, None, "org/model", COMMIT, 123)
        note()
        assert gpu.models()[0].bytes == 123
        gpu.attribution.withdraw(child.pid, "org/model")
        note()
    assert evidence == ["command-line", "mapped", "seen-loading", "reported", "command-line"]


def test_a_report_of_a_process_with_another_start_is_not_believed(tmp_path: Path) -> None:
    with GpuProcess() as child:
        gpu = Gpu0(tmp_path, {}, child.pid)
        ticks = start_ticks(child.pid)
        assert ticks is not None
        gpu.attribution.report(child.pid, ticks - 1, "org/model", COMMIT, 1)
        assert gpu.models() == ()
        gpu.attribution.report(child.pid, ticks, "org/model", COMMIT, 1)
        assert [m.evidence for m in gpu.models()] == ["reported"]


def test_the_index_is_not_asked_for_without_processes(tmp_path: Path) -> None:
    def never() -> Index:
        raise AssertionError("asked for the index")

    source = NvmlSource(Attribution(never), Processes(False), pci=str(tmp_path / "no-pci"))
    with fake_nvml.driver(scenario_with()):
        source.open()
        assert source.sample().available


def test_in_a_container_a_pid_is_believed_only_of_a_process_that_uses_cuda(tmp_path: Path) -> None:
    library = tmp_path / "libcuda.so.1"
    write_safetensors(library)
    with GpuProcess("secret-of-somebody-else") as child:
        gpu = Gpu0(tmp_path, {}, child.pid, nested=True)
        stranger = gpu.sample().processes[0]
        child.map(library)
        known = gpu.sample().processes[0]
    assert stranger.host_pid and not stranger.inspectable and "host pid" in str(stranger.note)
    assert stranger.command is None and stranger.user is None and stranger.ticks is None
    assert stranger.memory == 2**30
    assert not known.host_pid and known.inspectable and "secret-of-somebody-else" in str(known.command)


@pytest.mark.parametrize(
    ("cgroup", "shown"),
    [
        (f"12:pids:/docker/{'ab' * 32}\n", "abababababab"),
        (f"0::/system.slice/docker-{'cd' * 32}.scope\n", "cdcdcdcdcdcd"),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{'ef' * 32}.scope\n", "efefefefefef"),
        (f"0::/machine.slice/libpod-{'01' * 32}.scope/container\n", "010101010101"),
        ("0::/system.slice/slurmstepd.scope/job_123/step_0/user\n", "slurm job 123"),
        ("0::/user.slice/user-1000.slice/session-1.scope\n", None),
        (f"0::/{'ab' * 31}\n", None),
    ],
)
def test_the_container_of_a_process(cgroup: str, shown: str | None) -> None:
    assert container(cgroup.encode()) == shown


def test_a_process_of_somebody_else_is_listed_as_not_inspectable(tmp_path: Path) -> None:
    """Process 1 belongs to root; a root that runs this test looks at it as nobody."""
    if Path("/proc/1").stat().st_uid == os.geteuid() != 0:
        pytest.skip("in this container process 1 is this user's own")
    code = (
        "import os\n"
        "from cachetop.gpu.processes import Processes; from cachetop.gpu.attribution import Attribution\n"
        "from cachetop.gpu.records import Gpu, Gpus, Process\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "who = Processes(False).describe(1)\n"
        "row = Process(pid=1, user=who.user, command=who.command, memory=1, ticks=who.ticks)\n"
        "gpu = Gpu(index=0, uuid=None, name='x', sm=None, memory=None, utilization=None, temperature=None,\n"
        "          power=None, processes=(row,), unattributed=None)\n"
        "seen = Attribution(lambda: {}).attach(Gpus(gpus=(gpu,))).gpus[0].processes[0]\n"
        "print(who.user is not None, who.inspectable, seen.inspectable, who.command is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["True", "False", "False", "True"], done.stderr


def row_of(tmp_path: Path, *words: str) -> Process:
    with GpuProcess(*words) as child:
        return Gpu0(tmp_path, {}, child.pid).sample().processes[0]


def test_who_a_process_is(tmp_path: Path) -> None:
    before = time.time()
    row = row_of(tmp_path, "two words")
    assert row.command is not None and row.command.endswith("two words")
    assert row.user and row.inspectable and row.ticks
    assert row.started is not None and abs(row.started - before) < 30


@pytest.mark.parametrize(
    "words",
    [
        ("--hf-token", "s3cr3t of mine"),
        ("--hf-token=s3cr3t of mine",),
        ("--api-key", "s3cr3t"),
        ("HF_TOKEN=s3cr3t",),
        ("--url", "https://me:s3cr3t@example.org/x"),
        ("hf_s3cr3ts3cr3ts3cr3t",),
    ],
)
def test_secrets_on_a_command_line_are_never_shown(tmp_path: Path, words: tuple[str, ...]) -> None:
    row = row_of(tmp_path, *words, "after")
    assert row.command is not None
    assert "s3cr3t" not in row.command and "of mine" not in row.command and row.command.endswith("after")


def test_a_hostile_command_line_is_one_harmless_line(tmp_path: Path) -> None:
    row = row_of(tmp_path, "\x1b[31mred\n\u202egnp.exe", "x" * 100_000)
    assert row.command is not None and row.command.isprintable() and len(row.command) <= 4096


def test_a_loop_of_samples_costs_little(tmp_path: Path) -> None:
    """A sample with 4 processes and 50,000 cached files costs far less processor time than the second between two."""
    (blob,) = cached_model(tmp_path / "hub", "org/model", COMMIT)
    index = {(99, number): [("org/model", COMMIT, "model.safetensors", 1)] for number in range(50_000)}
    children = [GpuProcess() for _ in range(4)]
    try:
        for child in children:
            child.map(blob)
        gpu = Gpu0(tmp_path, index, *(child.pid for child in children))
        gpu.sample()
        began = time.process_time()
        gpu.sample()
        took = time.process_time() - began
    finally:
        for child in children:
            child.end()
    assert took < 0.25


def test_a_worker_says_what_its_allocator_has_and_the_rest_is_the_context(tmp_path: Path) -> None:
    with GpuProcess() as child:
        gpu = Gpu0(tmp_path, {}, child.pid)
        gpu.attribution.report_allocator(child.pid, None, 300 * 2**20, 400 * 2**20)
        (process,) = gpu.sample().processes
        assert process.allocator is not None
        assert (process.allocator.allocated, process.allocator.reserved) == (300 * 2**20, 400 * 2**20)
        assert process.memory is not None and process.context == process.memory - 400 * 2**20
        gpu.attribution.report_allocator(child.pid, None, 1, 2**31)  # more than the driver counts: it is not yet told
        (process,) = gpu.sample().processes
        assert process.allocator is not None and process.context is None
    assert gpu.sample().processes[0].allocator is None


def test_an_allocator_without_its_gpu_is_not_guessed_onto_two(tmp_path: Path) -> None:
    attribution = Attribution(lambda: {})
    source = NvmlSource(attribution, Processes(False), pci=str(tmp_path / "no-pci"))
    scenario = fake_nvml.load("two_gpus")
    with GpuProcess() as child:
        for device in scenario["devices"]:
            device["processes"] = [{"pid": child.pid, "used": 2**20}]
        attribution.report_allocator(child.pid, None, 1, 2)
        with fake_nvml.driver(scenario):
            source.open()
            assert [gpu.processes[0].allocator for gpu in source.sample().gpus] == [None, None]
            attribution.report_allocator(child.pid, None, 3, 4, uuid=scenario["devices"][1]["uuid"])
            first, second = source.sample().gpus
    assert first.processes[0].allocator is None
    assert second.processes[0].allocator is not None and second.processes[0].allocator.reserved == 4


class Owned(NamedTuple):
    """As the hub's scanner names an inode, with the type of the repo."""

    repo: str
    revision: str | None
    file: str | None
    size: int
    type: str


def test_a_dataset_is_no_model(tmp_path: Path) -> None:
    data, model = cached_model(tmp_path / "hub", "org/both", COMMIT, ("data.bin", "model.bin"))
    index = {
        inode(data): [Owned("org/images", COMMIT, "data.bin", 5, "dataset")],
        inode(model): [Owned("org/model", COMMIT, "model.bin", 7, "model")],
    }
    with GpuProcess("--data", "org/images") as child:
        child.map(data)
        child.map(model)
        assert [held.repo for held in Gpu0(tmp_path, index, child.pid).models()] == ["org/model"]


def test_of_many_idle_processes_each_sample_looks_at_some_and_in_the_end_at_all(tmp_path: Path) -> None:
    blobs = cached_model(tmp_path / "hub", "org/model", COMMIT, ("model.safetensors",))
    with ExitStack() as stack:
        children = [stack.enter_context(GpuProcess()) for _ in range(7)]
        gpu = Gpu0(tmp_path, index_of("org/model", blobs), *(child.pid for child in children))
        gpu.sample()
        for child in children:
            child.map(blobs[0])
        for _ in range(4):
            found = gpu.sample()
        assert [process.models[0].evidence for process in found.processes] == ["mapped"] * 7
