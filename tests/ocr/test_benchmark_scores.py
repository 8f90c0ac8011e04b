"""The published formulas, against cases worked by hand and against a second implementation.

The second one is written from the benchmarks' descriptions alone, in other terms: a memoised
recursion for the edit distance, sorted lists for multisets.
"""

from __future__ import annotations

import difflib
import random
import string
from functools import cache

import pytest

from moyin.ocr import benchmark_scores
from moyin.ocr.scores import Texts

Images = list[tuple[Texts, Texts]]


def test_cvtg_words() -> None:
    prompt = "A sign 'OPEN Late!' and 'it's' over 'Café'."
    # The apostrophe ends a string, so that the next quotation mark opens none.
    assert benchmark_scores.cvtg_words(prompt) == ["open", "late!", "it", "over"]
    assert benchmark_scores.cvtg_words("a sign that says “OPEN”") == []


def test_cvtg_by_hand() -> None:
    first = (["hello", "world"], ["hallo WORLD", "extra"])
    second = (["cat"], [])
    found = benchmark_scores.cvtg.of([first, second])
    assert found["word_accuracy"] == pytest.approx(1 / 3)
    # hello against hallo is one edit in five; cat is compared with an empty word.
    wanted = ((1 - 1 / (5 + 1e-5)) + 1 + (1 - 3 / (3 + 1e-5))) / 3
    assert found["ned"] == pytest.approx(wanted, abs=1e-12)
    # Not even the farthest word is out of reach: all three letters differ, and one is missing.
    far = benchmark_scores.cvtg.of([(["cat"], ["moon"])])
    assert far["ned"] == pytest.approx(1 - 4 / (4 + 1e-5), abs=1e-12)


def test_what_cvtg_forgives_and_what_not() -> None:
    once = [(["tea", "tea"], ["tea", "and any amount of garbage"])]
    assert benchmark_scores.cvtg.of(once) == {"word_accuracy": 1, "ned": 1}
    swapped = [(["fresh", "bread"], ["bread fresh"])]
    assert benchmark_scores.cvtg.of(swapped)["word_accuracy"] == 1
    stop = [(["stop."], ["stop"])]  # punctuation is kept
    assert benchmark_scores.cvtg.of(stop)["word_accuracy"] == 0
    assert benchmark_scores.cvtg.of([([], ["word"])]) == {"word_accuracy": 0, "ned": 0}


def test_longtext_by_hand() -> None:
    english = benchmark_scores.longtext("en")
    asked = ["FRESH BREWS, EVERY MORNING, EVERY DAY", "Since 1998"]
    read = ["every fresh brews", "day morning since 1998!", "café"]
    assert english.of([(asked, read)]) == {"text": pytest.approx(7 / 8)}  # one "every" of two
    # Over all images: 7 of 8 words and 0 of 2.
    assert english.of([(asked, read), (["a b"], [])])["text"] == pytest.approx(7 / 10)
    chinese = benchmark_scores.longtext("zh")
    assert chinese.of([(["每日新鲜", "1998年"], ["年8991 日每", "鲜"])])["text"] == pytest.approx(
        8 / 9
    )
    # Case counts in Chinese mode; 〇 and characters beyond the basic ones are not looked at.
    assert chinese.of([(["5G〇𠙶"], ["5g"])])["text"] == pytest.approx(1 / 2)


def test_longtext_forgives_order_and_excess() -> None:
    assert benchmark_scores.longtext("zh").of([(["春天"], ["天天向上，春"])]) == {"text": 1}


def test_oneig_by_hand() -> None:
    english = benchmark_scores.oneig("en")
    asked = ["['Tea Time', 'Open']"]
    assert english.of([(asked, ["Tea  Time", "Open!"])]) == {"text": 1, "ed": 0, "cr": 1, "wac": 1}
    one = english.of([(asked, ["Tea Tim", "open"])])  # case counts: two edits
    assert (one["ed"], one["cr"], one["wac"]) == (2, 0, pytest.approx(1 / 3))
    assert one["text"] == pytest.approx(1 - 2 * (2 / 3) / 100)
    both = english.of([(asked, ["Tea Tim", "open"]), (asked, ["Tea Time Open"])])
    assert both["ed"] == 1
    assert both["text"] == pytest.approx(1 - 1 * (1 / 2) * (2 / 6) / 100)


def test_oneig_by_hand_in_chinese() -> None:
    chinese = benchmark_scores.oneig("zh")
    found = chinese.of([(["['春天', '来 了']"], ["春天", "来"])])
    assert found == {"ed": 1, "cr": 0, "wac": 3 / 4, "text": pytest.approx(1 - 1 / 4 / 50)}
    # Beyond 50 edits nothing gets worse, and what was read whole still counts.
    long = chinese.of([(["春"], ["春" + "天" * 80])])
    assert (long["ed"], long["wac"], long["text"]) == (80, 1, 1)
    assert chinese.of([(["春" * 60], [])])["text"] == 0


