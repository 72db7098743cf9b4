"""Runs when a test's subprocess starts: puts the scenario of FAKE_NVML under that process's `pynvml`."""

import os
import sys
from pathlib import Path

if os.environ.get("FAKE_NVML"):
    sys.path.append(str(Path(__file__).parents[2]))  # where `support` is
    from support import fake_nvml

    fake_nvml.install(os.environ["FAKE_NVML"])
