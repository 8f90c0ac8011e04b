"""A generator's plan: what a caption asks for, told before an id is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.models.generator import Generator
from moyin.ocr.colours import COLOURS
from moyin.prompt.generator_inputs import Example, generation_sequence, right_padded
from moyin.prompt.grid import PIXELS, Grid
from moyin.prompt.quotes import spans
from moyin.prompt.tokenizer import TextTokenizer
from moyin.render.legend import numbered
from moyin.train.objectives.base import Array, Batch

WORDS = 4  # of a text, and rows of it, that are told
PLACES = ("row", "rows", "column", "columns", "ground", "colour")
EACH = ("word", "begin", "width")  # of the first words how many characters, of rows which columns
FACTS = (*PLACES, *(f"{each}_{n + 1}" for each in EACH for n in range(WORDS)))
VALUES = 65  # of a fact or an ordinal: grids have fewer rows, and there are fewer colours
F32 = ops.float32
LENGTHS = 16  # lengths of batches are multiples of it: few shapes, few compilations


class Ahead(nn.Module):
    """What is told at each id of what is to come, and thrown away after training: `distances`.

    An id says where text begins once an image, though the plan has known it since the caption;
    told at every id before, what the plan says reaches those that decide.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.told = nn.Linear(hidden, 2 * VALUES)

    def forward(self, states_bld: Tensor, true_b2l: Tensor) -> Tensor:
        """What is missed at all ids, summed; true: `distances` of the id that each state gives,
        −1 where it gives none."""
        b, length, _ = states_bld.shape
        told = ops.reshape(self.told(states_bld), (b, length * 2, VALUES))
        true = ops.reshape(ops.transpose(true_b2l, 1, 2), (b, length * 2))
        missed = entropies(told, ops.maximum(true, ops.zeros_like(true)))
        return ops.sum(missed * ops.cast(true >= 0, F32))


