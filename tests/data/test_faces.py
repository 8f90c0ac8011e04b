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


def test_faces_are_found_in_a_folder_of_the_system(tmp_path: Path) -> None:
    source = faces.shipped()["Anton-Regular"].path
    shutil.copy(source, tmp_path / "Mine.ttf")  # FreeType goes by content, not by name
    (tmp_path / "notes.txt").write_text("not a face")
    assert list(faces.system((str(tmp_path),))) == ["Mine"]


def test_an_unknown_face_is_named() -> None:
    with pytest.raises(ValueError, match=r"no face 'Nowhere'.*Anton-Regular"):
        faces.find(["Nowhere"])
