from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from moyin.evaluate.judge import Seen, crop, look
from moyin.evaluate.suite import nano_50, perfect


def blind(crop: np.ndarray) -> str:
    return f"{crop.shape[1]}x{crop.shape[0]}"


def test_perfect_pictures_are_seen_as_asked() -> None:
    for one in nano_50()[::5]:
        seen = look(perfect(one, 256), blind)
        assert (seen.background, seen.colour, seen.place) == (
            one.background,
            one.colour,
            one.place,
        )


def block(noise: float = 0) -> np.ndarray:
    """A blue picture with a yellow block, 60x40, at the lower right."""
    picture = np.full((240, 240, 3), (30, 78, 200), float)
    picture[180:220, 170:230] = (250, 214, 36)
    picture += noise * np.random.default_rng(0).standard_normal(picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("noise", [0, 12, 25])
def test_a_block_by_hand(noise: float) -> None:
    seen = look(block(noise), blind)
    assert (seen.background, seen.colour, seen.place) == ("blue", "yellow", "bottom right")
    assert seen.box is not None
    assert np.abs(np.array(seen.box) - (170, 180, 230, 220)).max() <= 2
    assert crop(block(noise), seen.box).shape[0] > 40


def test_soft_edges_do_not_change_the_colour() -> None:
    for one in nano_50()[1::6]:
        soft = Image.fromarray(perfect(one, 256)).filter(ImageFilter.GaussianBlur(2))
        assert look(np.array(soft), blind).colour == one.colour


def test_specks_are_passed_over() -> None:
    picture = block()
    picture[20:30, 20:30] = 255  # a speck of a twenty-fourth of the block
    picture[60, 10:200] = 255  # a hair
    assert look(picture, blind) == look(block(), blind)


def test_a_second_large_part_counts() -> None:
    picture = block()
    picture[20:60, 10:70] = (250, 214, 36)
    seen = look(picture, blind)
    assert seen.box == (10, 20, 230, 220)
    assert seen.place == "middle"


def test_an_empty_picture() -> None:
    picture = np.full((64, 64, 3), (246, 150, 186), np.uint8)
    assert look(picture, blind) == Seen(background="pink")


def test_what_fills_the_picture_is_nowhere() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (16, 16, 1), np.uint8) * np.uint8(255)
    picture = noise.repeat(3, axis=2).repeat(16, axis=0).repeat(16, axis=1)
    assert look(picture, blind).place == ""
