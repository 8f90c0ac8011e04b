from __future__ import annotations

from collections import Counter

import pytest

from moyin.render import assets
from moyin.render.interleaver import Turns


def test_so_many_images_have_all_8105_characters_and_one_less_has_not() -> None:
    turns = Turns(count=8105, share=0.3, longest=4)
    enough = turns.enough()
    drawn = [turns(seed=7, index=index) for index in range(enough)]
    assert set("".join(drawn)) == set(assets.frequent_characters())
    assert len(set("".join(drawn[:-1]))) < 8105
    # 1 + 2 + 3 + 4 characters in four turns, three of ten images: 3242 turns, 10,807 images.
    assert enough == pytest.approx(8105 / 2.5 / 0.3, abs=5)


@pytest.mark.parametrize(
    ("count", "share", "longest"), [(10, 1.0, 4), (7, 0.25, 1), (50, 0.333, 3)]
)
def test_every_character_is_met_equally_often(count: int, share: float, longest: int) -> None:
    turns = Turns(count, share, longest)
    drawn = [turns(0, index) for index in range(3000)]
    times = Counter("".join(drawn))
    assert set(times) == set(assets.frequent_characters()[:count])
    assert max(times.values()) - min(times.values()) <= 1
    assert {len(text) for text in drawn if text} == set(range(1, longest + 1))
    assert sum(map(bool, drawn)) == pytest.approx(3000 * share, abs=1)


def test_the_order_is_the_seeds_and_changes_with_every_round() -> None:
    turns = Turns(count=100, share=1.0, longest=1)
    first, second, other = (
        [turns(seed, index) for index in span]
        for seed, span in ((1, range(100)), (1, range(100, 200)), (2, range(100)))
    )
    assert sorted(first) == sorted(second) == sorted(other)
    assert first != second
    assert first != other


def test_without_turns_there_is_never_enough() -> None:
    turns = Turns(count=10, share=0.0, longest=4)
    assert turns(0, 0) == turns(0, 999) == ""
    with pytest.raises(ValueError, match="no image has a turn"):
        turns.enough()
