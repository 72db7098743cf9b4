"""The decoding of the offline layout network, against its definition written out cell by cell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachetop.conversion.worker import offline

STRIDES = (8, 16, 32, 64)
CELLS = [math.ceil(800 / stride) * math.ceil(608 / stride) for stride in STRIDES]
BINS = 8


@settings(max_examples=20)
@given(st.integers(0, 3), st.integers(0, 10**6), st.lists(st.integers(0, BINS - 1), min_size=4, max_size=4))
def test_a_sharp_distribution_is_a_distance_from_its_cell(level: int, pick: int, bins: list[int]) -> None:
    cell = pick % CELLS[level]
    scores = [np.zeros((1, count, 3), np.float32) for count in CELLS]
    distances = [np.zeros((1, count, 4 * BINS), np.float32) for count in CELLS]
    scores[level][0, cell, 1] = 0.9
    for side, index in enumerate(bins):
        distances[level][0, cell, side * BINS + index] = 100
    every, boxes = offline._decode(scores, distances)
    row = sum(CELLS[:level]) + cell
    assert every[row].tolist() == pytest.approx([0, 0.9, 0])

    stride = STRIDES[level]
    down, across = divmod(cell, math.ceil(608 / stride))
    x, y = (across + 0.5) * stride, (down + 0.5) * stride
    left, top, right, bottom = (stride * index for index in bins)
    wanted = ((x - left) / 608, (y - top) / 800, (x + right) / 608, (y + bottom) / 800)
    assert boxes[row].tolist() == pytest.approx([min(max(side, 0), 1) for side in wanted], abs=1e-5)
    assert offline._distinct(boxes, every[:, 1]) == [row]
    assert offline._distinct(boxes, every[:, 0]) == []


UNIT = st.floats(0, 1, width=32)


@given(st.lists(st.tuples(UNIT, UNIT, UNIT, UNIT, UNIT), max_size=30))
def test_kept_boxes_are_sure_and_differ(raw: list[tuple[float, float, float, float, float]]) -> None:
    boxes = np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d, _ in raw]).reshape(-1, 4)
    scores = np.array([score for *_, score in raw])
    kept = offline._distinct(boxes, scores)
    assert [float(scores[index]) for index in kept] == sorted((float(scores[index]) for index in kept), reverse=True)
    assert all(scores[index] > 0.4 for index in kept)

    def overlap(one: int, two: int) -> float:
        sides = np.minimum(boxes[one, 2:], boxes[two, 2:]) - np.maximum(boxes[one, :2], boxes[two, :2])
        shared = float(sides.clip(0).prod())
        area = [float((boxes[n, 2:] - boxes[n, :2]).prod()) for n in (one, two)]
        return shared / (sum(area) - shared + 1e-9)

    assert all(overlap(one, two) <= 0.5 + 1e-6 for one in kept for two in kept if one < two)
    dropped = [index for index in range(len(raw)) if scores[index] > 0.4 and index not in kept]
    assert all(any(overlap(index, better) > 0.5 - 1e-6 for better in kept) for index in dropped)
