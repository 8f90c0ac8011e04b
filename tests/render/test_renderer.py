from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from moyin.dataset.sample import Sample
from moyin.ocr.colours import COLOURS, contrast
from moyin.ocr.places import place_of
from moyin.prompt.quotes import quoted
from moyin.render import assets, fonts, places
from moyin.render.renderer import Renderer
from moyin.render.squares import letter_width

COUNT = 60


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    renderer = Renderer.Config(size=128).build()
    return [renderer(11, index) for index in range(COUNT)]


def test_a_sample_is_a_function_of_configuration_seed_and_index(samples: list[Sample]) -> None:
    again = Renderer.Config(size=128).build()
    for index in (41, 3, 3):
        sample = again(11, index)
        assert np.array_equal(sample.image, samples[index].image)
        assert sample.to_json() == samples[index].to_json()
    assert not np.array_equal(again(12, 3).image, samples[3].image)


def test_images_are_rgb_of_the_size_asked_for(samples: list[Sample]) -> None:
    for sample in samples:
        assert (sample.image.shape, sample.image.dtype) == ((128, 128, 3), np.uint8)


def test_everything_stands_inside_the_image_apart_and_in_a_place_of_its_own(
    samples: list[Sample],
) -> None:
    for sample in samples:
        items = [*sample.lines, *sample.objects]
        assert len({item.place for item in items}) == len(items)
        for item in items:
            others = [other.box for other in items if other is not item]
            assert min(item.box) >= 0
            assert max(item.box) <= 128
            assert not places.overlaps(item.box, others, 0)
            assert place_of(item.box, 128, 128) == item.place


def test_captions_quote_exactly_what_is_written(samples: list[Sample]) -> None:
    for sample in samples:
        assert len(sample.captions) == 6
        for caption in sample.captions:
            assert sorted(quoted(caption)) == sorted(line.text for line in sample.lines)
        assert [bool(re.search("[一-鿿](?![^'“\"「]*['”\"」])", c)) for c in sample.captions[:3]]


def test_text_has_the_colour_it_is_said_to_have() -> None:
    config = Renderer.Config(prominent=1.0, object_share=0.0, backgrounds={"flat": 1.0})
    renderer = config.build()
    for index in range(10):
        sample = renderer(2, index)
        left, top, right, bottom = map(int, sample.lines[0].box)
        inside = sample.image[top:bottom, left:right].reshape(-1, 3).astype(int)
        ink = np.array(COLOURS[sample.lines[0].colour].rgb)
        ground = np.array(COLOURS[sample.background["colour"]].rgb)
        near_ink = (np.abs(inside - ink).max(1) <= 11).mean()
        near_ground = (np.abs(inside - ground).max(1) <= 11).mean()
        assert near_ink > 0.05
        assert near_ink + near_ground > 0.8  # the rest is the smooth edge between the two


def test_most_images_have_one_line_of_few_large_characters() -> None:
    renderer = Renderer.Config(size=256).build()
    samples = [renderer(4, index) for index in range(100)]
    few = [s for s in samples if len(s.lines) == 1 and len(s.lines[0].text) <= 4]
    assert len(few) > 50


def test_characters_are_restricted_to_the_most_frequent() -> None:
    known = set(assets.frequent_characters()[:50])
    renderer = Renderer.Config(size=128, characters=50, chinese=1.0).build()
    for index in range(20):
        assert all(known.issuperset(line.text) for line in renderer(0, index).lines)


def test_a_font_that_lacks_a_character_is_not_taken_for_that_line() -> None:
    renderer = Renderer.Config(size=128, fonts=("Anton-Regular", "NotoSansSC-Bold")).build()
    lines = [line for index in range(40) for line in renderer(1, index).lines]
    assert {line.font for line in lines} == {"Anton-Regular", "NotoSansSC-Bold"}
    assert all(line.text.isascii() for line in lines if line.font == "Anton-Regular")


