"""`cachetop.live()`: the live view for notebooks that have no magics, such as marimo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachetop.notebook.widget import LiveWidget


def live() -> LiveWidget:
    """Models, kernels and GPUs as a widget that looks once a second while it is seen; `.stop()` ends it.

    In marimo: `mo.ui.anywidget(cachetop.live())`; in Jupyter `%cachetop live` gives the same. Raises ImportError with
    a sentence where anywidget is not installed.
    """
    try:
        from cachetop.notebook.widget import LiveWidget
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(("anywidget", "ipywidgets", "traitlets", "IPython")):
            raise
        raise ImportError("the live view needs anywidget: pip install 'cachetop[jupyter]'") from error
    return LiveWidget()
