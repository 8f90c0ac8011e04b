"""Scores of what was read against what was asked for.

A pair is (asked for, read). Scores are shares in [0, 1], higher is better; those of no text at
all are 1, since nothing is missing.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

Pair = tuple[str, str]


def plain(text: str) -> str:
    """Letters, digits and characters alone, lower-cased, full-width forms as their plain ones."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return "".join(c for c in folded if c.isalnum())


def character_accuracy(pairs: Iterable[Pair]) -> float:
    """The share of the asked-for characters that were read: multisets of `plain`, summed over
    all pairs (LongText-Bench's score for Chinese). Order and what is too much cost nothing."""
    asked, _, shared = _counts(pairs)
    return shared / asked if asked else 1.0


def character_precision(pairs: Iterable[Pair]) -> float:
    """The share of the characters read that were asked for: what spurious ones cost."""
    _, read, shared = _counts(pairs)
    return shared / read if read else 1.0


def exact(asked: str, read: str) -> bool:
    """Whether the two say the same, after `plain`."""
    return plain(asked) == plain(read)


def ned(asked: str, read: str) -> float:
    """1 − Levenshtein distance / the longer one's length, after `plain`: order counts."""
    first, second = plain(asked), plain(read)
    longest = max(len(first), len(second))
    return 1 - levenshtein(first, second) / longest if longest else 1.0


def word_accuracy(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float:
    """CVTG-2K's: the share of all asked-for words that stand among those read in their picture."""
    hits = [word in read for asked, read in pairs for word in asked]
    return sum(hits) / len(hits) if hits else 1.0


def word_ned(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float:
    """CVTG-2K's NED: the mean over all asked-for words of 1 − Levenshtein distance to the
    closest word read (difflib's choice) / (the longer one's length + 1e-5)."""
    scores = [_closest(word, read) for asked, read in pairs for word in asked]
    return sum(scores) / len(scores) if scores else 1.0


def _closest(word: str, read: Sequence[str]) -> float:
    best = difflib.get_close_matches(word, read, n=1, cutoff=0)
    if not best:
        return 0.0
    return 1 - levenshtein(word, best[0]) / (max(len(word), len(best[0])) + 1e-5)


def levenshtein(a: str, b: str) -> int:
    """The fewest insertions, deletions and substitutions of characters that turn a into b."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    return row[-1]


def _counts(pairs: Iterable[Pair]) -> tuple[int, int, int]:
    """Characters asked for, read, and in both."""
    asked = read = shared = 0
    for first, second in pairs:
        wanted, found = Counter(plain(first)), Counter(plain(second))
        asked += wanted.total()
        read += found.total()
        shared += (wanted & found).total()
    return asked, read, shared
