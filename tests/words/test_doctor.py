"""What `cachetop doctor` finds, in worlds made for it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import socket
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from cachetop.base.mounts import Mount
from cachetop.cli.doctor import report
from cachetop.doctor import driver, limits, places, variables, versions
from cachetop.doctor.examine import examine
from cachetop.doctor.records import Doctor, Finding
from cachetop.gpu.records import Gpu, Gpus, Memory

HEALTHY = {
    "textual": "8.2.8", "huggingface-hub": "1.33.0", "nvidia-ml-py": "13.615.71", "watchdog": "7.1.0",
    "psutil": "7.2.2", "msgspec": "0.22.0", "platformdirs": "4.14.7",
}  # fmt: skip


def find(findings: object, subject: str) -> list[Finding]:
    """The findings on one subject."""
    return [finding for finding in findings if finding.subject == subject]  # type: ignore[attr-defined]


def only(findings: object, subject: str) -> Finding:
    """The one finding on a subject."""
    (finding,) = find(findings, subject)
    return finding


def mount(kind: str, *options: str) -> Mount:
    """A mount at /cache."""
    return Mount("/cache", kind, frozenset(options), (8, 1))


def doctor(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cachetop", "doctor", *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_each_root_says_which_variable_decided(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = world / "kernels here"
    chosen.mkdir()
    monkeypatch.setenv("TRITON_CACHE_DIR", str(chosen))
    found = examine().findings
    triton = only(found, "triton cache")
    assert (triton.value, triton.reason, triton.severity) == (str(chosen), "TRITON_CACHE_DIR is set", "ok")
    missing = only(found, "nvrtc cache")
    assert missing.value == str(world / ".cache/torch/kernels")
    assert missing.severity == "note"
    assert missing.reason == "default: no variable set; not there yet"


def test_an_unreadable_root_is_an_error_with_a_fix(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world / "file").write_text("not a folder")
    monkeypatch.setenv("CUDA_CACHE_PATH", str(world / "file"))
    finding = only(examine().findings, "cuda-driver cache")
    assert finding.severity == "error"
    assert "Not a directory" in str(finding.reason)
    assert "CUDA_CACHE_PATH" in str(finding.fix)


def test_an_empty_variable_makes_a_relative_cache_and_is_told(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", "")
    found = examine().findings
    assert only(found, "hub cache").severity == "warning"
    assert only(found, "hub cache").value == "hub"
    assert [finding.fix for finding in find(found, "HF_HOME") if finding.area == "variables"] == ["unset HF_HOME"]


def test_transformers_cache_is_a_warning_because_it_is_ignored() -> None:
    finding = only(variables.findings({"TRANSFORMERS_CACHE": "/data/models"}), "TRANSFORMERS_CACHE")
    assert finding.severity == "warning"
    assert "ignored" in str(finding.reason)
    assert "HF_HUB_CACHE" in str(finding.fix)


def test_harmless_values_of_a_variable_are_not_remarked() -> None:
    env = {"CUDA_MODULE_LOADING": "LAZY", "USE_PYTORCH_KERNEL_CACHE": "1", "HF_HUB_OFFLINE": "0"}
    assert [finding.severity for finding in variables.findings(env)] == ["ok"]


def test_secrets_never_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    monkeypatch.setenv("DOCLING_ARTIFACTS_PATH", "https://me:pa55word@host/models?token=abcdef123")
    text = examine().to_json() + "\n".join(report(examine()))
    assert "hf_abc" not in text and "pa55word" not in text and "abcdef123" not in text


def test_a_login_token_beside_the_models_is_noted_and_never_read(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = world / ".cache" / "huggingface" / "token"
    token.parent.mkdir(parents=True)
    token.write_text("hf_abcdefghijklmnop")
    os.utime(token, (1, 2_000_000_000))
    found = examine()
    assert only(found.findings, "HF_HOME").severity == "note"
    assert "login token lies here" in str(only(found.findings, "HF_HOME").reason)
    assert token.stat().st_atime == 1
    monkeypatch.setenv("HF_TOKEN_PATH", str(token.rename(world / "login")))
    assert "your login token lies elsewhere" in str(only(examine().findings, "HF_HOME").reason)
    monkeypatch.setenv("HF_TOKEN_PATH", str((world / "login").rename(token.with_name("login"))))
    assert "login token lies here" in str(only(examine().findings, "HF_HOME").reason)
    assert "hf_abc" not in found.to_json()


def test_huggingface_hub_is_compared_in_process(world: Path) -> None:
    """Its constants are fixed at import: a variable set afterwards moves us and not it."""
    code = (
        "import huggingface_hub.constants, os; os.environ['HF_HUB_CACHE'] = '/moved/later';"
        "from cachetop.doctor.examine import examine;"
        'print([f.severity for f in examine().findings if f.subject == "huggingface_hub\'s cache"])'
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "['error']"
    found = json.loads(doctor("--json", HF_HUB_CACHE=str(world / "hub")).stdout)["findings"]
    assert [f["severity"] for f in found if f["subject"] == "huggingface_hub's cache"] == ["ok"]


@pytest.mark.parametrize(
    ("found", "severity", "word"),
    [
        (mount("tmpfs", "rw"), "warning", "RAM"),
        (mount("nfs4", "rw"), "warning", "polling"),
        (mount("virtiofs", "rw"), "warning", "polling"),
        (mount("fuse.s3fs", "rw"), "warning", "FUSE"),
        (mount("fuseblk", "rw"), "ok", "None"),
        (mount("overlay", "rw"), "note", "container"),
        (mount("ext4", "rw", "noatime"), "note", "last used"),
        (mount("ext4", "ro"), "note", "nothing can be added"),
        (None, "note", "does not say"),
    ],
)
def test_a_file_system_says_what_it_means_for_a_cache(
    found: Mount | None, severity: str, word: str, tmp_path: Path
) -> None:
    told = list(places.file_system(str(tmp_path), found))
    assert any(finding.severity == severity and word in str(finding.reason) for finding in told)


def test_a_file_system_that_does_not_answer_costs_its_own_room_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def gone(path: str) -> os.statvfs_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "statvfs", gone)
    told = list(places.file_system(str(tmp_path), mount("nfs4", "rw")))
    assert [finding.value for finding in told] == ["nfs4 at /cache", "?"]
    assert "Stale" in str(told[-1].reason)


def test_a_real_tmpfs_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or not os.access(shm, os.W_OK):
        pytest.fail("these tests need a tmpfs at /dev/shm")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(shm))
    told = find(examine().findings, f"disk of {shm}")
    assert told[0].severity == "warning"
    assert told[0].value == "tmpfs at /dev/shm"


def test_few_watches_left_come_with_the_command_that_raises_them() -> None:
    assert limits.judge_watches(192_536, 1_000, 0).severity == "ok"
    tight = limits.judge_watches(8_192, 8_000, 2)
    assert tight.severity == "warning"
    assert str(tight.fix).startswith("sudo sysctl fs.inotify.max_user_watches=")


def test_used_watches_are_really_counted(tmp_path: Path) -> None:
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers import Observer

    before, _ = limits.used_watches()
    observer = Observer()
    for i in range(7):
        (tmp_path / str(i)).mkdir()
        observer.schedule(FileSystemEventHandler(), str(tmp_path / str(i)))
    observer.start()
    try:
        during, _ = limits.used_watches()
    finally:
        observer.stop()
        observer.join()
    assert during - before >= 7


def test_a_state_folder_open_to_others_is_a_warning(world: Path) -> None:
    (world / "state").chmod(0o777)
    finding = only(examine().findings, "state folder")
    assert finding.severity == "warning"
    assert finding.fix == f"chmod 700 {world / 'state'}"


def test_a_socket_folder_with_a_too_long_path_is_a_warning(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = world / ("x" * 90)
    folder.mkdir()
    with pytest.raises(OSError, match="too long"):
        socket.socket(socket.AF_UNIX).bind(str(folder / "cachetop" / "worker-0123456789abcdef.sock"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    assert only(examine().findings, "sockets").severity == "warning"


def test_healthy_versions_have_no_fix_but_docling() -> None:
    told = list(versions.judge(HEALTHY, None))
    assert [finding.subject for finding in told if finding.fix] == ["docling"]
    assert only(told, "docling").severity == "note"


@pytest.mark.parametrize(
    ("more", "subject", "severity"),
    [
        ({"docling-slim": "2.143.0"}, "docling-slim", "error"),
        ({"docling-slim": "2.138.0"}, "docling", "warning"),
        ({"pynvml": "13.0.1"}, "pynvml", "warning"),
        ({"opencv-python": "5.0", "opencv-python-headless": "5.0"}, "cv2", "warning"),
        ({"docling": "2.143.0", "docling-slim": "2.143.0", "torch": "2.14.1", "rapidocr": "3.10"}, "OCR", "warning"),
    ],
)
def test_combinations_that_go_wrong(more: dict[str, str], subject: str, severity: str) -> None:
    finding = [f for f in versions.judge({**HEALTHY, **more}, None) if f.subject == subject][-1]
    assert finding.severity == severity
    assert finding.fix


@pytest.mark.parametrize(
    "more",
    [
        {"docling-slim": "2.142.1"},
        {"docling": "2.143.0", "docling-slim": "2.143.0", "torch": "2.14.1", "rapidocr": "3.10", "onnxruntime": "1.32"},
        {"opencv-python-headless": "5.0"},
    ],
)
def test_combinations_that_work(more: dict[str, str]) -> None:
    told = versions.judge({**HEALTHY, **more}, None)
    assert {finding.severity for finding in told} <= {"ok", "note"}


def test_a_missing_requirement_is_an_error() -> None:
    told = versions.judge({k: v for k, v in HEALTHY.items() if k != "nvidia-ml-py"}, None)
    assert only(told, "nvidia-ml-py").fix == "pip install nvidia-ml-py"


def test_installed_versions_are_those_of_this_python() -> None:
    from importlib.metadata import version

    found = versions.installed()
    for name in ("textual", "msgspec", "platformdirs"):
        assert found[name] == version(name)
    assert found["huggingface-hub"] == version("huggingface_hub")


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("__version__ = '2.14.1'\ncuda: Optional[str] = '13.0'\nhip = None\n", "13.0"),
        ("__version__ = '2.14.1+cpu'\ncuda = None\n", None),
        ("\0" * 100_000, None),
    ],
)
def test_the_cuda_of_torch_is_read_without_importing_it(
    text: str, cuda: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "version.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert versions.cuda_of_torch() == cuda


def gpus(driver_version: str, problem: str | None = None) -> Gpus:
    """One GPU under a driver."""
    memory = Memory(total=24 * 2**30, used=0, free=24 * 2**30, reserved=0)
    gpu = Gpu(
        index=0, uuid="GPU-1", name="NVIDIA \x1b[31mL4", sm="sm_89", memory=memory, utilization=0, temperature=40,
        power=20.0, processes=(), unattributed=0, problem=problem,
    )  # fmt: skip
    return Gpus(available=True, driver=driver_version, gpus=(gpu,))


def test_no_driver_is_a_note_with_its_reason() -> None:
    (finding,) = driver.judge(Gpus(available=False, reason="No NVIDIA driver is installed here."), "13.0")
    assert finding.severity == "note"
    assert finding.reason == "No NVIDIA driver is installed here."


def test_a_driver_too_old_for_the_installed_torch_is_an_error() -> None:
    assert only(driver.judge(gpus("570.124.06"), "13.0"), "NVIDIA driver").severity == "error"
    assert only(driver.judge(gpus("580.65.06"), "13.0"), "NVIDIA driver").severity == "ok"
    assert only(driver.judge(gpus("570.124.06"), "12.8"), "NVIDIA driver").severity == "ok"
    assert only(driver.judge(gpus("570.124.06"), None), "NVIDIA driver").severity == "ok"


def test_a_gpu_is_named_in_plain_text_and_a_lost_one_is_a_warning() -> None:
    (_, gpu) = driver.judge(gpus("580.65.06"), None)
    assert gpu.value == "NVIDIA \ufffd[31mL4, sm_89, 24.0 GiB"
    assert only(driver.judge(gpus("580.65.06", "GPU is lost"), None), "GPU 0").severity == "warning"


def test_json_has_the_documented_shape(world: Path) -> None:
    told = doctor("--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["schema"] == "cachetop.doctor/1"
    assert {finding["area"] for finding in found["findings"]} == {
        "places", "variables", "limits", "versions", "driver", "terminal",
    }  # fmt: skip
    for finding in found["findings"]:
        assert set(finding) == {"area", "subject", "value", "reason", "severity", "fix"}
        assert finding["severity"] in ("ok", "note", "warning", "error")
        assert finding["severity"] in ("ok", "note") or finding["fix"] or finding["reason"]


def test_an_error_finding_is_exit_code_1_and_a_warning_0(world: Path) -> None:
    assert doctor(TRANSFORMERS_CACHE="/x").returncode == 0
    (world / "file").write_text("")
    told = doctor(TRITON_CACHE_DIR=str(world / "file"))
    assert told.returncode == 1
    assert "X triton cache" in told.stdout
    assert "1 error" in told.stdout


def test_the_doctor_changes_nothing(world: Path) -> None:
    def picture() -> list[tuple[str, int]]:
        return sorted((str(path), path.lstat().st_mtime_ns) for path in world.rglob("*"))

    before = picture()
    assert doctor().returncode == 0
    assert picture() == before


def test_the_doctor_imports_neither_torch_nor_docling_nor_textual() -> None:
    code = (
        "import sys; from cachetop.doctor.examine import examine; examine();"
        "print(sorted({'torch', 'docling', 'textual', 'transformers', 'IPython'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "[]"


def test_a_terminal_is_recognised_as_one() -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, b"\x28\x00\x64\x00" + b"\x00" * 4)
    process = subprocess.Popen(
        [sys.executable, "-m", "cachetop", "doctor"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TMUX": "/tmp/tmux-0/default,1,0", "COLORTERM": "truecolor"},
    )
    os.close(follower)
    text = b""
    try:
        while chunk := os.read(leader, 65536):
            text += chunk
    except OSError:
        pass  # the other end closed
    os.close(leader)
    assert process.wait(timeout=60) == 0
    assert b"input and output are no terminal" not in text
    assert b"extended-keys always" in text
    assert b"16 million" in text


def test_the_report_counts_what_it_shows() -> None:
    findings = tuple(
        Finding(area="a", subject="s", value="v", severity=severity, fix="do it" if severity == "error" else None)
        for severity in ("ok", "note", "note", "error")
    )
    lines = report(Doctor(findings=findings))
    assert lines[-1] == "1 error, 2 notes"
    assert sum("fix: do it" in line for line in lines) == 1


def test_a_broken_configuration_is_an_error_with_a_fix(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = world / "config.toml"
    broken.write_text("[prune\nundo = 1")
    monkeypatch.setenv("CACHETOP_CONFIG", str(broken))
    done = subprocess.run(
        [sys.executable, "-m", "cachetop", "doctor", "--json"], capture_output=True, text=True, check=False
    )
    (found,) = [one for one in json.loads(done.stdout)["findings"] if one["subject"] == "configuration"]
    assert done.returncode == 1
    assert found["severity"] == "error" and found["reason"] and str(broken) in found["fix"]
