from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from moyin.ocr.colours import COLOURS, contrast, nearest
from moyin.render import effects
from moyin.render.effects import Paint

GREY, RED, BLUE = (128, 128, 128), (200, 0, 0), (0, 0, 200)


def painted(wanted: Paint) -> np.ndarray:  # type: ignore[type-arg]
    """A square of 40 pixels in the middle of 100."""
    image = Image.new("RGB", (100, 100), GREY)
    effects.paint(image, Image.new("L", (40, 40), 255), (30, 30), wanted)
    return np.asarray(image).astype(int)


def test_plain_ink_has_its_colour_and_touches_nothing_else() -> None:
    seen = painted(Paint(colour=RED))
    assert (seen[30:70, 30:70] == RED).all()
    seen[30:70, 30:70] = GREY
    assert (seen == GREY).all()


def test_a_gradient_goes_from_the_one_colour_to_the_other() -> None:
    seen = painted(Paint(colour=RED, second=BLUE))
    assert (seen[30, 30:70] == RED).all()
    assert (seen[69, 30:70] == BLUE).all()
    assert (np.diff(seen[30:70, 50, 0]) <= 0).all()


@pytest.mark.parametrize("width", [2.0, 5.0])
def test_an_outline_lies_around_the_ink(width: float) -> None:
    seen = painted(Paint(colour=RED, outline=(255, 255, 255), width=width))
    assert (seen[30:70, 30:70] == RED).all()
    white = (seen == 255).all(-1)
    assert white[50].sum() == pytest.approx(2 * width, abs=3)
    assert (seen[:20] == GREY).all()


def test_a_shadow_lies_below_and_to_the_right() -> None:
    seen = painted(Paint(colour=RED, shadow=5))
    dark = (seen.sum(-1) < 300) & (seen != RED).any(-1)
    rows, columns = np.nonzero(dark)
    assert (rows.max(), columns.max()) >= (72, 72)
    assert not dark[:30].any()
    assert (seen[30:70, 30:70] == RED).all()


@pytest.mark.parametrize("name", COLOURS)
def test_an_outline_can_be_told_from_its_ink(name: str) -> None:
    random = np.random.Generator(np.random.Philox(key=3))
    wanted = effects.random_paint(name, (), 50.0, ("outline",), random)
    assert wanted.outline is not None
    assert contrast(wanted.outline, wanted.colour) > 2.5


def test_a_gradient_ends_in_a_colour_that_can_be_read_too() -> None:
    random = np.random.Generator(np.random.Philox(key=3))
    wanted = effects.random_paint("green", ("white", "blue"), 50.0, ("gradient",), random)
    assert wanted.second is not None
    assert nearest(wanted.second) == "blue"
    assert effects.random_paint("green", ("white",), 50.0, ("gradient",), random).second is None
