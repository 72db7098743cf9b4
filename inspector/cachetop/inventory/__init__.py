"""The live picture: scans once, then costs what changed, and tells whoever listens.

Four feeds, each a daemon thread of its own, so that a slow disk cannot hold up a new kernel and a hung
driver holds up nobody: `hub_feed`, `kernel_feed`, `gpu_feed`, `run_feed`. `Inventory` joins them.
"""

from cachetop.inventory.live import Inventory
from cachetop.inventory.updates import (
    GpusChanged,
    KernelsChanged,
    Listener,
    ModelsChanged,
    RunsChanged,
    Update,
    WatchChanged,
)

__all__ = [
    "GpusChanged",
    "Inventory",
    "KernelsChanged",
    "Listener",
    "ModelsChanged",
    "RunsChanged",
    "Update",
    "WatchChanged",
]