def test_characters_that_no_font_has_are_an_error_at_once() -> None:
    config = Renderer.Config(fonts=("MaShanZheng-Regular",), characters=8105)
    with pytest.raises(ValueError, match=r"\d+ of the 8105 characters have no glyph"):
        config.build()
    Renderer.Config(fonts=("Anton-Regular",), chinese=0.0).build()


def test_fonts_of_a_folder_are_used_and_one_without_any_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "kai").mkdir()
    with pytest.raises(ValueError, match="no fonts in"):
        Renderer.Config(font_folder=str(tmp_path / "none")).build()
    shutil.copy(fonts.shipped()["NotoSansSC-Bold"].path, tmp_path / "kai" / "Mine.woff2")
    renderer = Renderer.Config(size=128, fonts=("Mine",), font_folder=str(tmp_path)).build()
    assert [font.style for font in renderer.fonts] == ["kai"]
    assert renderer(0, 0).lines[0].font == "Mine"


def test_free_lines_have_the_characters_whose_turn_it_is() -> None:
    renderer = Renderer.Config(size=128, words=0.2, chinese=1.0).build()
    required = [renderer.schedule(3, index) for index in range(10)]
    assert sum(map(bool, required)) == 8
    for index, said in enumerate(required):
        assert not said or renderer(3, index).lines[0].text == said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 10),
        ("characters", 0),
        ("backgrounds", {"marble": 1.0}),
        ("layouts", {"map": 1.0}),
        ("phrasings", "odd"),
        ("phrasings", "brief"),
        ("spread", 1.5),
        ("clashing", 1.5),
    ],
)
def test_a_wrong_configuration_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Renderer.Config(**{field: value})  # type: ignore[arg-type]


def test_a_sample_is_json(samples: list[Sample]) -> None:
    fields = json.loads(json.dumps(samples[5].to_json()))
    assert Sample.from_json(fields, samples[5].image).lines == samples[5].lines


def test_squares_lie_on_the_grid_of_ids() -> None:
    config = Renderer.Config(
        squares=(256, 128, 96), prominent=1.0, object_share=0.0, backgrounds={"flat": 1.0}
    )
    renderer = config.build()
    sides = set()
    for index in range(30):
        line = renderer(7, index).lines[0]
        assert place_of(line.box, 512, 512) == line.place
        left, top, _, bottom = line.squares[0]
        side = bottom - top
        if ord(line.text[0]) < 0x2E80:  # a letter's cell is narrower than its square
            left += (side - letter_width(round(side))) / 2
        assert [(corner + 16) % 32 for corner in (left, top)] == pytest.approx([16, 16], abs=1)
        sides.add(round(side / 32) * 32)
    assert {256, 128} <= sides <= {256, 128, 96}


def test_without_spread_a_place_is_one_place() -> None:
    config = Renderer.Config(
        squares=(128,), prominent=1.0, spread=0.0, object_share=0.0, backgrounds={"flat": 1.0}
    )
    renderer = config.build()
    corners: dict[tuple[str, int], set[tuple[float, float]]] = {}
    for index in range(80):
        line = renderer(7, index).lines[0]
        if ord(line.text[0]) >= 0x2E80:  # a letter's square begins outside its cell
            left, top, _, _ = line.squares[0]
            corners.setdefault((line.place, len(line.text)), set()).add((left, top))
    assert max(map(len, corners.values())) == 1
    assert len(corners) > 10


def test_colours_clash_where_they_may_and_are_legible_else() -> None:
    config = Renderer.Config(size=128, backgrounds={"flat": 1.0}, object_share=0.0)
    found = {}
    for share in (0.0, 1.0):
        renderer = replace(config, clashing=share).build()
        pairs = {
            (sample.background["colour"], line.colour)
            for sample in map(partial(renderer, 5), range(120))
            for line in sample.lines
        }
        assert all(ground != colour for ground, colour in pairs)
        found[share] = [contrast(*(COLOURS[name].rgb for name in pair)) for pair in pairs]
    assert min(found[0.0]) >= 3.0
    assert min(found[1.0]) < 1.5
    assert len(found[1.0]) > 1.4 * len(found[0.0])
