from __future__ import annotations

import numpy as np
import pytest

from moyin.render import fonts, typesetting

FONT = "NotoSansSC-Bold"


def test_rows_break_at_blanks_or_beside_chinese() -> None:
    def rows(text: str, count: int) -> list[str]:
        return [text[a:b] for a, b in typesetting.break_rows(text, count)]

    assert rows("春夏秋冬", 2) == ["春夏", "秋冬"]
    assert rows("春夏秋冬", 1) == ["春夏秋冬"]
    assert rows("NEW YEAR SALE", 2) == ["NEW YEAR", "SALE"]
    assert rows("NEWYEAR", 3) == ["NEWYEAR"]
    assert rows("张华之印章子", 3) == ["张华", "之印", "章子"]
    assert rows("你好，再见", 2) == ["你好，", "再见"]  # no row begins with a comma


def test_the_largest_size_that_has_room_is_taken() -> None:
    """A hanzi is one em wide; a second row lies 1.2 ems below."""
    font = fonts.shipped()[FONT]
    one = typesetting.fit_text("春夏秋冬", font, (400, 130), (10, 500))
    assert one is not None
    assert (len(one.rows), one.em) == (1, pytest.approx(100, abs=1))
    two = typesetting.fit_text("春夏秋冬", font, (400, 440), (10, 500), most=2)
    assert two is not None
    assert (len(two.rows), two.em) == (2, pytest.approx(200, abs=1))
    column = typesetting.fit_text("春夏秋冬", font, (80, 400), (10, 500), vertical=True)
    assert column is not None
    assert column.em == pytest.approx(80)
    assert typesetting.fit_text("春夏秋冬", font, (400, 130), (120, 500)) is None


@pytest.mark.parametrize("vertical", [False, True])
def test_every_character_has_its_ink_in_its_box(vertical: bool) -> None:
    font = fonts.shipped()[FONT]
    found = typesetting.fit_text(
        "春天在，口A", font, (300, 300), (20, 90), vertical=vertical, most=2
    )
    assert found is not None
    block = typesetting.block("春天在，口A", font, found)
    ink = np.asarray(block.ink) > 100
    covered = np.zeros_like(ink)
    for left, top, right, bottom in block.boxes:
        area = (slice(round(top), round(bottom)), slice(round(left), round(right)))
        rows, columns = np.nonzero(ink[area])
        assert (rows.min(), columns.min()) == pytest.approx((0, 0), abs=2)
        assert rows.max() + 1 == pytest.approx(bottom - top, abs=2)
        assert columns.max() + 1 == pytest.approx(right - left, abs=2)
        grown = (
            slice(max(0, round(top) - 1), round(bottom) + 1),
            slice(max(0, round(left) - 1), round(right) + 1),
        )
        covered[grown] = True
    assert not (ink & ~covered).any()


def test_columns_go_from_right_to_left_and_their_characters_down() -> None:
    font = fonts.shipped()[FONT]
    found = typesetting.fit_text("春夏秋冬", font, (200, 200), (20, 90), vertical=True, most=2)
    assert found is not None
    boxes = typesetting.block("春夏秋冬", font, found).boxes
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert middles[0, 0] == pytest.approx(middles[1, 0], abs=4)
    assert middles[0, 0] > middles[2, 0] + found.em
    assert middles[1, 1] - middles[0, 1] == pytest.approx(found.em, abs=6)


def test_a_blank_has_a_box_and_no_ink() -> None:
    font = fonts.shipped()[FONT]
    found = typesetting.fit_text("A B", font, (300, 100), (20, 60))
    assert found is not None
    block = typesetting.block("A B", font, found)
    left, _, right, _ = block.boxes[1].round().astype(int)
    assert right > left
    assert not np.asarray(block.ink)[:, left + 1 : right - 1].any()
