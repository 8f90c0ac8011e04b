"""What is said of an image holds of its pixels: measured with and without its text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from moyin.dataset.sample import Sample
from moyin.prompt.quotes import quoted
from moyin.render import effects, fonts
from moyin.render.effects import Paint
from moyin.render.layouts import shipped
from moyin.render.renderer import Renderer

SIZE, EACH = 320, 4


def plain(image: Image.Image, ink: Image.Image, corner: tuple[int, int], wanted: Paint) -> None:
    image.paste((0, 255, 0), corner, ink)


def other(image: Image.Image, ink: Image.Image, corner: tuple[int, int], wanted: Paint) -> None:
    image.paste((255, 0, 255), corner, ink)


def renderer(name: str, **fields: float) -> Renderer:
    config = Renderer.Config(size=SIZE, layouts={name: 1.0}, **fields)  # type: ignore[arg-type]
    return config.build()


def inked(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Sample, Image.Image]]:
    """Samples and where their text is: what differs if only its colour does."""
    drawer = renderer(name, effects=1.0, surfaces=0.5)
    for index in range(EACH):
        images = []
        for paint in (plain, other):
            monkeypatch.setattr(effects, "paint", paint)
            images.append(drawer(3, index))
        first, second = (sample.image.astype(int) for sample in images)
        differs = np.abs(first - second).max(-1) > 100
        yield images[0], Image.fromarray(np.where(differs, 255, 0).astype(np.uint8))


@pytest.mark.parametrize("name", shipped())
def test_ink_lies_in_its_box_and_fills_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for sample, ink in inked(name, monkeypatch):
        inside = Image.new("L", ink.size)
        for line in sample.lines:
            assert len(line.quads) == len(line.characters) == len(line.squares) == len(line.text)
            for character, quad in zip(line.text, line.quads, strict=True):
                ImageDraw.Draw(inside).polygon(quad, fill=255)
                if not character.isspace():
                    assert_filled(ink, quad)
            assert_filled(ink, line.quad)
        grown = np.asarray(inside.filter(ImageFilter.MaxFilter(5))) > 0
        outside = (np.asarray(ink) > 0) & ~grown
        assert outside.sum() <= 0.002 * (np.asarray(ink) > 0).sum()


def assert_filled(ink: Image.Image, quad: tuple[float, ...]) -> None:
    """Straightened by Pillow, the ink reaches to within two pixels of all sides of its box."""
    corners = np.array(quad).reshape(4, 2)
    wide = max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[3]))
    high = max(np.linalg.norm(corners[3] - corners[0]), np.linalg.norm(corners[2] - corners[1]))
    size = (max(1, round(wide)), max(1, round(high)))
    order = corners[[0, 3, 2, 1]].reshape(-1).tolist()
    box = ink.transform(size, Image.Transform.QUAD, order).getbbox()
    assert box is not None
    slack = 2.5 + 0.06 * max(size)  # thin strokes at an angle, and bends within a character
    assert max(box[0], box[1], size[0] - box[2], size[1] - box[3]) <= slack


@pytest.mark.parametrize("name", shipped())
def test_captions_quote_what_is_written_and_boxes_lie_in_the_image(name: str) -> None:
    drawer = renderer(name, traditional=0.3, mixed=0.3)
    for index in range(EACH):
        sample = drawer(1, index)
        assert sample.layout == name
        assert 1 <= len(sample.lines) <= 12
        assert len(sample.captions) == 6
        for caption in sample.captions:
            assert sorted(quoted(caption)) == sorted(line.text for line in sample.lines)
        for line in sample.lines:
            assert min(line.box) >= -1
            assert max(line.box) <= SIZE + 1
            assert line.place


def test_every_layout_is_named_in_both_languages() -> None:
    for name, layout in shipped().items():
        drawer = renderer(name)
        captions = [c.lower() for index in range(2) for c in drawer(0, index).captions]
        english, chinese = (
            [form.split("{}")[1].strip().lower() for form in forms]
            for forms in (layout.english, layout.chinese)
        )
        assert sum(any(noun in caption for noun in english) for caption in captions) == 6
        assert sum(any(noun in caption for noun in chinese) for caption in captions) == 6


def test_the_characters_whose_turn_it_is_are_written() -> None:
    config = Renderer.Config(
        size=SIZE, characters=8105, chinese=1.0, words=0.0, layouts=dict.fromkeys(shipped(), 1.0)
    )
    drawer = config.build()
    for index in range(12):
        said = drawer.schedule(5, index)
        assert said
        assert said in [line.text for line in drawer(5, index).lines]


def test_a_draft_with_a_missing_glyph_is_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    covers = fonts.covers
    drawer = renderer("menu", traditional=0.0, mixed=0.0)
    monkeypatch.setattr(fonts, "covers", lambda font, text: "鱼" not in text and covers(font, text))
    samples = [drawer(2, index) for index in range(12)]
    assert not any("鱼" in line.text for sample in samples for line in sample.lines)
    assert sum(sample.dropped for sample in samples) > 0


def test_traditional_images_have_traditional_characters() -> None:
    config = Renderer.Config(
        size=SIZE, layouts={"menu": 1.0}, chinese=1.0, words=1.0, traditional=1.0, mixed=0.0
    )
    drawer = config.build()
    said = "".join(line.text for index in range(4) for line in drawer(0, index).lines)
    assert set("魚雞麵湯鹽東門國會長們這個為時來") & set(said)
