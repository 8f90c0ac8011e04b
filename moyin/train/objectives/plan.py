"""A generator's plan: where the text of a picture will stand, told before an id is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.prompt.grid import PIXELS
from moyin.prompt.quotes import spans
from moyin.prompt.tokenizer import TextTokenizer
from moyin.train.objectives.base import Array, Batch

SIDES = 4  # of the text in ids: its first row, how many, its first column, how many
NOWHERE = 0  # what each side is where there is no text: those of others are counted from 1
PLACES = 65  # grids have fewer rows and columns, strings that are counted fewer characters


class Plan(nn.Module):
    """What is told of a plan, and thrown away after training.

    By the state at the mark with which a picture begins: the sides of the text. By the state at
    each id of the caption: which character of a quoted string it is. Counting is what takes long to
    learn from the sides alone: after 13,000 captions the number of columns was still a guess.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.sides = nn.Linear(hidden, SIDES * PLACES)
        self.ordinals = nn.Linear(hidden, PLACES)

    def forward(self, states_bld: Tensor, plan: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """states_bld: of sequences that begin with their captions; plan: `of`, stacked.

        The mean cross-entropies' sum, and the share of sequences whose number of columns, which
        follows from the caption alone, is told right.
        """
        b, length, hidden = states_bld.shape
        flat = ops.reshape(states_bld, (b * length, hidden))
        at_mark = ops.take(flat, ops.arange(b) * length + plan["marks"], 0)
        told = ops.cast(self.sides(at_mark), ops.float32)
        sides = ops.cross_entropy(
            ops.reshape(told, (b * SIDES, PLACES)), ops.reshape(plan["sides"], (b * SIDES,))
        )
        columns = ops.argmax(told[:, -PLACES:], 1) == plan["sides"][:, SIDES - 1]
        captions = plan["ordinals"].shape[1]
        said = ops.cast(self.ordinals(states_bld[:, :captions]), ops.float32)
        counted = ops.cross_entropy(
            ops.reshape(said, (b * captions, PLACES)),
            ops.reshape(plan["ordinals"], (b * captions,)),
        )
        right = ops.mean(ops.cast(columns, ops.float32))
        return ops.mean(sides) + ops.mean(counted), right


def of(
    tokenizer: TextTokenizer, captions: list[str], rows: list[dict[str, Any]], marks: list[int]
) -> Batch:
    """The plans of sequences with these captions, for rows with `meta` and `ids`: marks [B],
    sides [B, SIDES] and ordinals [B, longest caption]."""
    counted = [ordinals(tokenizer, caption) for caption in captions]
    longest = max(map(len, counted))
    return {
        "marks": np.array(marks),
        "sides": np.stack([sides(row["meta"]["lines"], row["ids"].shape) for row in rows]),
        "ordinals": np.stack([np.pad(n, (0, longest - len(n))) for n in counted]),
    }


def ordinals(tokenizer: TextTokenizer, caption: str) -> Array:
    """For each id of a caption: which character of a quoted string it ends with, from 1; of the
    mark that closes it, one more than the last; 0 elsewhere. [ids] int64."""
    found = np.zeros(len(caption) + 1, np.int64)
    for start, stop in spans(caption):
        found[start : stop + 1] = np.minimum(np.arange(1, stop - start + 2), PLACES - 1)
    return np.array([found[a:b].max() for a, b in tokenizer.spans(caption)])


def sides(lines: list[dict[str, Any]], grid: tuple[int, ...]) -> Array:
    """First row (from 1), rows, first column, columns of a picture's text in ids: [SIDES] int64."""
    text = written(lines, grid)
    if not text.any():
        return np.full(SIDES, NOWHERE)
    rows, columns = np.flatnonzero(text.any(1)), np.flatnonzero(text.any(0))
    return np.array([n for at in (rows, columns) for n in (at[0] + 1, at[-1] - at[0] + 1)])


def written(
    lines: list[dict[str, Any]], of: tuple[int, ...], shape: tuple[int, ...] | None = None
) -> Array:
    """Whether text stands at each id of a grid, [rows, columns] bool.

    lines: as a `Sample` has them, in pixels of a picture whose own grid is `of`. shape: of the
    grid, `of` itself unless it is the preview's.
    """
    boxes = [box for line in lines for box in (line.get("squares") or [line["box"]])]
    rows, columns = shape or of
    y = (np.arange(rows)[:, None] + 0.5) * PIXELS * of[0] / rows
    x = (np.arange(columns)[None] + 0.5) * PIXELS * of[1] / columns
    text = np.zeros((rows, columns), bool)
    for left, top, right, bottom in boxes:
        text |= (left <= x) & (x < right) & (top <= y) & (y < bottom)
    return text
