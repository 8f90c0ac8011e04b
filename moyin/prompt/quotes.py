"""The strings that a prompt puts in quotation marks, as bytes for the glyph encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

Ids = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

PAD, EOS, FIRST_BYTE = 0, 1, 3
LONGEST = 2048  # bytes of one string, its end token included

# Scripts that write an apostrophe inside a word. Chinese text, which sets a quotation mark right
# beside a character, is not among them.
_LETTER = "[0-9A-Za-z\u00c0-\u024f\u0370-\u03ff\u0400-\u052f]"
_SINGLE = re.compile(rf"(?<!{_LETTER})'((?:[^']|(?<={_LETTER})'(?={_LETTER}))*)'(?!{_LETTER})")
_SINGLE_EXACT = re.compile(r"'([^']*)'")
_OTHERS = (
    re.compile(r"“([^“”]*)”"),
    re.compile(r'"([^"]*)"'),
    re.compile(r"「([^「」]*)」"),
)


def quoted(text: str, exact: bool = False) -> list[str]:
    """All strings in '…', then all in “…”, then "…", then 「…」; `exact`: see `spans`."""
    return [text[start:stop] for start, stop in spans(text, exact)]


def spans(text: str, exact: bool = False) -> list[tuple[int, int]]:
    """Start and stop of the quoted strings in `text`, without quotes, in the order of `quoted`.

    An apostrophe inside or at the end of a word (Don't, dogs') neither opens nor, between two
    letters, closes a string. With `exact` it does both, as GLM-Image's own pipeline reads it.
    """
    single = _SINGLE_EXACT if exact else _SINGLE
    return [match.span(1) for pattern in (single, *_OTHERS) for match in pattern.finditer(text)]


def glyph_bytes(strings: Sequence[str]) -> tuple[Ids, Mask]:
    """ByT5's ids of each string [strings, longest] and their mask.

    UTF-8 bytes, cut at `LONGEST`, and an end token. No string at all stands for one empty string.
    As in GLM-Image's pipeline, an even number of strings gets a pad token, which the mask keeps,
    in front of each. Source of the ids: Xue et al. 2021.
    """
    strings = strings or [""]
    front = [PAD] * ((len(strings) + 1) % 2)
    rows = [
        [*front, *(FIRST_BYTE + byte for byte in text.encode()[: LONGEST - 1]), EOS]
        for text in strings
    ]
    lengths = np.array([len(row) for row in rows])
    ids = np.full((len(rows), lengths.max()), PAD, dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
    return ids, np.arange(ids.shape[1]) < lengths[:, None]
