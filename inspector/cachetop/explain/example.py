"""The figures that the pages in docs/ show, since a page has no machine of its own."""

from __future__ import annotations

from cachetop.explain.figures import CacheFigure, Figures

_LAYOUT = 171_658_996
_TABLES = 358_000_000
_GRANITE = 515_000_000

EXAMPLE = Figures(
    hub_path="~/.cache/huggingface/hub",
    hub_variable=None,
    hub_exists=True,
    hf_home="~/.cache/huggingface",
    token=True,
    repos=3,
    models_size=_LAYOUT + _TABLES + _GRANITE,
    largest=("ibm-granite/granite-docling-258M", _GRANITE),
    caches=(
        CacheFigure("triton", "~/.triton/cache", None, True, 35, 4_251_648),
        CacheFigure("inductor", "/tmp/torchinductor_user", None, False, 0, 0),
        CacheFigure("nvrtc", "~/.cache/torch/kernels", None, False, 0, 0),
        CacheFigure("cuda-driver", "~/.nv/ComputeCache", None, False, 0, 0),
        CacheFigure("torch-extensions", "~/.cache/torch_extensions", None, False, 0, 0),
    ),
    entry_median=90_112,
    build_median=137.0,
    build_total=5589.0,
    by_sm=tuple((f"sm_{sm}", 5) for sm in (75, 80, 86, 89, 90, 100, 120)),
    known=35,
    usable=None,
    gpus=(),
)
