from __future__ import annotations

import random

import pytest

from moyin.ocr import scores


@pytest.mark.parametrize(
    ("pairs", "recall"),
    [
        ([("春天", "春天")], 1),
        ([("春天", "春夭")], 1 / 2),
        ([("春天", "天来春去")], 1),  # order is free, and so is what is too much
        ([("好好", "好")], 1 / 2),  # a multiset, not a set
        ([("OPEN", "open!")], 1),
        ([("Ａ１", "a1")], 1),  # full-width forms
        ([("春", "春"), ("abc", "")], 1 / 4),  # summed over pairs, not averaged
        ([("春", "")], 0),
        ([("", "春")], 1),
        ([], 1),
    ],
)
def test_characters(pairs: list[tuple[str, str]], recall: float) -> None:
    images = [([asked], [read]) for asked, read in pairs]
    assert scores.characters.of(images)["characters"] == pytest.approx(recall)


def test_exact() -> None:
    assert scores.exact("Sale 50", "SALE50.")
    assert scores.exact("“春天”", "春天")
    assert not scores.exact("春天", "天春")
    assert not scores.exact("春", "")


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("intention", "execution", 5),
        ("", "abc", 3),
        ("ab", "ba", 2),  # a transposition is two
        ("春天", "春天", 0),
        ("", "", 0),
    ],
)
def test_levenshtein(a: str, b: str, distance: int) -> None:
    assert scores.levenshtein(a, b) == scores.levenshtein(b, a) == distance


def distance_by_table(a: str, b: str) -> int:
    """Wagner and Fischer's dynamic programme."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y)))
    return row[-1]


@pytest.mark.parametrize("alphabet", ["ab", "abc 春天来了", "𠙶é1\U0001f600好"])
def test_levenshtein_agrees_with_the_textbook(alphabet: str) -> None:
    chance = random.Random(alphabet)
    for _ in range(200):
        a, b = ("".join(chance.choices(alphabet, k=chance.randint(0, 25))) for _ in range(2))
        assert scores.levenshtein(a, b) == distance_by_table(a, b)
        assert scores.levenshtein(a, a + b) == len(b)


def test_ned_counts_order() -> None:
    assert scores.ned("kitten", "Sitting") == pytest.approx(1 - 3 / 7)
    assert scores.ned("春天", "天春") == 0
    assert scores.ned("春天", "") == 0
    assert scores.ned("", "") == 1


def test_units() -> None:
    assert scores.units("春天Sale 50%，Ａ𠙶") == ["春", "天", "sale", "50", "a", "𠙶"]
    assert scores.units("don't_stop") == ["don", "t", "stop"]
    assert scores.units("…!") == []


def test_the_strict_scores_by_hand() -> None:
    first = (["Fresh bread", "春天"], ["fresh BREAD bread", "天"])
    # Units asked: fresh, bread, 春, 天; read: fresh, bread, bread, 天; shared: three.
    second = (["tea"], ["tea", "QWXZ"])
    found = scores.strict.of([first, second])
    assert found["precision"] == pytest.approx(4 / 6)
    assert found["f1"] == pytest.approx(2 * 4 / (5 + 6))
    # freshbread春天 against freshbreadbread天: 春 becomes b, and r, e, a, d are too much.
    assert found["ordered_ned"] == pytest.approx(((1 - 5 / 16) + (1 - 4 / 7)) / 2)
    assert found["exact"] == 0
    # QWXZ has no letter of tea; all other lines have half of their characters from what was asked.
    assert found["spurious"] == pytest.approx(4 / (16 + 7))


def test_garbage_costs_nothing_but_here() -> None:
    from moyin.ocr import benchmark_scores

    asked, garbage = ["春天来了"], ["春天来了", "的一是了我不人在他有这个上们来到"]
    forgiving = benchmark_scores.longtext("zh")
    assert forgiving.of([(asked, asked)]) == forgiving.of([(asked, garbage)]) == {"text": 1}
    strict = scores.strict.of([(asked, garbage)])
    assert strict["precision"] == pytest.approx(4 / 20)
    assert strict["spurious"] == pytest.approx(16 / 20)
    assert scores.strict.of([(asked, asked)]) == {
        "precision": 1,
        "f1": 1,
        "ordered_ned": 1,
        "exact": 1,
        "spurious": 0,
    }


def test_nothing_read_and_nothing_asked() -> None:
    nothing = scores.strict.of([(["tea"], [])])
    assert nothing == {"precision": 0, "f1": 0, "ordered_ned": 0, "exact": 0, "spurious": 0}
    assert scores.strict.of([([], [])])["precision"] == 1
    assert scores.strict.of([])["f1"] == 1


def test_sums_add_up() -> None:
    assert scores.added([{"a": 1}, {"a": 2, "b": 3}]) == {"a": 3, "b": 3}
    assert scores.added([]) == {}
