from __future__ import annotations

import numpy as np
import pytest

from moyin.ocr.colours import COLOURS, JITTER, contrast, jittered, luminance, nearest, readable


def test_contrast_is_wcags() -> None:
    # WCAG's own extremes, and the well-known #767676: the lightest grey that passes AA on white.
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((0x76, 0x76, 0x76), (255, 255, 255)) == pytest.approx(4.54, abs=0.005)
    assert luminance((255, 0, 0)) == pytest.approx(0.2126)


@pytest.mark.parametrize("name", COLOURS)
def test_every_ground_has_text_colours_that_can_be_read(name: str) -> None:
    assert len(readable(name)) >= 2
    assert all(contrast(COLOURS[other].rgb, COLOURS[name].rgb) >= 3 for other in readable(name))


@pytest.mark.parametrize("name", COLOURS)
def test_a_jittered_colour_keeps_its_name(name: str) -> None:
    random = np.random.Generator(np.random.Philox(key=1))
    for _ in range(50):
        rgb = jittered(name, random)
        assert max(abs(a - b) for a, b in zip(rgb, COLOURS[name].rgb, strict=True)) <= JITTER
        assert nearest(rgb) == name