class Plan(nn.Module):
    """What is told of a plan, and thrown away after training.

    By the state at the mark with which an image begins: the facts, for an edit those too that the
    image before it shows. By the state at each id of the caption, after half of the layers: which
    word of a quoted string it is in, and which of that word's characters it is.
    Counting is what takes long to learn from the facts alone: after 13,000 captions the number of
    columns was still a guess. Only in layers after that can the mark look at what was counted.

    The facts are told after two thirds of the layers: what only the last one's states hold, no id
    that follows can look at. Told after all, the number of columns was right in 99 % of captions of
    up to eight characters, and the ids written in 68 %.

    By the state at the mark with which a reference ends, after a third of the layers: its own
    facts. Only from there are all of its ids as far away whatever the caption.
    """

    def __init__(self, network: Generator.Config) -> None:
        super().__init__()
        layers = network.layers
        self.early, self.middle, self.late = -(-layers // 3), -(-layers // 2), -(-2 * layers // 3)
        self.norm = nn.RMSNorm(network.hidden, network.eps)
        self.facts = nn.Linear(network.hidden, len(FACTS) * VALUES)
        self.middle_norm = nn.RMSNorm(network.hidden, network.eps)
        self.early_norm = nn.RMSNorm(network.hidden, network.eps)
        self.seen = nn.Linear(network.hidden, len(FACTS) * VALUES)
        self.ordinals = nn.Linear(network.hidden, 2 * VALUES)

    def forward(
        self, network: Any, batch: dict[str, Tensor], dtype: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """batch: `prefixes`. What each caption's plan misses, [B]: the mean cross-entropy of its
        facts, of its reference's, and of its ids. To be shown, of how many captions the number of
        columns, which follows from them alone, is told right, and of how many the ground."""
        counts = sorted({self.early, self.middle, self.late})
        read = network.early_states(batch["plan_ids"], batch["plan_positions"], counts, dtype=dtype)
        after = dict(zip(counts, read, strict=True))
        states = self.norm(after[self.late])
        b, length, _ = states.shape
        marks, starts, facts = batch["plan_marks"], batch["plan_starts"], batch["plan_facts"]
        told = _told(self.facts, states, marks)
        missed = ops.mean(entropies(told, facts), 1)
        edits = starts > 0
        ends = ops.where(edits, starts - 1, starts)
        seen = _told(self.seen, self.early_norm(after[self.early]), ends)
        unseen = ops.mean(entropies(seen, batch["plan_seen"]), 1)
        missed = missed + unseen * ops.cast(edits, F32)
        halfway = self.middle_norm(after[self.middle])
        count = ops.reshape(self.ordinals(halfway), (b, length * 2, VALUES))
        counted = entropies(count, ops.reshape(batch["plan_ordinals"], (b, length * 2)))
        place = ops.reshape(ops.arange(length * 2), (1, -1))
        start, stop = (ops.reshape(2 * ends, (-1, 1)) for ends in (starts, marks))
        caption = ops.cast(place >= start, F32) * ops.cast(place < stop, F32)
        missed = missed + ops.sum(counted * caption, 1) / ops.cast(2 * (marks - starts), F32)
        shown = {}
        for name in ("columns", "ground"):
            at = FACTS.index(name)
            right = ops.cast(ops.argmax(told[:, at], 1) == facts[:, at], F32)
            shown[f"planned_{name}"] = ops.stack([ops.sum(right), ops.sum(0 * right + 1)])
        return missed, shown


def _told(head: Any, states_bld: Tensor, at_b: Tensor) -> Tensor:
    """What a head tells of the facts by the state at one place of each sample:
    [B, FACTS, VALUES]."""
    b, length, hidden = states_bld.shape
    flat = ops.reshape(states_bld, (b * length, hidden))
    chosen = ops.take(flat, ops.arange(b) * length + at_b, 0)
    return ops.reshape(head(chosen), (b, len(FACTS), VALUES))


def entropies(logits_bnv: Tensor, true_bn: Tensor) -> Tensor:
    """Cross-entropy [B, N]."""
    b, n, values = logits_bnv.shape
    flat = ops.reshape(ops.cast(logits_bnv, F32), (b * n, values))
    return ops.reshape(ops.cross_entropy(flat, ops.reshape(true_bn, (b * n,))), (b, n))


def prefixes(
    tokenizer: TextTokenizer,
    captions: list[str],
    rows: list[dict[str, Any]],
    preview: bool,
    references: list[dict[str, Any] | None] | None = None,
) -> Batch:
    """What is read before the first id, with its plan, for captions of rows with `meta` and `ids`:
    plan_ids [B, L], plan_positions [3, B, L], plan_starts and plan_marks [B], where caption and
    image begin, plan_facts and plan_seen [B, FACTS], of the image and its reference, counted
    from 1 and 0 where there is none, and plan_ordinals [B, L, 2]. references: the row of the
    image that each edits, None where there is none."""
    before = references or [None] * len(captions)
    grids = [[] if row is None else [row["tokens"].astype(np.int64)] for row in before]
    read = [
        generation_sequence(tokenizer, caption, Grid(*row["tokens"].shape), preview, seen)
        for caption, row, seen in zip(captions, rows, grids, strict=True)
    ]
    starts = [sum(grid.size + 2 for grid in seen) for seen in grids]  # each between two marks
    nothing = [np.zeros(len(s.ids), np.float32) for s in read]
    examples = [
        Example(s.ids, s.positions, weights, len(s.ids))
        for s, weights in zip(read, nothing, strict=True)
    ]
    ids, positions, _ = right_padded(examples, tokenizer.vocabulary.pad, LENGTHS)
    counted = [
        np.pad(ordinals(tokenizer, caption), ((start, 0), (0, 0)))
        for caption, start in zip(captions, starts, strict=True)
    ]
    return {
        "plan_ids": ids,
        "plan_positions": positions,
        "plan_starts": np.array(starts),
        "plan_marks": np.array([len(s.ids) - 1 for s in read]),
        "plan_facts": np.stack([facts(row["meta"], row["tokens"].shape) for row in rows]),
        "plan_seen": np.stack(
            [
                np.zeros(len(FACTS), np.int64)
                if row is None
                else facts(row["meta"], row["tokens"].shape)
                for row in before
            ]
        ),
        "plan_ordinals": np.stack(
            [np.pad(n, ((0, ids.shape[1] - len(n)), (0, 0))) for n in counted]
        ),
    }


def ordinals(tokenizer: TextTokenizer, caption: str) -> Array:
    """For each id of a caption, what it ends with of a quoted string: which of its words, and which
    of that word's characters, from 1; of what ends a word, a blank or the closing mark, one more
    than the word's last character; 0 elsewhere. [ids, 2] int64."""
    found = np.zeros((len(caption) + 1, 2), np.int64)
    for start, stop in spans(caption):
        word = letter = 0
        for at, told in enumerate([*numbered(caption[start:stop]), None], start):
            word, letter = (told[0] + 1, told[1] + 1) if told else (word, letter + 1)
            found[at] = min(word, VALUES - 1), min(letter, VALUES - 1)
    spelt = (found[a:b] for a, b in tokenizer.spans(caption))
    return np.array([next((told for told in some[::-1] if told[1]), found[-1]) for some in spelt])


def facts(meta: dict[str, Any], grid: tuple[int, ...]) -> Array:
    """FACTS of an image: the first row of ids with text, how many there are, and so of columns;
    the colours of the ground and of the first line; how many characters each of its words has; the
    first column of each of its rows of characters, and how many it takes up. [FACTS] int64."""
    names, lines = [None, *COLOURS], meta["lines"]
    text = written(lines, grid)
    sides = [n for at in (text.any(1), text.any(0)) for n in _side(at)]
    colours = (meta["background"].get("colour"), lines[0]["colour"] if lines else None)
    said = numbered(lines[0]["text"]) if lines else []
    words = np.bincount([at[0] for at in said if at], minlength=WORDS)[:WORDS]
    shown = (names.index(c) if c in names else 0 for c in colours)
    across = np.array(_rows(lines[0], grid) if lines else [(0, 0)] * WORDS)
    return np.array([*sides, *shown, *np.minimum(words, VALUES - 1), *across.T.reshape(-1)])


def _rows(line: dict[str, Any], grid: tuple[int, ...]) -> list[tuple[int, int]]:
    """Of the first WORDS rows of a line's characters the first column, from 1, and how many there
    are; 0 where there is no such row."""
    found, inked = [], _inked(line)
    for top in sorted({square[1] for square in inked}):
        row = [square for square in inked if square[1] == top]
        text = written([{"text": "-" * len(row), "squares": row}], grid)
        found.append(_side(text.any(0)))
    return [*found, *[(0, 0)] * WORDS][:WORDS]


def distances(text: Array) -> Array:
    """At each id of a grid [rows, columns] of whether there is text: how many columns on the next
    edge of text in its row is, and how many rows on the next text; the last of VALUES for none.
    [2, rows, columns] int64."""
    rows, columns = text.shape
    found = np.full((2, rows, columns), VALUES - 1)
    edge = text != np.pad(text, ((0, 0), (1, 0)))[:, :-1]
    for row, column in zip(*np.nonzero(edge), strict=True):
        way = column - np.arange(column + 1)
        found[0, row, : column + 1] = np.minimum(found[0, row, : column + 1], way)
    for row, column in zip(*np.nonzero(text), strict=True):
        found[1, row, : column + 1] = 0
        found[1, :row] = np.minimum(found[1, :row], (row - np.arange(row))[:, None])
    return found


def _side(text_n: Array) -> tuple[int, int]:
    at = np.flatnonzero(text_n)
    return (int(at[0]) + 1, int(at[-1] - at[0]) + 1) if len(at) else (0, 0)


def _inked(line: dict[str, Any]) -> list[Any]:
    """The squares of a line's characters that are no blanks, or all of it where it has none."""
    if not line.get("squares"):
        return [line["box"]]
    both = zip(line["text"], line["squares"], strict=True)
    return [square for character, square in both if not character.isspace()]


def written(
    lines: list[dict[str, Any]], of: tuple[int, ...], shape: tuple[int, ...] | None = None
) -> Array:
    """Whether text stands at each id of a grid, [rows, columns] bool.

    lines: as a `Sample` has them, in pixels of an image whose own grid is `of`. shape: of the
    grid, `of` itself unless it is the preview's.
    """
    boxes = [box for line in lines for box in _inked(line)]
    rows, columns = shape or of
    y = (np.arange(rows)[:, None] + 0.5) * PIXELS * of[0] / rows
    x = (np.arange(columns)[None] + 0.5) * PIXELS * of[1] / columns
    text = np.zeros((rows, columns), bool)
    for left, top, right, bottom in boxes:
        text |= (left < x) & (x < right) & (top < y) & (y < bottom)
    return text
