from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moyin.render import assets, fonts


def test_two_shipped_fonts_write_the_whole_table_and_four_its_first_level() -> None:
    first = "".join(assets.characters(1))
    whole = "".join(assets.frequent_characters())
    shipped = fonts.shipped().values()
    assert sum(fonts.covers(font, whole) for font in shipped) >= 2
    assert sum(fonts.covers(font, first) for font in shipped) >= 4
    assert all(fonts.covers(font, "ABCxyz 0189!?%$:") for font in shipped)


def test_a_font_that_lacks_a_character_says_so() -> None:
    anton = fonts.shipped()["Anton-Regular"]
    assert fonts.covers(anton, "Spring")
    assert not fonts.covers(anton, "Spring 春")


def test_what_is_covered_has_ink() -> None:
    for font in fonts.shipped().values():
        for character in "一龘Ag" + "".join(assets.frequent_characters()[::400]):
            if fonts.covers(font, character):
                assert fonts.load_font(font, 40).getmask(character).getbbox() is not None


@pytest.mark.slow
def test_each_of_the_8105_characters_is_drawn_as_itself() -> None:
    """No two look alike in a font that has them all, and none as what it has not."""
    whole = assets.frequent_characters()
    complete = [font for font in fonts.shipped().values() if fonts.covers(font, "".join(whole))]
    assert len(complete) >= 2
    for font in complete:
        font = fonts.load_font(font, 40)
        masks = [font.getmask(character) for character in ["\U0010fffd", *whole]]
        assert len({(mask.size, bytes(mask)) for mask in masks}) == 8106


def test_fonts_are_found_in_a_folder_of_the_system(tmp_path: Path) -> None:
    source = fonts.shipped()["Anton-Regular"].path
    shutil.copy(source, tmp_path / "Mine.ttf")  # FreeType goes by content, not by name
    (tmp_path / "notes.txt").write_text("not a font")
    assert list(fonts.system((str(tmp_path),))) == ["Mine"]


def test_an_unknown_font_is_named() -> None:
    with pytest.raises(ValueError, match=r"no font 'Nowhere'.*Anton-Regular"):
        fonts.find(["Nowhere"])


def test_a_font_has_the_style_of_its_folder_or_its_name() -> None:
    styles = {name: font.style for name, font in fonts.shipped().items()}
    assert styles["NotoSansSC-Bold"] == styles["Anton-Regular"] == "hei"
    assert styles["NotoSerifSC-Bold"] == styles["RobotoSlab-Bold"] == "song"
    assert styles["MoyinKai-Bold"] == "kai"
    assert styles["MaShanZheng-Regular"] == "brush"
    assert styles["ZCOOLKuaiLe-Regular"] == "rounded"
    assert fonts.Font("Mine", Path("fonts/brush/Mine.ttf")).style == "brush"
    assert fonts.Font("Mine", Path("fonts/Mine.ttf")).style == ""


def test_three_styles_write_traditional_characters() -> None:
    forms = "".join(form for form in assets.traditional().values())
    able = {font.style for font in fonts.shipped().values() if fonts.covers(font, forms)}
    assert able == {"hei", "song", "kai"}