def test_one_character_by_hand() -> None:
    images = [
        (["春"], ["春"]),
        (["春"], ["春天"]),
        (["天"], ["夭"]),
        (["〇"], []),
        (["A"], ["a"]),
    ]
    assert benchmark_scores.one_character.of(images) == {"accuracy": 2 / 5}


def distance(a: str, b: str) -> int:
    """Edit distance by recursion from the ends."""

    @cache
    def between(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        if a[i - 1] == b[j - 1]:
            return between(i - 1, j - 1)
        return 1 + min(between(i - 1, j), between(i, j - 1), between(i - 1, j - 1))

    return between(len(a), len(b))


def common(first: list[str], second: list[str]) -> int:
    """The size of the common multiset, by taking items away."""
    left = list(second)
    return sum(left.remove(item) is None for item in first if item in left)


def reference_cvtg(images: Images) -> dict[str, float]:
    near: list[float] = []
    hits = 0
    for asked, read in images:
        words = " ".join(read).lower().split() or [""]
        for word in asked:
            hits += word in set(words)
            ratios = [difflib.SequenceMatcher(None, w, word).ratio() for w in words]
            # Of equally close ones difflib takes the last in the alphabet.
            best = max(zip(ratios, words, strict=True))[1]
            near.append(1 - distance(word, best) / (max(len(word), len(best)) + 1e-5))
    return {"word_accuracy": hits / len(near), "ned": sum(near) / len(near)}


def kept(text: str) -> str:
    accented = "àâäéèêëîïôöùûüç"
    good = set(string.ascii_letters + string.digits + accented + accented.upper())
    return "".join(c for c in text if c in good or c.isspace() or "一" <= c <= "\u9fa5")


def reference_longtext(images: Images, language: str) -> dict[str, float]:
    hits = of = 0
    for asked, read in images:
        parts = [kept(" ".join(texts)) for texts in (asked, read)]
        first, second = (
            p.lower().split() if language == "en" else [c for c in p if not c.isspace()]
            for p in parts
        )
        hits, of = hits + common(first, second), of + len(first)
    return {"text": hits / of}


def reference_oneig(images: Images, longest: int) -> dict[str, float]:
    edits, hits, of = [], 0, 0
    for asked, read in images:
        texts = []
        for text in (" ".join(asked), " ".join(read)):
            words = kept(text).split()
            chinese = any("一" <= c <= "\u9fff" for word in words for c in word)
            texts.append(("" if chinese else " ").join(words))
        wanted, there = texts
        edits.append(distance(wanted, there))
        chinese = any("一" <= c <= "\u9fff" for c in wanted)
        first, second = (list(t) if chinese else t.split(" ") for t in texts)
        first, second = [p for p in first if p], [p for p in second if p]
        hits, of = hits + common(first, second), of + len(first)
    ed, cr = sum(edits) / len(edits), edits.count(0) / len(edits)
    wac = hits / of
    return {
        "text": 1 - min(longest, ed) / longest * (1 - cr) * (1 - wac),
        "ed": ed,
        "cr": cr,
        "wac": wac,
    }


LETTERS = {
    "en": "aab bcdeeE o,.!'-é1 2 \n",
    "zh": "春天来了 好的a1，。〇𠙶\n",
}


def pairs(language: str) -> Images:
    """200 strings and what became of them: edited, shuffled, cut, or something else."""
    chance = random.Random(language)

    def text() -> str:
        return "".join(chance.choices(LETTERS[language], k=chance.randint(1, 40))) + "a春"

    found: Images = []
    for _ in range(200):
        asked = text()
        read = list(asked)
        for _ in range(chance.randint(0, 6)):
            read[chance.randrange(len(read))] = chance.choice(LETTERS[language])
        if chance.random() < 0.2:
            chance.shuffle(read)
        if chance.random() < 0.1:
            read = list(text())
        found.append(([asked], "".join(read[: chance.randint(0, 60)]).split("\n")))
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
def test_agreement_on_two_hundred_random_pairs(language: str) -> None:
    images = pairs(language)
    words: Images = [(asked[0].lower().split(), read) for asked, read in images]
    longest = {"en": 100, "zh": 50}[language]
    for some in [*([p] for p in images), images]:
        found = benchmark_scores.longtext(language).of(some)
        assert found == pytest.approx(reference_longtext(some, language), abs=1e-9)
        found = benchmark_scores.oneig(language).of(some)
        assert found == pytest.approx(reference_oneig(some, longest), abs=1e-9)
    for some in [*([p] for p in words), words]:
        assert benchmark_scores.cvtg.of(some) == pytest.approx(reference_cvtg(some), abs=1e-9)
