from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from moyin.evaluate.nano import Expectation, brief_50, lines_50, nano_50, perfect, suite, wording_50
from moyin.ocr.colours import COLOURS, JITTER, contrast
from moyin.ocr.places import CHINESE, ENGLISH
from moyin.ocr.result import OCRLine
from moyin.prompt.quotes import quoted
from moyin.render import assets
from moyin.render.phrasings import HELD_OUT, SEEN, SETS


def test_the_suite_is_fixed() -> None:
    text = "\n".join(one.prompt for one in nano_50())
    digest = "56c21a3c6274791b324674c433b4cc964aed30a31a1a9a2088561c003a695845"
    assert hashlib.sha256(text.encode()).hexdigest() == digest, "a new suite needs a new name"


def test_its_other_wording_is_fixed() -> None:
    text = "\n".join(one.prompt for one in wording_50())
    digest = "5f97a273e66eb98549e4c517ba5d6b568a729381106937609d01ffe6b18d93f5"
    assert hashlib.sha256(text.encode()).hexdigest() == digest, "a new suite needs a new name"


def test_the_suite_of_several_lines_is_fixed() -> None:
    text = "\n".join(one.prompt for one in lines_50())
    digest = "0013eb5f49796f190474f392463561a018122301c882a4239bed8aac6a3e63b6"
    assert hashlib.sha256(text.encode()).hexdigest() == digest, "a new suite needs a new name"


def test_the_suite_of_brief_requests_is_fixed_and_leaves_open_what_it_does_not_judge() -> None:
    fifty = brief_50()
    digest = "85de8e73fe0ac90d1cbb8f8cf16d466bd95bf14c76852b972a76255839dc93cc"
    told = "\n".join(one.prompt for one in fifty)
    assert hashlib.sha256(told.encode()).hexdigest() == digest, "a new suite needs a new name"
    assert len({one.prompt for one in fifty}) == 50
    names = {"zh": {c: v.chinese + "色" for c, v in COLOURS.items()}, "en": {c: c for c in COLOURS}}
    for one in fifty:
        assert quoted(one.prompt) == [one.text]
        around = one.prompt.replace(one.text, "").lower()
        said = [c for c, name in names[one.language].items() if name in around]
        assert said == [one.colour] * bool(one.colour)
        assert (one.background, one.place) == ("", "middle")
    assert 15 <= sum(bool(one.colour) for one in fifty) <= 25
    assert not set(SETS["brief"]["zh"]) & set(SETS["brief-held-out"]["zh"])


def test_any_legible_ground_is_right_for_a_brief_request() -> None:
    some = suite("brief-50")
    for item in some.items[:12]:
        found = some.look(Knowing(item.truth.text), some.perfect(item), item)
        assert found.lines == (item.truth.text,)
        assert found.right == ({"colour": 1.0} if item.truth.colour else {}) | {"place": 1.0}


def test_its_other_wording_asks_for_the_same_and_is_in_no_caption() -> None:
    same = ("id", "language", "text", "background", "colour", "place")
    for plain, other in zip(nano_50(), wording_50(), strict=True):
        assert all(getattr(plain, name) == getattr(other, name) for name in same)
        assert plain.prompt != other.prompt
    assert len({one.prompt for one in wording_50()}) == 50
    for language, held_out in HELD_OUT.items():
        assert not set(held_out) & set(SEEN[language])


@pytest.mark.parametrize("fifty", [nano_50, wording_50, lines_50])
def test_prompts_say_what_is_expected(fifty: Callable[[], tuple[Expectation, ...]]) -> None:
    for one in fifty():
        assert quoted(one.prompt) == [one.text]
        chinese = one.language == "zh"
        said = {c: v.chinese + "色" if chinese else c for c, v in COLOURS.items()}
        assert said[one.background] in one.prompt
        assert said[one.colour] in one.prompt
        assert any(
            form in one.prompt.lower() for form in (CHINESE if chinese else ENGLISH)[one.place]
        )
        assert contrast(COLOURS[one.background].rgb, COLOURS[one.colour].rgb) >= 3


def test_it_is_balanced() -> None:
    suite = nano_50()
    assert len({one.id for one in suite}) == len({one.prompt for one in suite}) == 50
    assert Counter(one.language for one in suite) == {"zh": 25, "en": 25}
    assert min(Counter(len(one.text) for one in suite).values()) == 12
    assert {one.background for one in suite} == {one.colour for one in suite} == set(COLOURS)
    assert {one.place for one in suite} == set(CHINESE)
    known = set(assets.frequent_characters()[:1000])
    assert known.issuperset("".join(one.text for one in suite if one.language == "zh"))


def test_longer_texts_are_balanced() -> None:
    items = suite("lines-50").items
    assert Counter(one.groups[0] for one in items) == {"Chinese": 25, "English": 25}
    lengths = Counter(one.groups[1] for one in items)
    words = {"2 words": 13, "3 words": 12}
    assert lengths == words | {f"{n} characters": 6 + (n == 5) for n in (5, 6, 7, 8)}
    known = set(assets.frequent_characters()[:1000])
    assert known.issuperset("".join(t for i in items if i.groups[0] == "Chinese" for t in i.texts))
    assert len({one.texts for one in items}) == 50


def test_what_is_read_in_several_lines_is_one_text() -> None:
    """Of a perfect image, from the top down; the engine here finds its lines in no order."""
    some = suite("lines-50")
    for item in some.items[6:8]:  # 请不要在这里停车, Best New Band
        image = some.perfect(item)
        engine = Lines()
        whole = engine.read(image)
        assert len(whole) == len({line.box[1] for line in whole}) > 1
        found = some.look(engine, image, item)
        joined = ("" if item.truth.language == "zh" else " ").join("上中下"[: len(whole)])
        assert found.lines == (joined,)
        assert set(found.right.values()) == {1.0}


class Knowing:
    """Reads what it was told."""

    name = "knowing"

    def __init__(self, text: str) -> None:
        self.line = OCRLine(text, 1.0, (0.0, 0.0, 1.0, 1.0))

    def read(self, image_hwc: Any) -> list[OCRLine]:
        return [self.line]

    def recognise(self, crop_hwc: Any) -> OCRLine:
        return self.line


class Lines:
    """Finds the rows of ink and reads 上, 中, 下 in them; the lowest comes first."""

    name = "lines"

    def read(self, image_hwc: Any) -> list[OCRLine]:
        ink = (image_hwc != image_hwc[0, 0]).any(2).any(1)
        edges = np.flatnonzero(np.diff(ink.astype(int))).reshape(-1, 2)
        found = []
        for top, bottom in edges.tolist():
            if found and top - found[-1][1] < 12:  # within a character
                found[-1][1] = bottom
            else:
                found.append([top, bottom])
        return [
            OCRLine("上中下"[n], 1.0, (0.0, top, 512.0, bottom))
            for n, (top, bottom) in enumerate(found)
        ][::-1]

    def recognise(self, crop_hwc: Any) -> Any:
        raise AssertionError("lines are found in the whole picture")


@pytest.mark.parametrize("number", [6, 8, 25])
def test_a_perfect_image(number: int) -> None:
    one = nano_50()[number]
    image = perfect(one, 256).astype(int)
    assert image.shape == (256, 256, 3)
    assert tuple(image[0, 0]) == COLOURS[one.background].rgb
    away = np.abs(image - COLOURS[one.colour].rgb).max(axis=2)
    assert (away <= JITTER).sum() > 500
