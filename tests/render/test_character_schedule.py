from __future__ import annotations

from collections import Counter

import pytest

from moyin.render import assets
from moyin.render.character_schedule import CharacterSchedule


def test_so_many_images_have_all_8105_characters_and_one_less_has_not() -> None:
    schedule = CharacterSchedule(count=8105, share=0.3, longest=4)
    needed = schedule.images_needed()
    drawn = [schedule(seed=7, index=index) for index in range(needed)]
    assert set("".join(drawn)) == set(assets.frequent_characters())
    assert len(set("".join(drawn[:-1]))) < 8105
    # 1 + 2 + 3 + 4 characters in four assignments, three of ten images: 3242, 10,807 images.
    assert needed == pytest.approx(8105 / 2.5 / 0.3, abs=5)


@pytest.mark.parametrize(
    ("count", "share", "longest"), [(10, 1.0, 4), (7, 0.25, 1), (50, 0.333, 3)]
)
def test_every_character_occurs_equally_often(count: int, share: float, longest: int) -> None:
    schedule = CharacterSchedule(count, share, longest)
    drawn = [schedule(0, index) for index in range(3000)]
    times = Counter("".join(drawn))
    assert set(times) == set(assets.frequent_characters()[:count])
    assert max(times.values()) - min(times.values()) <= 1
    assert {len(text) for text in drawn if text} == set(range(1, longest + 1))
    assert sum(map(bool, drawn)) == pytest.approx(3000 * share, abs=1)


def test_the_order_is_the_seeds_and_changes_with_every_epoch() -> None:
    schedule = CharacterSchedule(count=100, share=1.0, longest=1)
    first, second, other = (
        [schedule(seed, index) for index in span]
        for seed, span in ((1, range(100)), (1, range(100, 200)), (2, range(100)))
    )
    assert sorted(first) == sorted(second) == sorted(other)
    assert first != second
    assert first != other


def test_without_assignments_no_number_of_images_suffices() -> None:
    schedule = CharacterSchedule(count=10, share=0.0, longest=4)
    assert schedule(0, 0) == schedule(0, 999) == ""
    with pytest.raises(ValueError, match="no image is assigned characters"):
        schedule.images_needed()
