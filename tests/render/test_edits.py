from __future__ import annotations

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest

from moyin.dataset.sample import Line, Sample
from moyin.ocr.colours import COLOURS
from moyin.ocr.places import CHINESE, ENGLISH
from moyin.prompt.quotes import quoted
from moyin.render.edits import EditRenderer
from moyin.render.renderer import Renderer

COMMON = {"size": 128, "characters": 300, "max_characters": 6}
FREE = EditRenderer.Config(**COMMON)
SQUARES = EditRenderer.Config(**COMMON | {"size": 256}, squares=(64,), prominent=1.0, resized=0.0)


def pairs(config: EditRenderer.Config, count: int = 10) -> list[tuple[Sample, Sample]]:
    renderer = config.build()
    return [(renderer(3, 2 * n), renderer(3, 2 * n + 1)) for n in range(count)]


def edited(first: Sample, second: Sample) -> tuple[Line, Line]:
    """The one line that differs, before and after."""
    both = zip(first.lines, second.lines, strict=True)
    (found,) = [(old, new) for old, new in both if old != new]
    return found


@pytest.mark.parametrize("config", [FREE, SQUARES], ids=["free", "squares"])
def test_one_line_changes_and_nothing_else_does(config: EditRenderer.Config) -> None:
    kinds = set()
    for first, second in pairs(config):
        old, new = edited(first, second)
        differs = np.argwhere((first.image != second.image).any(-1))
        assert len(differs) > 10
        for line in (old, new):
            assert min(line.box) >= 0
            assert max(line.box) <= config.size
        lefts, tops, rights, bottoms = zip(old.box, new.box, strict=True)
        assert (differs >= (min(tops), min(lefts))).all()
        assert (differs < (max(bottoms), max(rights))).all()
        assert (old.text == new.text) != (old.colour == new.colour)
        assert len(old.text) == len(new.text) == len(new.characters) == len(new.squares)
        assert old.place == new.place
        kinds.add(old.text == new.text)
    assert kinds == {True, False}


def test_what_is_asked_for_quotes_what_is_then_written() -> None:
    """There and back."""
    for pair in pairs(FREE):
        lines = edited(*pair)
        for sample, line, other, of in zip(pair, lines, lines[::-1], (1, -1), strict=True):
            assert sample.edit is not None
            assert sample.edit.of == of
            assert len(sample.edit.captions) == 2
            for caption, colour in zip(
                sample.edit.captions,
                (line.colour, COLOURS[line.colour].chinese),
                strict=True,
            ):
                assert quoted(caption) == [line.text]
                if line.text == other.text:
                    assert colour in caption
            for caption in sample.captions:
                assert sorted(quoted(caption)) == sorted(line.text for line in sample.lines)


def test_another_text_has_the_same_ink() -> None:
    """On a flat ground: the colour of the full strokes, before and after."""
    config = EditRenderer.Config(
        **COMMON | {"size": 256}, backgrounds={"flat": 1.0}, recoloured=0.0, prominent=1.0
    )
    for first, second in pairs(config):
        old, new = edited(first, second)
        inks = []
        for sample, line in ((first, old), (second, new)):
            left, top, right, bottom = map(int, line.box)
            part = sample.image[top:bottom, left:right].reshape(-1, 3).astype(int)
            ground = np.asarray(sample.image[0, 0], int)
            inks.append(part[np.abs(part - ground).sum(1).argmax()])
        assert np.abs(inks[0] - inks[1]).max() <= 1


def test_the_first_of_each_pair_is_the_renderers() -> None:
    fields = asdict(FREE)
    del fields["recoloured"], fields["resized"]
    renderer = Renderer.Config(**fields).build()
    for n, (first, _) in enumerate(pairs(FREE, 3)):
        assert (first.image == renderer(3, n).image).all()


def test_in_squares_another_length_stands_where_it_belongs() -> None:
    """In the middle of the image as near as ids allow; what the old text covered is ground."""
    config = replace(SQUARES, resized=1.0, recoloured=0.0, middle=1.0, spread=0.0, object_share=0.0)
    lengths = set()
    for n, (first, second) in enumerate(pairs(config)):
        old, new = edited(first, second)
        lengths.add(len(new.text) - len(old.text))
        left, right = new.squares[0][0], new.squares[-1][2]
        assert abs((left + right) / 2 - 128) <= 32
        ground = np.ones(second.image.shape[:2], bool)
        ground[int(new.box[1]) : int(new.box[3]), int(new.box[0]) : int(new.box[2])] = False
        background = config.build().background(replace(first, index=n))
        assert (second.image == np.asarray(background))[ground].all()
    assert len(lengths) > 2


def test_held_out_instructions_are_in_no_training_pair() -> None:
    def shapes(phrasings: str) -> set[str]:
        config = replace(SQUARES, phrasings=phrasings)
        told = [pair[1].edit.captions for pair in pairs(config, 30) if pair[1].edit]
        names = [one for c in COLOURS.values() for one in (c.name, c.chinese)]
        places = [p for d in (ENGLISH, CHINESE) for some in d.values() for p in some]
        drop = "|".join(map(re.escape, sorted([*names, *places], key=len, reverse=True)))
        return {re.sub(f"[\"'“”「」].*[\"'“”「」]|{drop}", "", c) for both in told for c in both}

    taught, held_out = shapes("seen"), shapes("held-out")
    assert len(held_out) > 4
    assert not taught & held_out


def test_an_edit_is_json() -> None:
    _, second = pairs(FREE, 1)[0]
    fields = json.loads(json.dumps(second.to_json()))
    assert Sample.from_json(fields, second.image).edit == second.edit


def test_sheets_are_refused() -> None:
    with pytest.raises(ValueError, match="layouts=free:1"):
        EditRenderer.Config(layouts={"poster": 1.0})
