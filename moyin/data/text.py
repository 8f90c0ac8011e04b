"""What the lines say: Chinese and English words, characters drawn evenly, numbers."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from moyin.data import assets

T = TypeVar("T")
LATIN = string.ascii_letters + string.digits


def pick(items: Sequence[T], random: np.random.Generator) -> T:
    """One item, all of them equally likely."""
    return items[int(random.integers(len(items)))]


@cache
def _words_of(count: int, longest: int) -> tuple[str, ...]:
    known = set(assets.frequent_characters()[:count])
    words = (w for w in assets.chinese_words() if len(w) <= longest)
    return tuple(w for w in words if known.issuperset(w))


def chinese(count: int, longest: int, words: float, random: np.random.Generator) -> str:
    """Chinese text of 1 to `longest` of the `count` most frequent characters.

    `words` is the share made of words; the rest are characters drawn evenly, so that rare ones
    are met as often as common ones.
    """
    vocabulary = _words_of(count, min(longest, 4))
    if not vocabulary or random.random() >= words:
        letters = assets.frequent_characters()[:count]
        length = int(random.integers(1, min(longest, 4) + 1))
        return "".join(pick(letters, random) for _ in range(length))
    text = pick(vocabulary, random)
    while len(text) < longest and random.random() < 0.6:
        fitting = [w for w in (pick(vocabulary, random),) if len(text) + len(w) <= longest]
        text += "".join(fitting)
    return text


def english(longest: int, words: float, random: np.random.Generator) -> str:
    """English words (or letters and digits drawn evenly) of at most `longest` characters."""
    if random.random() >= words:
        length = int(random.integers(1, min(longest, 4) + 1))
        return "".join(pick(LATIN, random) for _ in range(length))
    text = _english_word(longest, random)
    while len(text) + 5 <= longest and random.random() < 0.5:
        text += " " + _english_word(longest - len(text) - 1, random)
    return pick((str.upper, str.upper, str.title, str.lower), random)(text)


def _english_word(longest: int, random: np.random.Generator) -> str:
    fitting = _english_words(longest)
    return pick(fitting, random) if fitting else pick(string.ascii_uppercase, random)


@cache
def _english_words(longest: int) -> tuple[str, ...]:
    return tuple(w for w in assets.english_words() if len(w) <= longest)


def number(longest: int, random: np.random.Generator) -> str:
    """A number as posters show it: a year, a price, a share, a time, or plain digits."""
    year, small = str(random.integers(1900, 2100)), str(random.integers(1, 100))
    clock = f"{random.integers(24):02d}:{random.integers(60):02d}"
    forms = (year, small, small + "%", "$" + small, clock, str(random.integers(100, 1000)))
    return pick([form for form in forms if len(form) <= longest] or ["7"], random)


def traditional(text: str) -> str:
    """Simplified Chinese in traditional characters: the longest known words first, since a
    character may have several forms and its word decides."""
    known, found, i = assets.traditional(), "", 0
    while i < len(text):
        pieces = (text[i:end] for end in range(min(len(text), i + 4), i, -1))
        piece = next((piece for piece in pieces if piece in known), text[i])
        found += known.get(piece, piece)
        i += len(piece)
    return found
