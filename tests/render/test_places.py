from __future__ import annotations

import numpy as np
import pytest

from moyin.ocr.places import PLACES, place_of
from moyin.render import places


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(3))
def test_a_box_lies_inside_the_image_and_in_its_place(row: int, column: int) -> None:
    random = np.random.Generator(np.random.Philox(key=5))
    for _ in range(50):
        box = places.box_in((row, column), (120, 60), 512, 14, random)
        assert box is not None
        assert min(box) >= 13.5
        assert max(box) <= 498.5
        assert (box[2] - box[0], box[3] - box[1]) == (120, 60)
        assert place_of(box, 512, 512) == PLACES[row][column]


def test_the_largest_box_that_has_room_fits_and_a_larger_one_does_not() -> None:
    for third in range(3):
        most = places.room(third, 512, 14)
        assert places.span(most - 0.01, third, 512, 14) is not None
        assert places.span(most + 0.01, third, 512, 14) is None


def test_boxes_overlap_when_they_come_within_the_gap() -> None:
    assert places.overlaps((0, 0, 10, 10), [(14, 0, 20, 10)], gap=5)
    assert not places.overlaps((0, 0, 10, 10), [(14, 0, 20, 10)], gap=4)
    assert not places.overlaps((0, 0, 10, 10), [(0, 15, 10, 20), (15, 0, 20, 10)], gap=5)


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_boxes_stray_as_far_as_they_may(spread: float) -> None:
    """In an image of 300 a third's centres are 90 apart but for the tenths at its edges: 80."""
    random = np.random.default_rng(0)
    boxes = [places.box_in((1, 1), (20, 20), 300, 0, random, spread) for _ in range(300)]
    for side in (0, 1):
        found = [box[side] + 10 for box in boxes if box is not None]
        assert min(found) == pytest.approx(150 - 40 * spread, abs=2)
        assert max(found) == pytest.approx(150 + 40 * spread, abs=2)


@pytest.mark.parametrize(
    ("spread", "expected"), [(1.0, {128, 160, 192, 224, 256}), (0.5, {160, 192}), (0.0, {192})]
)
def test_rows_of_squares_stray_by_the_grid(spread: float, expected: set[int]) -> None:
    """By hand: centres from 188 to 324, so corners of squares of 128 from 124 to 260."""
    random = np.random.default_rng(0)
    found = [places.row_in((1, 1), (128, 128), 512, 32, random, spread) for _ in range(300)]
    for side in (0, 1):
        assert {corner[side] for corner in found if corner is not None} == expected
