"""Random texts: Chinese and English words, uniform random characters, numbers."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from moyin.render import assets

T = TypeVar("T")
LATIN = string.ascii_letters + string.digits
MAX_RANDOM = 8  # letters or Chinese characters of a uniform random text


def pick(items: Sequence[T], random: np.random.Generator) -> T:
    """A uniform random item."""
    return items[int(random.integers(len(items)))]


@cache
def _words_of(count: int, longest: int) -> tuple[str, ...]:
    known = set(assets.frequent_characters()[:count])
    words = (w for w in assets.chinese_words() if len(w) <= longest)
    return tuple(w for w in words if known.issuperset(w))


def chinese(count: int, longest: int, words: float, random: np.random.Generator) -> str:
    """Chinese text of 1 to `longest` characters, of the `count` most frequent ones.

    words: share of texts made of words. The others are uniform random characters, so that rare
    characters occur as often as common ones.
    """
    vocabulary = _words_of(count, min(longest, 4))
    if not vocabulary or random.random() >= words:
        return _random_letters(assets.frequent_characters()[:count], longest, random)
    text = pick(vocabulary, random)
    while len(text) < longest and random.random() < 0.6:
        fitting = [w for w in (pick(vocabulary, random),) if len(text) + len(w) <= longest]
        text += "".join(fitting)
    return text


def english(longest: int, words: float, random: np.random.Generator) -> str:
    """English text of at most `longest` characters.

    words: share of texts made of real words. The others are uniform random letters and digits:
    with a few hundred words alone, a model memorises them instead of learning to spell.
    """
    real = random.random() < words
    text = _english_word(longest, real, random)
    while len(text) + 5 <= longest and random.random() < 0.5:
        text += " " + _english_word(longest - len(text) - 1, real, random)
    cases = (str.upper, str.upper if real else str, str.title, str.lower)
    return pick(cases, random)(text)


def _english_word(longest: int, real: bool, random: np.random.Generator) -> str:
    fitting = _english_words(longest) if real else ()
    return pick(fitting, random) if fitting else _random_letters(LATIN, longest, random)


def _random_letters(letters: Sequence[str], longest: int, random: np.random.Generator) -> str:
    """From 1 to `longest` letters, at most MAX_RANDOM."""
    length = int(random.integers(1, min(longest, MAX_RANDOM) + 1))
    return "".join(pick(letters, random) for _ in range(length))


@cache
def _english_words(longest: int) -> tuple[str, ...]:
    return tuple(w for w in assets.english_words() if len(w) <= longest)


def number(longest: int, random: np.random.Generator) -> str:
    """A number as on posters: a year, a price, a percentage, a time, or plain digits."""
    year, small = str(random.integers(1900, 2100)), str(random.integers(1, 100))
    clock = f"{random.integers(24):02d}:{random.integers(60):02d}"
    forms = (year, small, small + "%", "$" + small, clock, str(random.integers(100, 1000)))
    return pick([form for form in forms if len(form) <= longest] or ["7"], random)


def traditional(text: str) -> str:
    """Convert simplified to traditional Chinese.

    The longest known word is converted first, since the form of a character may depend on it.
    """
    forms, result, i = assets.traditional(), "", 0
    while i < len(text):
        pieces = (text[i:end] for end in range(min(len(text), i + 4), i, -1))
        piece = next((piece for piece in pieces if piece in forms), text[i])
        result += forms.get(piece, piece)
        i += len(piece)
    return result
