from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.hub import EMBEDDED
from moyin.dataset.sample import Box, Line, Sample
from moyin.nano import recipes
from moyin.nano.codebook_layout import CodebookLayout, Meaning, recorded_layout
from moyin.nano.config import DecoderCodebookConfig
from moyin.ocr.colours import COLOURS
from moyin.render.renderer import Renderer
from moyin.train.config import Training
from moyin.train.identity import identity, plain
from moyin.train.objectives.config import DecoderObjectiveConfig

LAYOUT = CodebookLayout(sides=(128, 64), width=256, levels=4)
# Two characters of 128 at 4 rows and 4 columns, and at 3 more, since a letter there is 3 ids wide;
# four of 64 at 2 rows and 2 columns: a letter is 48 pixels wide, which counts as 2 ids.
PLACES = 2 * 4 * 7 + 4 * 2 * 2
NAMES = tuple(COLOURS)


def sample(text: str, *squares: Box, colour: str = "red") -> Sample:
    """256x256 in (0, 100, 255), one line."""
    image = np.empty((256, 256, 3), np.uint8)
    image[:] = (0, 100, 255)
    line = Line(text, squares[0], squares, squares, colour, "Font", "middle")
    return Sample(image, ("",), (line,), {"kind": "flat"}, (), 0, 0)


def said(number: int) -> tuple[Meaning, str]:
    return LAYOUT.meanings[number // len(NAMES)], NAMES[number % len(NAMES)]


def test_every_place_and_colour_has_an_id_and_then_come_the_grounds() -> None:
    assert len(LAYOUT.meanings) == len(set(LAYOUT.meanings)) == PLACES
    assert LAYOUT.grounds == 12 * PLACES
    assert LAYOUT.count == LAYOUT.grounds + 64


def test_the_released_number_of_codes_is_enough_for_nanos() -> None:
    assert CodebookLayout(sides=(256, 128)).count == 3880


def test_grounds_are_mean_colours() -> None:
    """0, 100 and 255 lie in the first, second and last quarter of the levels."""
    ids = LAYOUT.ids(sample(" ", (0.0, 0.0, 128.0, 128.0)))
    assert (ids == LAYOUT.grounds + 0 * 16 + 1 * 4 + 3).all()
    assert ids.shape == (8, 8)
    assert ids.dtype == np.uint16


def test_a_square_on_the_grid_reads_in_halves_of_an_id() -> None:
    ids = LAYOUT.ids(sample("春", (64.0, 32.0, 192.0, 160.0), colour="cyan"))
    inside = ids[1:5, 2:6]
    for row, down in enumerate((-3, -1, 1, 3)):
        for column, across in enumerate((-3, -1, 1, 3)):
            assert said(inside[row, column]) == ((128, 0, 0, down, across), "cyan")
    ids[1:5, 2:6] = LAYOUT.count - 1
    assert (ids >= LAYOUT.grounds).all()


def test_of_two_squares_the_nearer_middle_counts() -> None:
    """Middles at x = 64 and 160, 96 apart: letters of 128. The id at x = 112 lies between them."""
    ids = LAYOUT.ids(sample("ab", (0.0, 0.0, 128.0, 128.0), (96.0, 0.0, 224.0, 128.0)))
    found = [said(number)[0] for number in ids[0, :7]]
    assert [letter for _, _, letter, _, _ in found] == [0, 0, 0, 0, 1, 1, 1]
    assert [column for *_, column in found] == [-3, -1, 1, 3, -1, 1, 3]


def test_what_is_off_the_grid_or_of_another_size_gets_the_nearest() -> None:
    """A square of 100 pixels counts as one of 128; the fifth of a line of four as the fourth."""
    ids = LAYOUT.ids(sample("春", (14.0, 14.0, 114.0, 114.0)))
    assert said(ids[1, 1])[0] == (128, 0, 0, -1, -1)
    small = [(32.0 * i, 0.0, 32.0 * i + 64, 64.0) for i in range(6)]
    ids = LAYOUT.ids(sample("abcdef", *small))
    assert said(ids[0, 6])[0][:3] == (64, 0, 3)


def test_ids_that_share_a_meaning_share_features() -> None:
    features = LAYOUT.features()
    assert len(features) == LAYOUT.count
    one, other_colour, far = 0, 1, LAYOUT.grounds - 1
    near = features[one] @ features[other_colour]
    assert near > features[one] @ features[far]
    assert features[LAYOUT.grounds :, :-3].any() == 0
    np.testing.assert_allclose(features[-1, -3:], 0.75)


def test_starting_rows_are_alike_where_meanings_are() -> None:
    rows = LAYOUT.rows(LAYOUT.count + 8, 64, 0.5)
    assert rows.shape == (LAYOUT.count + 8, 64)
    np.testing.assert_allclose(rows[: LAYOUT.count].std(1), 0.5, rtol=1e-5)
    same = np.corrcoef(rows[0], rows[1])[0, 1]
    other = np.corrcoef(rows[0], rows[LAYOUT.grounds - 1])[0, 1]
    assert same > 0.6 > abs(other)
    with pytest.raises(ValueError, match=f"the codebook layout needs {LAYOUT.count}"):
        LAYOUT.rows(LAYOUT.count - 1, 64, 0.5)


def test_a_side_must_be_a_whole_number_of_ids() -> None:
    for side in (32, 80):
        with pytest.raises(ValueError, match="a multiple of 32, from 64"):
            CodebookLayout(sides=(side,))


def test_rendered_text_lies_under_text_ids_of_its_colour() -> None:
    layout = CodebookLayout(sides=(256, 128))
    config = Renderer.Config(fonts=("NotoSansSC-Bold",), prominent=1.0, object_share=0.0)
    renderer = replace(config, squares=layout.sides, backgrounds={"flat": 1.0}).build()
    for index in range(6):
        made = renderer(3, index)
        ids = layout.ids(made)
        text = ids < layout.grounds
        assert set(np.array(NAMES)[ids[text] % len(NAMES)]) == {made.lines[0].colour}
        wide = np.kron(text, np.ones((32, 32), bool))
        border = np.abs(made.image.astype(int) - made.image[0, 0]).sum(-1)
        assert border[~wide].max() == 0 or (border[~wide] > 0).mean() < 0.01
        assert len(np.unique(ids[~text])) == 1


def test_the_layout_of_a_recorded_configuration() -> None:
    """As a training records it, in JSON."""
    layout = CodebookLayout(sides=(128,), words=(2,), letters=(8,), width=256, levels=5)
    config = DecoderObjectiveConfig(auxiliary=(DecoderCodebookConfig(codebook_layout=layout),))
    recorded = identity(plain(Training(objective=config, steps=1, batch=1)))
    assert recorded_layout(recorded) == layout
    assert recorded_layout({}) is None
    nano = Checkpoint.open(EMBEDDED).notes["training"]["decoder"]["configuration"]
    assert recorded_layout(nano) == recipes.LAYOUT
