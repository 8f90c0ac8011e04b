"""What a caption asks for, as integer targets: the layout facts of an image, and the ordinals of a
caption's token ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.nano.codebook_layout import numbered
from moyin.ocr.colours import COLOURS
from moyin.prompt.generator_inputs import Example, generation_sequence, right_padded
from moyin.prompt.grid import Grid
from moyin.prompt.quotes import spans
from moyin.prompt.tokenizer import TextTokenizer
from moyin.train.objectives.base import Array, Batch
from moyin.train.text_mask import character_squares, text_mask

WORDS = 4  # of a text, and rows of it, that have facts
PLACES = ("row", "rows", "column", "columns", "ground", "colour")
EACH = ("word", "begin", "width")  # characters of the first words; columns of the first rows
FACTS = (*PLACES, *(f"{each}_{n + 1}" for each in EACH for n in range(WORDS)))
VALUES = 65  # of a fact or an ordinal: grids have fewer rows, and there are fewer colours
LENGTHS = 16  # lengths of batches are multiples of it: few shapes, few compilations


def facts(meta: dict[str, Any], grid: tuple[int, ...]) -> Array:
    """FACTS of an image, [FACTS] int64; 0 where there is no such thing.

    The first row of tokens with text, from 1, and the number of rows; the same of columns; colours
    of the ground and of the first line, from 1; the number of characters of each of the first
    WORDS words; first column, from 1, and width of each of the first WORDS rows of characters.
    """
    names, lines = [None, *COLOURS], meta["lines"]
    text = text_mask(lines, grid)
    sides = [n for at in (text.any(1), text.any(0)) for n in _extent(at)]
    colours = (meta["background"].get("colour"), lines[0]["colour"] if lines else None)
    places = numbered(lines[0]["text"]) if lines else []
    words = np.bincount([at[0] for at in places if at], minlength=WORDS)[:WORDS]
    known = (names.index(c) if c in names else 0 for c in colours)
    across = np.array(_rows(lines[0], grid) if lines else [(0, 0)] * WORDS)
    return np.array([*sides, *known, *np.minimum(words, VALUES - 1), *across.T.reshape(-1)])


def ordinals(tokenizer: TextTokenizer, caption: str) -> Array:
    """For each token id of a caption, the last quoted character that it spells: the number of its
    word and its number in the word, from 1. A blank or the closing mark after a word has one more
    than the word's last character; 0 elsewhere. [ids, 2] int64."""
    at_character = np.zeros((len(caption) + 1, 2), np.int64)
    for start, stop in spans(caption):
        word = letter = 0
        for at, place in enumerate([*numbered(caption[start:stop]), None], start):
            word, letter = (place[0] + 1, place[1] + 1) if place else (word, letter + 1)
            at_character[at] = min(word, VALUES - 1), min(letter, VALUES - 1)
    spelt = (at_character[a:b] for a, b in tokenizer.spans(caption))
    none = at_character[-1]
    return np.array([next((n for n in each[::-1] if n[1]), none) for each in spelt])


def prefixes(
    tokenizer: TextTokenizer,
    captions: list[str],
    rows: list[dict[str, Any]],
    preview: bool,
    references: list[dict[str, Any] | None] | None = None,
) -> Batch:
    """What is read before the first semantic token, with its targets, for captions of rows with
    `meta` and `tokens`.

    references: the row that each edit starts from, None for no edit. Returns prefix_tokens [B, L],
    prefix_positions [3, B, L], prefix_starts and prefix_marks [B], where the caption begins and
    the image would, layout_facts and reference_facts [B, FACTS], 0 without reference, and
    ordinals [B, L, 2].
    """
    before = references or [None] * len(captions)
    grids = [[] if row is None else [row["tokens"].astype(np.int64)] for row in before]
    read = [
        generation_sequence(tokenizer, caption, Grid(*row["tokens"].shape), preview, seen)
        for caption, row, seen in zip(captions, rows, grids, strict=True)
    ]
    starts = [sum(grid.size + 2 for grid in seen) for seen in grids]  # each between two marks
    examples = [
        Example(s.ids, s.positions, np.zeros(len(s.ids), np.float32), len(s.ids)) for s in read
    ]
    tokens, positions, _ = right_padded(examples, tokenizer.vocabulary.pad, LENGTHS)
    counted = [
        np.pad(ordinals(tokenizer, caption), ((start, 0), (0, 0)))
        for caption, start in zip(captions, starts, strict=True)
    ]
    lengths = [tokens.shape[1] - len(n) for n in counted]
    nothing = np.zeros(len(FACTS), np.int64)
    return {
        "prefix_tokens": tokens,
        "prefix_positions": positions,
        "prefix_starts": np.array(starts),
        "prefix_marks": np.array([len(s.ids) - 1 for s in read]),
        "layout_facts": np.stack([_facts_of(row) for row in rows]),
        "reference_facts": np.stack([nothing if r is None else _facts_of(r) for r in before]),
        "ordinals": np.stack(
            [np.pad(n, ((0, more), (0, 0))) for n, more in zip(counted, lengths, strict=True)]
        ),
    }


def _facts_of(row: dict[str, Any]) -> Array:
    return facts(row["meta"], row["tokens"].shape)


def _rows(line: dict[str, Any], grid: tuple[int, ...]) -> list[tuple[int, int]]:
    """First column, from 1, and width of the first WORDS rows of a line's characters; 0 where
    there is no such row."""
    rows, inked = [], character_squares(line)
    for top in sorted({square[1] for square in inked}):
        row = [square for square in inked if square[1] == top]
        text = text_mask([{"text": "-" * len(row), "squares": row}], grid)
        rows.append(_extent(text.any(0)))
    return [*rows, *[(0, 0)] * WORDS][:WORDS]


def _extent(text_n: Array) -> tuple[int, int]:
    """The first true position, from 1, and the distance to the last one; 0 and 0 for none."""
    at = np.flatnonzero(text_n)
    return (int(at[0]) + 1, int(at[-1] - at[0]) + 1) if len(at) else (0, 0)
