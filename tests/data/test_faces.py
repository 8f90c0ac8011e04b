from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moyin.data import assets, faces


def test_two_shipped_faces_write_the_whole_table_and_four_its_first_level() -> None:
    first = "".join(assets.characters(1))
    whole = "".join(assets.frequent_characters())
    shipped = faces.shipped().values()
    assert sum(faces.covers(face, whole) for face in shipped) >= 2
    assert sum(faces.covers(face, first) for face in shipped) >= 4
    assert all(faces.covers(face, "ABCxyz 0189!?%$:") for face in shipped)


def test_a_face_that_lacks_a_character_says_so() -> None:
    anton = faces.shipped()["Anton-Regular"]
    assert faces.covers(anton, "Spring")
    assert not faces.covers(anton, "Spring 春")


def test_what_is_covered_has_ink() -> None:
    for face in faces.shipped().values():
        for character in "一龘Ag" + "".join(assets.frequent_characters()[::400]):
            if faces.covers(face, character):
                assert faces.font(face, 40).getmask(character).getbbox() is not None


@pytest.mark.slow
def test_each_of_the_8105_characters_is_drawn_as_itself() -> None:
    """No two look alike in a face that has them all, and none as what it has not."""
    whole = assets.frequent_characters()
    complete = [face for face in faces.shipped().values() if faces.covers(face, "".join(whole))]
    assert len(complete) >= 2
    for face in complete:
        font = faces.font(face, 40)
        masks = [font.getmask(character) for character in ["\U0010fffd", *whole]]
        assert len({(mask.size, bytes(mask)) for mask in masks}) == 8106


def test_faces_are_found_in_a_folder_of_the_system(tmp_path: Path) -> None:
    source = faces.shipped()["Anton-Regular"].path
    shutil.copy(source, tmp_path / "Mine.ttf")  # FreeType goes by content, not by name
    (tmp_path / "notes.txt").write_text("not a face")
    assert list(faces.system((str(tmp_path),))) == ["Mine"]


def test_an_unknown_face_is_named() -> None:
    with pytest.raises(ValueError, match=r"no face 'Nowhere'.*Anton-Regular"):
        faces.find(["Nowhere"])


def test_a_face_has_the_style_of_its_folder_or_its_name() -> None:
    styles = {name: face.style for name, face in faces.shipped().items()}
    assert styles["NotoSansSC-Bold"] == styles["Anton-Regular"] == "hei"
    assert styles["NotoSerifSC-Bold"] == styles["RobotoSlab-Bold"] == "song"
    assert styles["MoyinKai-Bold"] == "kai"
    assert styles["MaShanZheng-Regular"] == "brush"
    assert styles["ZCOOLKuaiLe-Regular"] == "rounded"
    assert faces.Face("Mine", Path("fonts/brush/Mine.ttf")).style == "brush"
    assert faces.Face("Mine", Path("fonts/Mine.ttf")).style == ""


def test_three_styles_write_traditional_characters() -> None:
    forms = "".join(form for form in assets.traditional().values())
    able = {face.style for face in faces.shipped().values() if faces.covers(face, forms)}
    assert able == {"hei", "song", "kai"}
