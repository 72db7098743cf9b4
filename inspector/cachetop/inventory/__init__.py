"""The live picture: scans once, then costs what changed, and tells whoever listens.

Five feeds, each a daemon thread of its own, so that a slow disk cannot hold up a new kernel and a hung
driver holds up nobody: `hub_feed`, `kernel_feed`, `gpu_feed`, `run_feed`, `watch_feed`. `Inventory` joins
them. It is loaded when it is first asked for: a listener needs only the updates.
"""

from typing import TYPE_CHECKING, Any

from cachetop.inventory.updates import (
    GpusChanged,
    KernelsChanged,
    Listener,
    ModelsChanged,
    RunsChanged,
    Update,
    WatchChanged,
)

if TYPE_CHECKING:
    from cachetop.inventory.live import Inventory

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


def __getattr__(name: str) -> Any:
    if name == "Inventory":
        from cachetop.inventory.live import Inventory

        return Inventory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
