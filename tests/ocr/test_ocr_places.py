from __future__ import annotations

from moyin.ocr.places import CHINESE, ENGLISH, PLACES, place_of


def test_every_place_has_words_in_both_languages() -> None:
    names = {name for row in PLACES for name in row}
    assert len(names) == 9
    assert set(CHINESE) == set(ENGLISH) == names


def test_places_of_a_wide_image() -> None:
    assert place_of((0, 0, 10, 10), 100, 400) == "top left"
    assert place_of((180, 60, 220, 80), 90, 400) == "bottom"
    assert place_of((390, 40, 400, 50), 90, 400) == "right"


def test_centres_beyond_the_image_belong_to_the_nearest_place() -> None:
    assert place_of((-30, -20, 10, 10), 90, 90) == "top left"
    assert place_of((95, 95, 130, 130), 90, 90) == "bottom right"
