"""Strict text scores: the recognised text against the requested text.

A scorer counts each image into sums and computes scores from the added sums of many images, so a
bootstrap can score any selection of images by adding sums. Scores are shares in [0, 1] unless
stated otherwise; without any requested text they are 1.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

Sums = dict[str, float]
Scores = dict[str, float]
Texts = Sequence[str]

SPURIOUS = 0.5  # a line is spurious if less than this share of it was requested
# Chinese characters with radicals, compatibility forms and the supplementary planes.
_HAN = "\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+")


@dataclass(frozen=True)
class Scorer:
    """count: (requested strings, recognised lines) → sums; total: added sums → scores."""

    count: Callable[[Texts, Texts], Sums]
    total: Callable[[Mapping[str, float]], Scores]

    def of(self, images: Sequence[tuple[Texts, Texts]]) -> Scores:
        """The scores of (requested strings, recognised lines) pairs."""
        return self.total(added([self.count(asked, read) for asked, read in images]))


def added(counts: Sequence[Mapping[str, float]]) -> Sums:
    """Add sums key by key; a missing key counts as 0."""
    total: Sums = {}
    for sums in counts:
        for key, value in sums.items():
            total[key] = total.get(key, 0.0) + value
    return total


def share(part: float, whole: float, empty: float = 1.0) -> float:
    """part / whole; `empty` if whole is 0."""
    return part / whole if whole else empty


def plain(text: str) -> str:
    """Letters, digits and characters only, NFKC-normalised and lower-cased."""
    return "".join(c for c in _folded(text) if c.isalnum())


def units(text: str) -> list[str]:
    """Single Chinese characters and whole words of other scripts, folded as in `plain`."""
    return _UNIT.findall(_folded(text))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def exact(asked: str, read: str) -> bool:
    """Whether both texts are equal after `plain`."""
    return plain(asked) == plain(read)


def ned(asked: str, read: str) -> float:
    """Normalised edit similarity after `plain`: 1 − Levenshtein distance / longer length."""
    first, second = plain(asked), plain(read)
    return 1 - share(levenshtein(first, second), max(len(first), len(second)), empty=0.0)


def levenshtein(a: str, b: str) -> int:
    """The smallest number of character insertions, deletions and substitutions from a to b."""
    return Levenshtein.distance(a, b)


def count_spurious(asked: Texts, read: Texts) -> int:
    """The number of characters, after `plain`, in spurious lines: those that share less than
    `SPURIOUS` of their characters with the requested text."""
    requested = Counter(plain("".join(asked)))
    lines = [plain(line) for line in read]
    spurious = (n for n in lines if (Counter(n) & requested).total() < SPURIOUS * len(n))
    return sum(map(len, spurious))


def count_strictly(asked: Texts, read: Texts) -> Sums:
    """The sums of one image for `strict`."""
    requested_text, text = " ".join(asked), " ".join(read)
    requested, recognised = Counter(units(requested_text)), Counter(units(text))
    return {
        "images": 1.0,
        "units asked": float(requested.total()),
        "units read": float(recognised.total()),
        "units shared": float((requested & recognised).total()),
        "order": ned(requested_text, text),
        "exact": float(exact(requested_text, text)),
        "characters read": float(len(plain(text))),
        "characters stray": float(count_spurious(asked, read)),
    }


def total_strictly(sums: Mapping[str, float]) -> Scores:
    """precision, f1: of `units` as multisets over all images; precision is 0 if text was requested
    and none was recognised. ordered_ned: mean over images of `ned` of the whole text. exact: share
    of images whose text equals the requested one. spurious: share of the recognised characters
    that stand in spurious lines; lower is better."""
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
    requested, recognised = Counter(plain("".join(asked))), Counter(plain("".join(read)))
    return {
        "characters asked": float(requested.total()),
        "characters found": float((requested & recognised).total()),
    }


def total_characters(sums: Mapping[str, float]) -> Scores:
    """characters: the share of the requested characters that were recognised, as multisets after
    `plain`; order and additional text do not count."""
    return {"characters": share(sums.get("characters found", 0), sums.get("characters asked", 0))}


strict = Scorer(count_strictly, total_strictly)
characters = Scorer(count_characters, total_characters)
