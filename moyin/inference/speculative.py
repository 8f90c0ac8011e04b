"""Ids guessed ahead and checked together: speculative decoding without a second network.

To read a few ids takes hardly longer than to read one, since it is the weights that are moved. So
ids are guessed, read at once, and chosen from the logits with the same random numbers as ever; what
was chosen holds up to the first wrong guess, itself included. (Leviathan et al. 2023 accept and
reject by lot; here the random numbers of every place are drawn beforehand, and comparing suffices.)
Guessed is what stands there in the preview, or else what stands above.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import Any

import numpy as np

from moyin.backend import ops
from moyin.prompt.grid import Grid

Array = np.ndarray[Any, Any]
Choose = Callable[[Any, int], Any]  # logits [b, v] and a place → ids [b]
Progress = Callable[[int, int], None]  # done, of how many

LONGEST_REST = 31  # ids between two guesses of a generator whose ids are never those guessed


def drafted(
    walk: Any,
    choose: Choose,
    logits: Any,
    sources_bn: Array,
    start: int,
    most: int,
    progress: Progress,
) -> Array:
    """All ids [b, n] int64, the same as one by one but for rounding.

    walk: `model.walk`'s, behind `start` cached ids. logits [b, 1, v]: of the first id. sources_bn:
    from `guess_sources`. most: ids guessed at once; fewer after a wrong guess, and none for a while
    after several of which the first was wrong each time.
    """
    b, count = sources_bn.shape
    ids, samples = np.zeros((b, count), np.int64), np.arange(b)
    known = guesses = 0
    rest = next_rest = 0  # ids still to write without a guess; and after the next failure
    while True:
        right = 0
        for place in range(guesses + 1):
            guess = ids[:, known].copy()
            ids[:, known] = ops.numpy(ops.asarray(choose(logits[:, place], known)))
            known += 1
            if (ids[:, known - 1] != guess).any():
                break
            right += 1
        progress(known, count)
        if known == count:
            return ids
        if guesses and not right:
            rest, next_rest = next_rest, min(2 * next_rest + 1, LONGEST_REST)
        elif guesses:
            next_rest = 0
        longer = 2 * guesses + 1 if right >= guesses else right
        guesses = min(longer, most, count - known - 1) if not rest else 0
        rest = max(0, rest - 1)
        for n in range(known, known + guesses):
            ids[:, n] = ids[samples, sources_bn[:, n]]
        read = ids[:, known - 1 : known + guesses]
        here: Any = ops.asarray(read) if not isinstance(logits, np.ndarray) else read
        logits = walk.step(here, known - 1, start + known - 1)


def guess_sources(grids: Items[Grid], count: int) -> Array:
    """For each of the first `count` places, an earlier one whose id it may have, [count]; the
    first has none and gets itself. Places behind the grids take the one before."""
    parts: list[Array] = []
    first = 0
    for number, grid in enumerate(grids):
        rows, columns = np.mgrid[: grid.rows, : grid.columns]
        if number:
            small = grids[number - 1]
            above = rows * small.rows // grid.rows * small.columns
            found = first - small.count + above + columns * small.columns // grid.columns
        else:
            here = rows * grid.columns + columns
            found = np.where(rows > 0, here - grid.columns, np.maximum(here - 1, 0))
        parts.append(found.reshape(-1))
        first += grid.count
    parts.append(np.arange(first, count) - 1)
    return np.concatenate(parts)[:count].astype(np.int64)
