"""Text in squares: rows of cells on the grid of the ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from moyin.nano.codebook_layout import CodebookLayout, numbered
from moyin.ocr.colours import COLOURS
from moyin.render import fonts, squares
from moyin.render.edits import EditRenderer
from moyin.render.renderer import Renderer
from moyin.render.text_shape import PlacedText
from moyin.train.objectives.glyph_encoder import bitmap
from moyin.train.text_mask import text_mask

FONT = fonts.shipped()["NotoSansSC-Bold"]
LAYOUT = CodebookLayout(sides=(128, 96), words=(1, 4), letters=(4, 8))
CONFIG = Renderer.Config(
    fonts=(FONT.name,),
    prominent=1.0,
    prominent_characters=24,
    words=1.0,
    object_share=0.0,
    backgrounds={"flat": 1.0},
    squares=LAYOUT.sides,
    square_words=LAYOUT.words,
    square_letters=LAYOUT.letters,
)


def same_as_bitmap(placed: PlacedText, number: int, character: str, side: int) -> None:
    """The ink within a character's square, made as small, is the bitmap that is learned of it."""
    left, top = (round(n) for n in placed.squares[number][:2])
    cut = Image.new("L", (side, side))
    cut.paste(placed.ink, (placed.corner[0] - left, placed.corner[1] - top))
    drawn = np.asarray(cut.resize((24, 24), Image.Resampling.BOX), float)
    learnt = bitmap(character, FONT.name, 24).reshape(24, 24).astype(float)
    alone = drawn[:, 6:], learnt[:, 6:]  # clear of what stands before it
    assert np.corrcoef(alone[0].ravel(), alone[1].ravel())[0, 1] > 0.93


@pytest.mark.parametrize("character", "春A一g")
def test_a_square_is_what_the_glyph_bitmap_covers(character: str) -> None:
    text = "x" + character
    same_as_bitmap(squares.placed(text, [(0, 2)], FONT, 192, (32, 64)), 1, character, 192)


def test_a_letter_gets_whole_ids_of_its_square() -> None:
    assert [squares.letter_width(side) for side in (256, 128, 96, 64)] == [192, 96, 64, 48]
    assert squares.row_width("春A", 128) == 128 + 96


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("春天", ["春天"]),
        ("Good Luck", ["Good", "Luck"]),
        ("生日快乐万事如意", ["生日快乐", "万事如意"]),
        ("我们明天在那里见", ["我们明天", "在那里见"]),
        ("一二三四五六七", ["一二三四", "五六七"]),
        ("一二三四五六七八九十一", ["一二三四", "五六七八", "九十一"]),
        ("Hello 你好", ["Hello", "你好"]),
        ("Congratulations", ["Congratulations"]),
    ],
)
def test_rows_end_at_blanks_and_where_the_image_does(text: str, rows: list[str]) -> None:
    assert [text[a:b] for a, b in squares.broken(text, 96, 512)] == rows


def test_rows_stand_in_the_middle_of_the_longest_on_the_grid() -> None:
    text = "To Luck 好"
    placed = squares.placed(text, squares.broken(text, 96, 512), FONT, 96, (64, 32))
    middles = [((a + c) / 2, b) for a, b, c, _ in placed.squares]
    found = [at for character, at in zip(text, middles, strict=True) if character != " "]
    two = [(64 + 64 + 32, 32), (64 + 128 + 32, 32)]
    four = [(64 + 64 * i + 32, 128) for i in range(4)]
    assert found == [*two, *four, (64 + 64 + 48, 224)]
    assert len(placed.characters) == len(text)
    inside = [box for c, box in zip(text, placed.characters, strict=True) if c != " "]
    left, top, right, bottom = placed.box
    assert all(left <= a < c <= right and top <= b < d <= bottom for a, b, c, d in inside)
    same_as_bitmap(placed, 6, "k", 96)
    same_as_bitmap(placed, 8, "好", 96)


def test_ids_say_where_every_character_of_every_row_lies() -> None:
    """Which of its word it is, in the side that holds them all, and nothing where a blank is."""
    renderer, sides = CONFIG.build(), set()
    for index in range(60):
        sample = renderer(3, index)
        (line,), ids = sample.lines, LAYOUT.ids(sample)
        text = ids < LAYOUT.grounds
        said = np.array(LAYOUT.meanings)[ids[text] // len(COLOURS)]
        sides |= {*said[:, 0]}
        assert len({*said[:, 0]}) == 1
        words = line.text.split()
        every = {(w, n) for w, word in enumerate(words) for n in range(len(word))}
        assert {*map(tuple, said[:, 1:3].tolist())} == every
        assert np.array_equal(text, text_mask(sample.to_json()["lines"], ids.shape))
        most = LAYOUT.sides.index(said[0, 0])
        assert len(words) <= LAYOUT.words[most]
        assert max(map(len, words)) <= LAYOUT.letters[most]
    assert sides == {128, 96}


def test_characters_are_numbered_in_their_words() -> None:
    assert numbered("To 你") == [(0, 0), (0, 1), None, (1, 0)]


def test_an_edit_writes_in_the_same_rows() -> None:
    alike = {"recoloured": 0.0, "resized": 0.0}
    renderer = EditRenderer.Config(**vars(replace(CONFIG, words=0.5)), **alike).build()
    several = 0
    for index in range(0, 60, 2):
        first, second = (renderer(3, n).lines[0] for n in (index, index + 1))
        assert [b for _, b, _, _ in first.squares] == [b for _, b, _, _ in second.squares]
        several += first.squares[0][1] != first.squares[-1][1] and first.text != second.text
    assert several


def test_numbers_of_other_sides_are_refused() -> None:
    with pytest.raises(ValueError, match=r"square_words=\[1, 4\]: one for each of squares=\[128\]"):
        Renderer.Config(squares=(128,), square_words=(1, 4), square_letters=(4,)).build()
    with pytest.raises(ValueError, match=r"square_letters=\[\]: one for each of squares=\[128\]"):
        Renderer.Config(squares=(128,), square_words=(1,)).build()
    with pytest.raises(ValueError, match=r"letters=\[4\]: one for each of \[128, 96\]"):
        _ = CodebookLayout(sides=(128, 96), letters=(4,)).count
