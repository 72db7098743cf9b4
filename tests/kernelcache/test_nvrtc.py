"""PyTorch's NVRTC cache: names as PyTorch writes them, cubins that an NVIDIA assembler wrote."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cachetop.kernelcache import environments
from cachetop.kernelcache.records import Kernels

Look = Callable[..., Kernels]
SHA1 = hashlib.sha1(b"source").hexdigest()


def _cubin(compiled: Path, sm: int) -> bytes:
    for path in sorted(compiled.glob("*/add_kernel.json")):
        if f'"arch": {sm},' in path.read_text():
            return path.with_suffix(".cubin").read_bytes()
    raise LookupError(sm)


@pytest.fixture
def root(compiled: Path, tmp_path: Path) -> Path:
    (tmp_path / f"reduction_prod_arch7.5_nvrtc13.0_sass_15123_{SHA1}").write_bytes(_cubin(compiled, 75))
    (tmp_path / f"kaiser_window_vectorized4_arch8.6_nvrtc12.1_sass_13163_{SHA1}").write_bytes(_cubin(compiled, 86))
    (tmp_path / f"erfcx_arch12.0_nvrtc13.0_ptx_900_{SHA1}").write_bytes(b".version 9.0\n.target sm_120\n")
    return tmp_path


def test_names_sms_and_releases(root: Path, look: Look) -> None:
    found = look(root, "nvrtc")
    assert {(entry.name, entry.sm, entry.producer.cuda, entry.state) for entry in found.entries} == {
        ("reduction_prod", ("sm_75",), "13.0", "complete"),
        ("kaiser_window_vectorized4", ("sm_86",), "12.1", "complete"),
        ("erfcx", ("sm_120",), "13.0", "complete"),
    }
    assert {entry.target for entry in found.entries} == {"sm_75", "sm_86", None}
    assert found.size_on_disk == sum(path.stat().st_blocks * 512 for path in root.iterdir())


def test_entries_are_looked_up_by_exact_sm_machine_code_or_not(root: Path, look: Look) -> None:
    found = look(root, "nvrtc", ["sm_89"])
    assert len(found.entries) == 3
    assert all(entry.stale[0].rule == "foreign-sm" for entry in found.entries)


def test_a_release_of_nvrtc_that_no_torch_here_brings(
    world: Path, root: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = world / "venvs" / "a"
    packages = prefix / "lib" / "python3.11" / "site-packages"
    (packages / "torch-2.14.1.dist-info").mkdir(parents=True)

    def gone() -> dict[str | None, list[str]]:
        monkeypatch.setattr(environments, "_found", None)
        monkeypatch.setattr(environments, "_prefixes", lambda env: [str(prefix)])
        found = look(root, "nvrtc").entries
        return {entry.name: [one.rule for one in entry.stale] for entry in found if entry.stale}

    assert not gone()  # its torch may bring NVRTC in another way
    (packages / "nvidia_cuda_nvrtc_cu13-13.0.88.dist-info").mkdir()
    assert gone() == {"kaiser_window_vectorized4": ["toolchain-gone"]}
    (packages / "nvidia_cuda_nvrtc_cu12-12.1.105.dist-info").mkdir()
    assert not gone()


def test_a_truncated_file_under_its_final_name(root: Path, look: Look) -> None:
    file = next(root.glob("reduction_prod*"))
    file.write_bytes(file.read_bytes()[:3000])
    entry = next(entry for entry in look(root, "nvrtc").entries if entry.name == "reduction_prod")
    assert [one.rule for one in entry.stale] == ["truncated"]


def test_a_file_being_written(root: Path, look: Look) -> None:
    file = root / f"erfcx_arch7.5_nvrtc13.0_sass_900_{SHA1}_tmp_4711"
    file.write_bytes(b"\x7fELF")
    states = {entry.key: entry.state for entry in look(root, "nvrtc").entries}
    assert states[file.name] == "compiling"
    os.utime(file, (1, 1))
    entry = next(entry for entry in look(root, "nvrtc").entries if entry.key == file.name)
    assert (entry.state, [one.rule for one in entry.stale]) == ("orphan", ["orphan"])


def test_other_files_are_none_of_it(root: Path, look: Look) -> None:
    (root / "matmul_fp32_sm75.cubin").write_bytes(b"\x7fELF")
    (root / f"link_arch7.5_nvrtc13.0_sass_900_{SHA1}").symlink_to("/etc/passwd")
    os.mkfifo(root / f"pipe_arch7.5_nvrtc13.0_sass_900_{SHA1}")
    assert len(look(root, "nvrtc").entries) == 3


def test_a_use_is_seen(root: Path, look: Look) -> None:
    file = next(root.glob("kaiser*"))
    os.utime(file, (2_000_000_000, 1_700_000_000))
    entry = next(entry for entry in look(root, "nvrtc").entries if entry.key == file.name)
    assert (entry.last_used, entry.reused) == (2_000_000_000, True)
