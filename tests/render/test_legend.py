from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moyin.dataset.sample import Box, Line, Sample
from moyin.ocr.colours import COLOURS
from moyin.render.legend import Legend, Meaning
from moyin.render.renderer import Renderer

LEGEND = Legend(sides=(128, 64), width=256, levels=4)
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
    return LEGEND.meanings[number // len(NAMES)], NAMES[number % len(NAMES)]


def test_every_place_and_colour_has_an_id_and_then_come_the_grounds() -> None:
    assert len(LEGEND.meanings) == len(set(LEGEND.meanings)) == PLACES
    assert LEGEND.grounds == 12 * PLACES
    assert LEGEND.count == LEGEND.grounds + 64


def test_the_released_number_of_codes_is_enough_for_nanos() -> None:
    assert Legend(sides=(256, 128)).count == 3880


def test_grounds_are_mean_colours() -> None:
    """0, 100 and 255 lie in the first, second and last quarter of the levels."""
    ids = LEGEND.ids(sample(" ", (0.0, 0.0, 128.0, 128.0)))
    assert (ids == LEGEND.grounds + 0 * 16 + 1 * 4 + 3).all()
    assert ids.shape == (8, 8)
    assert ids.dtype == np.uint16


def test_a_square_on_the_grid_reads_in_halves_of_an_id() -> None:
    ids = LEGEND.ids(sample("春", (64.0, 32.0, 192.0, 160.0), colour="cyan"))
    inside = ids[1:5, 2:6]
    for row, down in enumerate((-3, -1, 1, 3)):
        for column, across in enumerate((-3, -1, 1, 3)):
            assert said(inside[row, column]) == ((128, 0, 0, down, across), "cyan")
    ids[1:5, 2:6] = LEGEND.count - 1
    assert (ids >= LEGEND.grounds).all()


def test_of_two_squares_the_nearer_middle_counts() -> None:
    """Middles at x = 64 and 160, 96 apart: letters of 128. The id at x = 112 lies between them."""
    ids = LEGEND.ids(sample("ab", (0.0, 0.0, 128.0, 128.0), (96.0, 0.0, 224.0, 128.0)))
    found = [said(number)[0] for number in ids[0, :7]]
    assert [letter for _, _, letter, _, _ in found] == [0, 0, 0, 0, 1, 1, 1]
    assert [column for *_, column in found] == [-3, -1, 1, 3, -1, 1, 3]


def test_what_is_off_the_grid_or_of_another_size_gets_the_nearest() -> None:
    """A square of 100 pixels counts as one of 128; the fifth of a line of four as the fourth."""
    ids = LEGEND.ids(sample("春", (14.0, 14.0, 114.0, 114.0)))
    assert said(ids[1, 1])[0] == (128, 0, 0, -1, -1)
    small = [(32.0 * i, 0.0, 32.0 * i + 64, 64.0) for i in range(6)]
    ids = LEGEND.ids(sample("abcdef", *small))
    assert said(ids[0, 6])[0][:3] == (64, 0, 3)


def test_ids_that_share_a_meaning_share_features() -> None:
    features = LEGEND.features()
    assert len(features) == LEGEND.count
    one, other_colour, far = 0, 1, LEGEND.grounds - 1
    near = features[one] @ features[other_colour]
    assert near > features[one] @ features[far]
    assert features[LEGEND.grounds :, :-3].any() == 0
    np.testing.assert_allclose(features[-1, -3:], 0.75)


def test_starting_rows_are_alike_where_meanings_are() -> None:
    rows = LEGEND.rows(LEGEND.count + 8, 64, 0.5)
    assert rows.shape == (LEGEND.count + 8, 64)
    np.testing.assert_allclose(rows[: LEGEND.count].std(1), 0.5, rtol=1e-5)
    same = np.corrcoef(rows[0], rows[1])[0, 1]
    other = np.corrcoef(rows[0], rows[LEGEND.grounds - 1])[0, 1]
    assert same > 0.6 > abs(other)
    with pytest.raises(ValueError, match=f"the legend needs {LEGEND.count}"):
        LEGEND.rows(LEGEND.count - 1, 64, 0.5)


def test_a_side_must_be_a_whole_number_of_ids() -> None:
    for side in (32, 80):
        with pytest.raises(ValueError, match="a multiple of 32, from 64"):
            Legend(sides=(side,))


def test_rendered_text_lies_under_text_ids_of_its_colour() -> None:
    legend = Legend(sides=(256, 128))
    config = Renderer.Config(fonts=("NotoSansSC-Bold",), prominent=1.0, object_share=0.0)
    renderer = replace(config, squares=legend.sides, backgrounds={"flat": 1.0}).build()
    for index in range(6):
        made = renderer(3, index)
        ids = legend.ids(made)
        text = ids < legend.grounds
        assert set(np.array(NAMES)[ids[text] % len(NAMES)]) == {made.lines[0].colour}
        wide = np.kron(text, np.ones((32, 32), bool))
        border = np.abs(made.image.astype(int) - made.image[0, 0]).sum(-1)
        assert border[~wide].max() == 0 or (border[~wide] > 0).mean() < 0.01
        assert len(np.unique(ids[~text])) == 1
