from __future__ import annotations

import pytest

from moyin.recognise import scores


@pytest.mark.parametrize(
    ("pairs", "recall", "precision"),
    [
        ([("春天", "春天")], 1, 1),
        ([("春天", "春夭")], 1 / 2, 1 / 2),
        ([("春天", "天来春去")], 1, 2 / 4),  # order is free, too much shows in the precision
        ([("好好", "好")], 1 / 2, 1),  # a multiset, not a set
        ([("OPEN", "open!")], 1, 1),
        ([("Ａ１", "a1")], 1, 1),  # full-width forms
        ([("春", "春"), ("abc", "")], 1 / 4, 1),  # summed over pairs, not averaged
        ([("春", "")], 0, 1),
        ([("", "春")], 1, 0),
        ([], 1, 1),
    ],
)
def test_characters(pairs: list[tuple[str, str]], recall: float, precision: float) -> None:
    assert scores.character_accuracy(pairs) == pytest.approx(recall)
    assert scores.character_precision(pairs) == pytest.approx(precision)


def test_exact() -> None:
    assert scores.exact("Sale 50", "SALE50.")
    assert scores.exact("“春天”", "春天")
    assert not scores.exact("春天", "天春")
    assert not scores.exact("春", "")


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("kitten", "sitting", 3), ("flaw", "lawn", 2), ("", "abc", 3), ("春天", "春天", 0)],
)
def test_levenshtein(a: str, b: str, distance: int) -> None:
    assert scores.levenshtein(a, b) == scores.levenshtein(b, a) == distance


def test_ned_counts_order() -> None:
    assert scores.ned("kitten", "Sitting") == pytest.approx(1 - 3 / 7)
    assert scores.ned("春天", "天春") == 0
    assert scores.ned("春天", "") == 0
    assert scores.ned("", "") == 1


def test_words_as_cvtg_counts_them() -> None:
    first = (["hello", "world"], ["hallo", "world", "extra"])
    second = (["cat"], [])
    assert scores.word_accuracy([first, second]) == pytest.approx(1 / 3)
    # hello against hallo is one edit in five; cat has nothing to be compared with.
    wanted = ((1 - 1 / (5 + 1e-5)) + 1 + 0) / 3
    assert scores.word_ned([first, second]) == pytest.approx(wanted, abs=1e-12)
    # Not even the farthest word is out of reach: all three letters differ, and one is missing.
    assert scores.word_ned([(["cat"], ["moon"])]) == pytest.approx(1 - 4 / (4 + 1e-5), abs=1e-12)
