"""Runs when a test's subprocess starts: puts the scenario of FAKE_NVML under that process's `pynvml`."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

if os.environ.get("FAKE_NVML"):
    _spec = spec_from_file_location("fake_nvml", Path(__file__).parents[1] / "fake_nvml.py")
    assert _spec and _spec.loader
    _fake = module_from_spec(_spec)
    sys.modules["fake_nvml"] = _fake
    _spec.loader.exec_module(_fake)
    _fake.install(os.environ["FAKE_NVML"])
