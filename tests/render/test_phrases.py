from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from moyin.render import assets
from moyin.render.phrases import KINDS, Phrases, frequent
from moyin.render.text import traditional


def random() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=9))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_is_whole_and_can_be_quoted(kind: str, language: str) -> None:
    phrases, lot = Phrases(3500), random()
    made = {phrases(kind, language, lot) for _ in range(40)}
    assert len(made) > 1
    for text in made:
        assert text == text.strip()
        assert not set("{}'\"“”‘’「」") & set(text)
        assert bool(re.search("[一-鿿]", text)) <= (language == "zh")


def test_texts_keep_to_the_most_frequent_characters() -> None:
    known = set(assets.frequent_characters()[:200])
    phrases, lot = Phrases(200), random()
    for kind in KINDS:
        for _ in range(10):
            assert known.issuperset(re.findall("[一-鿿]", phrases(kind, "zh", lot)))


def test_words_are_drawn_by_frequency() -> None:
    """By Zipf's law with a shift of 40: of ranks from 0, the first 40 get log 2 / log 26."""
    words = [str(rank) for rank in range(1000)]
    lot = random()
    drawn = Counter(int(frequent(words, lot)) for _ in range(20_000))
    share = sum(drawn[rank] for rank in range(40)) / 20_000
    assert share == pytest.approx(np.log(2) / np.log(26), abs=0.01)
    assert max(drawn) == 999


def test_a_word_decides_which_traditional_form_its_characters_have() -> None:
    # 发 is 發 in 發展 and 髮 in 頭髮; 里 is 裏 in 里面 and stays in 公里.
    assert traditional("发展") == "發展"
    assert traditional("头发") == "頭髮"
    assert traditional("5公里") == "5公里"
    assert traditional("中国人民 A") == "中國人民 A"
