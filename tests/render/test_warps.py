from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from moyin.render import warps

FLAT = (300, 80)
DOTS = np.array([(20, 15), (150, 40), (280, 60), (75, 65), (210, 12)], float)
CORNERS = ((40.0, 30.0), (350.0, 70.0), (330.0, 180.0), (60.0, 140.0))
WARPS: list[Callable[[], Any]] = [
    lambda: warps.Straight(FLAT),
    lambda: warps.Rotated(FLAT, 0.4),
    lambda: warps.Rotated(FLAT, -1.2),
    lambda: warps.Arched(FLAT, 1.2),
    lambda: warps.Arched(FLAT, -0.7),
    lambda: warps.Projected(FLAT, CORNERS, (400, 200)),
]


@pytest.mark.parametrize("make", WARPS)
def test_what_is_drawn_at_a_point_comes_to_lie_where_the_warp_says(
    make: Callable[[], Any],
) -> None:
    warp = make()
    for dot in DOTS:
        image = Image.new("L", FLAT)
        x, y = dot.astype(int)
        image.paste(255, (x - 4, y - 4, x + 4, y + 4))
        seen = np.asarray(warp.image(image), float)
        assert seen.shape == warp.size[::-1]
        rows, columns = np.mgrid[: seen.shape[0], : seen.shape[1]] + 0.5
        middle = ((columns * seen).sum() / seen.sum(), (rows * seen).sum() / seen.sum())
        assert middle == pytest.approx(tuple(warp.points(dot)), abs=0.6)


def test_a_quarter_turn_takes_the_right_end_to_the_top() -> None:
    warp = warps.Rotated(FLAT, np.pi / 2)
    assert warp.points(np.array([300.0, 40.0])) == pytest.approx((40, 0), abs=1)


def test_an_arch_rises_in_its_middle_and_keeps_its_length() -> None:
    warp = warps.Arched(FLAT, 1.0)
    line = warp.points(np.array([(x, 40.0) for x in range(301)]))
    assert line[150, 1] < line[0, 1] - 30
    assert np.hypot(*np.diff(line, axis=0).T).sum() == pytest.approx(300, rel=1e-3)
    assert warps.Arched(FLAT, -1.0).points(DOTS)[1, 1] > warp.points(DOTS)[1, 1]


def test_a_projection_takes_corners_to_corners_and_lines_to_lines() -> None:
    warp = warps.Projected(FLAT, CORNERS, (400, 200))
    seen = warp.points(np.array([(0, 0), (300, 0), (300, 80), (0, 80)], float))
    np.testing.assert_allclose(seen, CORNERS, atol=1e-9)
    a, b, c = warp.points(np.array([(0, 20), (150, 20), (300, 20)], float))
    assert np.linalg.det(np.stack([b - a, c - a])) == pytest.approx(0, abs=1e-6)
