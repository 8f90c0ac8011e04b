from __future__ import annotations

import numpy as np
import pytest

from moyin.render import assets, text


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=7))


@pytest.mark.parametrize("words", [0.0, 1.0])
@pytest.mark.parametrize(("count", "longest"), [(5, 1), (200, 4), (3500, 12)])
def test_chinese_keeps_to_its_characters_and_length(
    count: int, longest: int, words: float, random: np.random.Generator
) -> None:
    known = set(assets.frequent_characters()[:count])
    for _ in range(100):
        said = text.chinese(count, longest, words, random)
        assert 1 <= len(said) <= longest
        assert known.issuperset(said)


def test_characters_are_drawn_evenly(random: np.random.Generator) -> None:
    drawn = "".join(text.chinese(20, 4, 0.0, random) for _ in range(2000))
    counts = [drawn.count(character) for character in assets.frequent_characters()[:20]]
    assert sum(counts) == len(drawn)
    assert max(counts) < 1.4 * min(counts)


@pytest.mark.parametrize("longest", [1, 3, 12])
def test_english_and_numbers_keep_to_their_length(
    longest: int, random: np.random.Generator
) -> None:
    for _ in range(100):
        said = text.english(longest, 0.7, random)
        assert 1 <= len(said) <= longest
        assert said.isascii()
        assert said == said.strip()
        assert 1 <= len(text.number(longest, random)) <= longest


def test_invented_words_have_every_length(random: np.random.Generator) -> None:
    drawn = [text.english(24, 0.0, random) for _ in range(400)]
    assert {len(word) for said in drawn for word in said.split()} == set(
        range(1, text.MAX_RANDOM + 1)
    )
    assert {len(said.split()) for said in drawn} >= {1, 2, 3}
    known = {word.lower() for word in assets.english_words()}
    assert sum(word.lower() in known for said in drawn for word in said.split()) < 40


def test_chinese_of_even_characters_has_every_length(random: np.random.Generator) -> None:
    drawn = {len(text.chinese(3500, 24, 0.0, random)) for _ in range(200)}
    assert drawn == set(range(1, text.MAX_RANDOM + 1))
