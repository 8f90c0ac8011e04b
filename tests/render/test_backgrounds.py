from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from moyin.ocr.colours import COLOURS, contrast, nearest
from moyin.render import backgrounds


def drawn(kind: str, key: int) -> backgrounds.Background:
    return backgrounds.draw(kind, 96, np.random.Generator(np.random.Philox(key=key)))


@pytest.mark.parametrize("kind", backgrounds.KINDS)
def test_a_background_is_drawn_from_its_numbers_alone(kind: str) -> None:
    for key in range(12):
        image, facts, colours = drawn(kind, key)
        assert (image.mode, image.size) == ("RGB", (96, 96))
        assert facts["kind"] == kind
        assert colours
        assert np.array_equal(np.asarray(image), np.asarray(drawn(kind, key)[0]))


def test_the_mean_of_a_flat_or_textured_ground_has_the_colour_it_is_called() -> None:
    for kind in ("flat", "texture"):
        for key in range(40):
            image, facts, _ = drawn(kind, key)
            red, green, blue = np.asarray(image).reshape(-1, 3).mean(0)
            assert nearest((round(red), round(green), round(blue))) == facts["colour"]


def test_a_gradient_goes_from_one_colour_to_the_other() -> None:
    for key in range(20):
        image, facts, _ = drawn("gradient", key)
        ends = [image.getpixel((0, 0)), image.getpixel((95, 95))]
        assert [nearest(end) for end in ends] == [facts["colour"], facts["second"]]


def test_legible_colours_stand_out_from_both_halves_of_a_ground() -> None:
    image = Image.new("RGB", (40, 40), "white")
    assert "black" in backgrounds.legible(image, tuple(COLOURS))
    assert "yellow" not in backgrounds.legible(image, tuple(COLOURS))
    image.paste((120, 120, 120), (0, 0, 40, 20))
    for name in backgrounds.legible(image, tuple(COLOURS)):
        assert contrast(COLOURS[name].rgb, (120, 120, 120)) >= 3
        assert contrast(COLOURS[name].rgb, (255, 255, 255)) >= 3
