from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from moyin.render import fonts
from moyin.render.text_shape import TextShape
from moyin.train.objectives.glyph_encoder import bitmap


@pytest.mark.parametrize("em", [20.5, 100, 300])
@pytest.mark.parametrize("name", ["NotoSansSC-Bold", "MaShanZheng-Regular", "ZCOOLKuaiLe-Regular"])
def test_a_mask_is_the_line_at_the_size_asked_for(name: str, em: float) -> None:
    shape = TextShape.of("春A g", fonts.shipped()[name], em)
    mask = shape.mask(em)
    assert mask.size == shape.extent(em)
    rows, columns = np.nonzero(np.asarray(mask) > 64)
    assert (rows.min(), columns.min()) == pytest.approx((0, 0), abs=2)
    assert (rows.max() + 1, columns.max() + 1) == pytest.approx(mask.size[::-1], abs=2)


def test_every_character_has_its_box_in_the_line() -> None:
    shape = TextShape.of("天 Aj", fonts.shipped()["NotoSansSC-Bold"], 200)
    width, height = shape.extent(100)
    boxes = shape.characters((30.0, 40.0, 30.0 + width, 40.0 + height))
    assert len(boxes) == 4
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    assert list(lefts) == sorted(lefts)
    assert (min(lefts), min(tops)) == pytest.approx((30, 40), abs=1)
    assert (max(rights), max(bottoms)) == pytest.approx((30 + width, 40 + height), abs=1)
    assert (tops[1], bottoms[1]) == pytest.approx((40, 40 + height))  # the blank


def test_a_characters_box_holds_its_ink() -> None:
    shape = TextShape.of("一口", fonts.shipped()["NotoSansSC-Bold"], 200)
    width, height = shape.extent(200)
    mask = np.asarray(shape.mask(200)) > 128
    for left, top, right, bottom in shape.characters((0.0, 0.0, float(width), float(height))):
        rows, columns = np.nonzero(mask[:, round(left) : round(right)])
        assert rows.min() == pytest.approx(top, abs=2)
        assert rows.max() + 1 == pytest.approx(bottom, abs=2)
        assert columns.min() == pytest.approx(left - round(left), abs=2)
        assert columns.max() + 1 == pytest.approx(right - round(left), abs=2)


@pytest.mark.parametrize("character", "春A一g")
def test_a_square_is_what_the_glyph_bitmap_covers(character: str) -> None:
    """The ink within its square, made as small, is the bitmap that the glyph encoder learns."""
    font, side = fonts.shipped()["NotoSansSC-Bold"], 192
    shape = TextShape.of("x" + character, font, 0.92 * side)
    width, height = shape.extent(0.92 * side)
    placed = shape.placed((0.0, 0.0, float(width), float(height)))
    left, top, right, bottom = placed.squares[1]
    assert (right - left, bottom - top) == pytest.approx((side, side), rel=0.01)
    cut = placed.ink.crop((round(left), round(top), round(left) + side, round(top) + side))
    drawn = np.asarray(cut.resize((24, 24), Image.Resampling.BOX), float)
    learnt = bitmap(character, font.name, 24).reshape(24, 24).astype(float)
    alone = drawn[:, 6:], learnt[:, 6:]  # clear of the x before it
    assert np.corrcoef(alone[0].ravel(), alone[1].ravel())[0, 1] > 0.93
