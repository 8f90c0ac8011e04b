"""Our own scores of what was read against what was asked for, which forgive nothing.

Every scorer counts one image at a time into sums, and makes scores of the sums of many: so a
score of any choice of images, which a bootstrap draws thousands of, is one addition away.
Scores are shares in [0, 1] unless said otherwise; those of no text at all are 1, since nothing is
missing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Sums = dict[str, float]
Scores = dict[str, float]
Texts = Sequence[str]

STRAY = 0.5  # a line of which less than this share was asked for is spurious
# Chinese characters, with radicals, compatibility forms and the rarer planes.
_HAN = "\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+")


@dataclass(frozen=True)
class Scorer:
    """count: (strings asked for, lines read) → sums; total: sums of any images → scores."""

    count: Callable[[Texts, Texts], Sums]
    total: Callable[[Mapping[str, float]], Scores]

    def of(self, images: Sequence[tuple[Texts, Texts]]) -> Scores:
        """The scores of (asked for, read) pairs."""
        return self.total(added([self.count(asked, read) for asked, read in images]))


def added(counts: Sequence[Mapping[str, float]]) -> Sums:
    """Sums key by key; a key that is absent somewhere counts 0 there."""
    found: Sums = {}
    for one in counts:
        for key, value in one.items():
            found[key] = found.get(key, 0.0) + value
    return found


def share(part: float, whole: float, empty: float = 1.0) -> float:
    """part / whole; `empty` where there is no whole."""
    return part / whole if whole else empty


def plain(text: str) -> str:
    """Letters, digits and characters alone, lower-cased, full-width forms as their plain ones."""
    return "".join(c for c in _folded(text) if c.isalnum())


def units(text: str) -> list[str]:
    """Chinese characters one by one and words of other scripts, folded as by `plain`."""
    return _UNIT.findall(_folded(text))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def exact(asked: str, read: str) -> bool:
    """Whether the two say the same, after `plain`."""
    return plain(asked) == plain(read)


def ned(asked: str, read: str) -> float:
    """1 − Levenshtein distance / the longer one's length, after `plain`: order counts."""
    first, second = plain(asked), plain(read)
    return 1 - share(levenshtein(first, second), max(len(first), len(second)), empty=0.0)


def levenshtein(a: str, b: str) -> int:
    """The fewest insertions, deletions and substitutions of characters that turn a into b."""
    if not a or not b:
        return len(a) + len(b)
    letters: Any = np.array([ord(c) for c in b])
    place = np.arange(len(b) + 1)
    row = place.copy()
    for number, letter in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (letters != ord(letter)))
        # An insertion costs one a place: take the places off, and the least so far wins.
        row = np.minimum.accumulate(np.concatenate([[number], best]) - place) + place
    return int(row[-1])


def stray(asked: Texts, read: Texts) -> int:
    """Characters, after `plain`, of the lines read that have nothing to do with what was asked
    for: those of which less than `STRAY` stand in it."""
    wanted = Counter(plain("".join(asked)))
    lines = [plain(line) for line in read]
    return sum(len(line) for line in lines if (Counter(line) & wanted).total() < STRAY * len(line))


def count_strictly(asked: Texts, read: Texts) -> Sums:
    """The sums of one image for `strict`."""
    whole, found = " ".join(asked), " ".join(read)
    wanted, there = Counter(units(whole)), Counter(units(found))
    return {
        "images": 1.0,
        "units asked": float(wanted.total()),
        "units read": float(there.total()),
        "units shared": float((wanted & there).total()),
        "order": ned(whole, found),
        "exact": float(exact(whole, found)),
        "characters read": float(len(plain(found))),
        "characters stray": float(stray(asked, read)),
    }


def total_strictly(sums: Mapping[str, float]) -> Scores:
    """precision and f1: of `units`, as multisets, over all images; precision is 0 where text was
    asked for and none was read. ordered_ned: `ned` of the whole text, mean over images. exact:
    images that say just what was asked for. spurious: the share of the characters read that
    stand in stray lines; lower is better."""
    get = sums.get
    images, shared = get("images", 0), get("units shared", 0)
    asked, read = get("units asked", 0), get("units read", 0)
    return {
        "precision": share(shared, read, empty=float(not asked)),
        "f1": share(2 * shared, asked + read),
        "ordered_ned": share(get("order", 0), images),
        "exact": share(get("exact", 0), images),
        "spurious": share(get("characters stray", 0), get("characters read", 0), empty=0.0),
    }


def count_characters(asked: Texts, read: Texts) -> Sums:
    """The sums of one image for `characters`."""
    wanted, there = Counter(plain("".join(asked))), Counter(plain("".join(read)))
    return {
        "characters asked": float(wanted.total()),
        "characters found": float((wanted & there).total()),
    }


def total_characters(sums: Mapping[str, float]) -> Scores:
    """characters: the share of the characters asked for that were read, as multisets of `plain`;
    order and what is too much cost nothing."""
    return {"characters": share(sums.get("characters found", 0), sums.get("characters asked", 0))}


strict = Scorer(count_strictly, total_strictly)
characters = Scorer(count_characters, total_characters)
