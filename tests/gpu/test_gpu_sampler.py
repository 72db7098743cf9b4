"""The sampling thread: a driver that hangs holds nobody, one that comes and goes is followed."""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachetop.gpu.records import Gpus
from cachetop.gpu.sampler import Sampler, sample_once
from cachetop.gpu.simulated import SimulatedSource
from cachetop.gpu.source import NvmlSource
from support import fake_nvml
from support.gpu_process import scenario_with


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[NvmlSource]:
    yield NvmlSource(pci=str(tmp_path / "no-pci"))


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "cachetop-gpus"]


def test_samples_come_one_after_the_other_from_one_daemon_thread(source: NvmlSource) -> None:
    with fake_nvml.driver("two_gpus") as fake:
        sampler = Sampler(source, interval=0.01)
        assert not sampler.latest().available and "not been read" in str(sampler.latest().reason)
        seen: list[Gpus] = []
        unsubscribe = sampler.subscribe(seen.append)
        sampler.start()
        sampler.start()
        until(lambda: len(seen) >= 3)
        assert len(threads()) == 1 and threads()[0].daemon
        unsubscribe()
        sampler.stop()
        until(lambda: not threads())
    assert all(one.available and one.waiting is None for one in seen)
    assert [one.time for one in seen] == sorted({one.time for one in seen})
    assert fake.threads and threading.get_ident() not in fake.threads and len(fake.threads) == 1


def test_a_subscriber_that_fails_does_not_stop_the_others(source: NvmlSource) -> None:
    def broken(_: Gpus) -> None:
        raise RuntimeError("a widget that is gone")

    with fake_nvml.driver("two_gpus"):
        sampler = Sampler(source, interval=0.01)
        seen: list[Gpus] = []
        sampler.subscribe(broken)
        sampler.subscribe(seen.append)
        sampler.start()
        until(lambda: len(seen) >= 2)
        sampler.stop()
        until(lambda: not threads())


