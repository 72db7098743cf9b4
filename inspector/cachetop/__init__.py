"""cachetop: what is in the model caches, the kernel caches and VRAM, and why a run was slow or fast.

Importing this package loads nothing beyond the standard library; each name below is loaded when it is
first used (PEP 562), and none of them ever imports Textual, torch, docling or IPython.
"""

from cachetop._version import __version__

TYPE_CHECKING = False  # importing typing for it would cost a third of the start
if TYPE_CHECKING:
    from cachetop.api import convert, gpus, jobs, kernels, models, status

__all__ = ["__version__", "convert", "gpus", "jobs", "kernels", "models", "status"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from cachetop import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
