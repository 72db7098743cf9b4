"""What the GPU tests share: the driver in C, built once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import nvml_twin


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libnvidia-ml.so.1 of the twin in C, compiled against NVIDIA's own nvml.h."""
    lacks = nvml_twin.missing()
    if lacks and not os.environ.get("CI"):
        pytest.skip(f"the driver in C cannot be built: {lacks}")
    assert not lacks, lacks
    return nvml_twin.build(tmp_path_factory.mktemp("nvml"))
