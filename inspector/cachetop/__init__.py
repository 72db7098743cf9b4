"""cachetop: what is in the model caches, the kernel caches and VRAM, and why a run was slow or fast.

Importing this package loads nothing beyond the standard library; each name below is loaded when it is
first used (PEP 562), and none of them ever imports Textual, torch, docling or IPython.
"""

from cachetop._version import __version__

TYPE_CHECKING = False  # importing typing for it would cost a third of the start
if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cachetop.api import convert, gpus, jobs, kernels, models, plan, status
    from cachetop.notebook.track import track
    from cachetop.notebook.view import live

__all__ = ["__version__", "convert", "gpus", "jobs", "kernels", "live", "models", "plan", "status", "track"]
_NOTEBOOK = {"track": "cachetop.notebook.track", "live": "cachetop.notebook.view"}


def __getattr__(name: str) -> object:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(_NOTEBOOK.get(name, "cachetop.api")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """`%load_ext cachetop`: the magics `%cachetop` and `%%cachetop`."""
    from cachetop.notebook import extension

    extension.load(shell)


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """`%unload_ext cachetop`: everything that loading added is taken away again."""
    from cachetop.notebook import extension

    extension.unload(shell)
