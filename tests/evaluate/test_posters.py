from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from moyin.evaluate.task import Item
from moyin.evaluate.tasks import posters
from moyin.ocr.colours import COLOURS, contrast
from moyin.ocr.places import PLACES
from moyin.ocr.result import OCRLine, OCRResult, Pixels
from moyin.prompt.quotes import quoted

SUITE = posters.suite()


class Boxes:
    """Reads the texts of one item at the boxes given."""

    name = "boxes"

    def __init__(self, *lines: OCRResult) -> None:
        self.lines = lines

    def read(self, image_hwc: Pixels) -> Sequence[OCRResult]:
        return self.lines

    def recognise(self, crop_hwc: Pixels) -> OCRResult:
        raise AssertionError


def around(item: Item) -> list[OCRLine]:
    """Lines of an item's texts, with boxes in the third where each belongs."""
    spots = [spot for row in PLACES for spot in row]
    lines = []
    for text, spot in zip(item.texts, item.truth.spots, strict=True):
        row, column = divmod(spots.index(spot), 3)
        left, top = 171 * column - (120 if column == 1 else 0), 171 * row + 40
        lines.append(
            OCRLine(text, 1.0, (max(0, left), top, left + 400 - 140 * (column != 1), top + 90))
        )
    return lines


def test_prompts_say_what_is_asked() -> None:
    assert len({item.prompt for item in SUITE.items}) == posters.COUNT
    for item in SUITE.items:
        assert tuple(quoted(item.prompt)) == item.texts
        ground = COLOURS[item.truth.background].rgb
        assert all(contrast(COLOURS[c].rgb, ground) >= 3 for c in item.truth.colours)
    assert min(Counter(len(item.texts) for item in SUITE.items).values()) >= 8
    assert sum(item.truth.thing is not None for item in SUITE.items) >= 12


@pytest.mark.parametrize("item", SUITE.items[::4], ids=lambda item: item.id)
def test_a_perfect_poster_is_right_in_every_part(item: Item) -> None:
    found = posters.look(Boxes(*around(item)), SUITE.perfect(item), item)
    assert set(found.right.values()) == {1.0}, (item.prompt, found)
    assert found.lines == item.texts


def test_what_is_wrong_is_seen() -> None:
    item = next(i for i in SUITE.items if len(i.texts) == 2 and i.truth.thing is not None)
    lines = around(item)
    upside_down = SUITE.perfect(item)[::-1].copy()
    swapped = [OCRLine(a.text, 1.0, b.box) for a, b in zip(lines, lines[::-1], strict=True)]
    found = posters.look(Boxes(*swapped), upside_down, item)
    assert found.right["place"] == 0
    assert found.right["background"] == 1
    blank = np.full((512, 512, 3), COLOURS[item.truth.background].rgb, np.uint8)
    found = posters.look(Boxes(), blank, item)
    wrong = {"background": 1, "colour": 0, "place": 0, "regions": 0, "object": 0}
    assert dict(found.right) == wrong
    assert found.seen["place"] == ", ".join(["none"] * len(item.texts))


def test_lines_are_matched_once_and_the_closest_first() -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    near, exact = OCRLine("春大来了", 1.0, box), OCRLine("春天来了", 1.0, box)
    assert posters.match(["春天来了", "春天来啦"], [near, exact]) == [exact, near]
    assert posters.match(["春天来了"], [OCRLine("夏日", 1.0, box)]) == [None]


def test_an_engine_without_boxes_is_refused() -> None:
    item = SUITE.items[0]
    with pytest.raises(ValueError, match="where a line is"):
        posters.look(Boxes(OCRResult("春天", 1.0)), SUITE.perfect(item), item)
