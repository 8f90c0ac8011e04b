"""Speculative decoding without a second network: tokens are guessed ahead and checked together.

To read a few tokens takes hardly longer than to read one, since moving the weights takes the time.
So tokens are guessed, read at once, and sampled from the logits with the same random numbers as
without guesses; the sampled tokens are valid up to the first wrong guess, itself included.
(Leviathan et al. 2023 accept and reject at random; here the random number of every place is drawn
beforehand, and a comparison suffices.) The guess is the preview's token at that place, or else the
token above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from moyin.backend import ops
from moyin.inference.decode_step import Step
from moyin.inference.step import TokenHook, TokenStep
from moyin.prompt.grid import Grid

Array = np.ndarray[Any, Any]
Choose = Callable[[Any, int], Any]
"""(logits [b, v], place) → tokens [b]."""

LONGEST_PAUSE = 31  # tokens between two guesses of a generator whose guesses are always wrong


def speculative_decode(
    step: Step,
    choose: Choose,
    logits: Any,
    sources_bn: Array,
    start: int,
    max_guesses: int,
    on_step: TokenHook | None = None,
) -> Array:
    """All tokens [b, n] int64, the same as one by one but for rounding.

    step: behind `start` cached tokens. logits [b, 1, v]: of the first token. sources_bn: from
    `guess_sources`. max_guesses: tokens guessed at once; fewer after a wrong guess, and none for a
    while after several whose first token was wrong.
    """
    b, count = sources_bn.shape
    tokens, samples = np.zeros((b, count), np.int64), np.arange(b)
    known = guesses = 0
    pause = next_pause = 0  # tokens to generate without a guess; and after the next failure
    while True:
        right = 0
        for place in range(guesses + 1):
            guess = tokens[:, known].copy()
            tokens[:, known] = ops.numpy(ops.asarray(choose(logits[:, place], known)))
            known += 1
            if (tokens[:, known - 1] != guess).any():
                break
            right += 1
        if _stopped(on_step, tokens[:, :known], count) or known == count:
            return tokens[:, :known]
        if guesses and not right:
            pause, next_pause = next_pause, min(2 * next_pause + 1, LONGEST_PAUSE)
        elif guesses:
            next_pause = 0
        longer = 2 * guesses + 1 if right >= guesses else right
        guesses = min(longer, max_guesses, count - known - 1) if not pause else 0
        pause = max(0, pause - 1)
        for n in range(known, known + guesses):
            tokens[:, n] = tokens[samples, sources_bn[:, n]]
        read = step.array(tokens[:, known - 1 : known + guesses])
        logits = step.step(read, known - 1, start + known - 1)


def _stopped(on_step: TokenHook | None, tokens: Array, count: int) -> bool:
    if on_step is None:
        return False
    state = TokenStep(tokens.shape[1], count, tokens.copy)
    on_step(state)
    return state.stop


def guess_sources(grids: Sequence[Grid], count: int) -> Array:
    """For each of the first `count` places, an earlier place whose token is the guess, [count].

    The first place has none and gets itself. Places behind the grids take the one before.
    """
    parts: list[Array] = []
    first = 0
    for number, grid in enumerate(grids):
        rows, columns = np.mgrid[: grid.rows, : grid.columns]
        if number:
            small = grids[number - 1]
            above = rows * small.rows // grid.rows * small.columns
            sources = first - small.count + above + columns * small.columns // grid.columns
        else:
            here = rows * grid.columns + columns
            sources = np.where(rows > 0, here - grid.columns, np.maximum(here - 1, 0))
        parts.append(sources.reshape(-1))
        first += grid.count
    parts.append(np.arange(first, count) - 1)
    return np.concatenate(parts)[:count].astype(np.int64)