def test_a_hanging_call_shows_the_last_sample_and_for_how_long_there_was_no_answer(
    source: NvmlSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachetop.gpu.sampler.PATIENCE", 0.05)
    scenario = scenario_with()
    clock = [0.0]
    scenario["timeline"] = [{"t": 1.0, "set": {"delay.nvmlDeviceGetPowerUsage": -1}}]
    with fake_nvml.driver(scenario, lambda: clock[0]) as fake:
        sampler = Sampler(source, interval=0.01)
        sampler.start()
        until(lambda: sampler.latest().available)
        clock[0] = 2.0
        until(lambda: sampler.latest().waiting)
        hung = sampler.latest()
        assert hung.gpus[0].temperature == 41 and "has not answered for" in str(hung.reason)
        assert hung.waiting is not None and hung.waiting >= 0.05
        until(lambda: (sampler.latest().waiting or 0) > (hung.waiting or 0))

        began = time.monotonic()
        sampler.stop()
        assert time.monotonic() - began < 0.5
        assert len(threads()) == 1  # still inside the driver
        sampler.start()
        assert len(threads()) == 1  # no second call beside the one that hangs
        clock[0] = 0.0
        fake.release()
        until(lambda: sampler.latest().waiting is None)
        sampler.stop()
        until(lambda: not threads())


def test_one_sample_of_a_driver_that_hangs_comes_back_in_time(source: NvmlSource) -> None:
    for scenario in ("hanging", "hanging_init"):
        with fake_nvml.driver(scenario):
            began = time.monotonic()
            gpus = sample_once(source, timeout=0.2)
            assert 0.2 <= time.monotonic() - began < 2.0
        assert not gpus.available and gpus.gpus == ()
        assert gpus.waiting is not None and gpus.waiting >= 0.2 and "has not answered" in str(gpus.reason)


def test_a_program_ends_while_the_driver_hangs(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from cachetop.gpu.sampler import Sampler\nfrom cachetop.gpu.source import NvmlSource\n"
        "sampler = Sampler(NvmlSource(pci='/nowhere'))\nsampler.start()\n"
        "import pynvml\n"
        "deadline = time.monotonic() + 20\n"
        "while 'nvmlDeviceGetUtilizationRates' not in pynvml.nvmlLib.calls and time.monotonic() < deadline:\n"
        "    time.sleep(0.01)\n"
        "sampler.stop()\nprint('stopped', pynvml.nvmlLib.calls['nvmlDeviceGetUtilizationRates'])\n"
    )
    environment = fake_nvml.environment("hanging", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped 1\n", "")


def test_a_driver_that_comes_and_goes_is_followed(source: NvmlSource) -> None:
    scenario = scenario_with()
    scenario["init"] = "DRIVER_NOT_LOADED"
    scenario["timeline"] = [
        {"t": 1, "set": {"init": None}},
        {"t": 2, "set": {"init": None, "count_error": "UNKNOWN"}},
        {"t": 3, "set": {"count_error": None}},
    ]
    clock = [0.0]
    with fake_nvml.driver(scenario, lambda: clock[0]):
        sampler = Sampler(source, interval=0.01, retry=0.01)
        sampler.start()
        until(lambda: "modprobe" in str(sampler.latest().reason))
        clock[0] = 1.0
        until(lambda: sampler.latest().available)
        assert sampler.latest().reason is None
        clock[0] = 2.0
        until(lambda: "unknown error" in str(sampler.latest().reason))
        assert not sampler.latest().available
        clock[0] = 3.0
        until(lambda: sampler.latest().available)
        sampler.stop()
        until(lambda: not threads())


def test_without_a_driver_it_is_not_asked_for_again_at_once(source: NvmlSource) -> None:
    with fake_nvml.driver("no_driver") as fake:
        sampler = Sampler(source, interval=0.001)
        sampler.start()
        until(lambda: "No NVIDIA driver" in str(sampler.latest().reason))
        began = time.monotonic()
        sampler.stop()
        until(lambda: not threads())
        assert time.monotonic() - began < 2.0  # the wait until the next try is cut short
    assert fake.calls == {"nvmlInitWithFlags": 1}


def test_it_samples_more_often_while_memory_grows() -> None:
    source = SimulatedSource()
    times: list[float] = []
    sampler = Sampler(source, interval=0.4)

    def grow(_: Gpus) -> None:
        times.append(time.monotonic())
        if len(times) < 6:
            source.hold("model", len(times) * 2**20)

    sampler.subscribe(grow)
    sampler.start()
    until(lambda: len(times) >= 8)
    sampler.stop()
    until(lambda: not threads())
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps[1:5]) < 0.3 <= gaps[6]


class Broken:
    def open(self) -> None:
        pass

    def sample(self) -> Gpus:
        raise RuntimeError("no such field")


def test_a_source_with_a_bug_is_a_reason_and_not_the_end_of_the_thread() -> None:
    gpus = sample_once(Broken())
    assert not gpus.available and "no such field" in str(gpus.reason)


def test_the_simulated_gpu_follows_what_it_is_told_and_says_that_it_is_simulated() -> None:
    source = SimulatedSource()
    idle = sample_once(source).gpus[0]
    source.hold("a model", 2**30)
    busy = sample_once(source).gpus[0]
    source.drop("a model")
    after = sample_once(source).gpus[0]
    assert idle.simulated and "simulated" in idle.name and "simulated" in str(idle.uuid)
    assert idle.processes == () and after.memory == idle.memory
    assert idle.memory is not None and busy.memory is not None
    assert busy.memory.used - idle.memory.used >= 2**30
    (process,) = busy.processes
    assert "simulated" in str(process.command) and process.pid == os.getpid()
    assert [(m.repo, m.bytes) for m in process.models] == [("a model (simulated)", 2**30)]
    assert process.memory is not None and busy.unattributed == busy.memory.used - process.memory
    for gpu in (idle, busy):
        assert gpu.memory is not None and gpu.memory.reserved is not None
        assert gpu.memory.total == gpu.memory.used + gpu.memory.free + gpu.memory.reserved
    with pytest.raises(ValueError, match="cannot hold"):
        source.hold("too much", 24 * 2**30)


@pytest.mark.parametrize("scenario", ["hanging", "hanging_init"])
def test_the_app_says_that_the_driver_hangs_and_leaves_at_once_all_the_same(scenario: str, tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = bytearray()

    def read() -> None:
        try:
            while part := os.read(terminal, 65_536):
                seen.extend(part)
        except OSError:
            pass  # the app has closed its end

    app = subprocess.Popen(
        [sys.executable, "-m", "cachetop_tui"], stdin=end, stdout=end, stderr=end, start_new_session=True,
        env={**fake_nvml.environment(scenario, tmp_path), "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(end)
    threading.Thread(target=read, daemon=True).start()
    try:
        until(lambda: b"no answer for" in seen, 60)
        os.write(terminal, b"q")
        assert app.wait(20) == 0
    finally:
        app.kill()
        app.wait()
        os.close(terminal)
