from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import Request
from moyin.inference.speculative import guess_sources, speculative_decode
from moyin.prompt.grid import Grid

PROMPT = 'a card that says "OK"'


@pytest.fixture
def pipeline(small_checkpoint: Path) -> GlmImagePipeline:
    return GlmImagePipeline.from_pretrained(small_checkpoint)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"temperature": 0.0},
        {"preview": True},
        {"top_k": 3},
        {"token_guidance": 1.5},
        {"temperature": 0.01, "preview": True},
    ],
)
@pytest.mark.parametrize("draft", [1, 5, 16])
def test_the_ids_are_those_without(pipeline: GlmImagePipeline, changes: Any, draft: int) -> None:
    """Sizes differ, so that some samples run on behind their own grids."""
    sizes = (64, 96), (96, 96), (64, 64)
    plain = [
        Request(
            prompt=PROMPT[: 10 + 5 * n] if n else PROMPT,
            settings=replace(pipeline.defaults, height=h, width=w, **changes),
            seed=n,
        )
        for n, (h, w) in enumerate(sizes)
    ]
    ahead = [replace(job, settings=replace(job.settings, draft=draft)) for job in plain]
    for one, other in zip(
        pipeline.run_generator(plain), pipeline.run_generator(ahead), strict=True
    ):
        np.testing.assert_array_equal(one.grid, other.grid)
        if one.preview is not None:
            np.testing.assert_array_equal(one.preview, other.preview)


def test_guesses_are_the_preview_or_the_one_above() -> None:
    assert guess_sources([Grid(2, 3)], 8).tolist() == [0, 0, 1, 0, 1, 2, 5, 6]
    sources = guess_sources([Grid(1, 2), Grid(2, 4)], 10)
    assert sources.tolist() == [0, 0, *([0, 0, 1, 1] * 2)]
    assert guess_sources([Grid(2, 3)], 4).tolist() == [0, 0, 1, 0]


class Copier:
    """Says that each id is its guess, at some places one more; counts its calls."""

    def __init__(self, sources: Any, wrong: Container[int]) -> None:
        self.sources, self.wrong = sources, wrong
        self.ids = np.full(len(sources) + 1, 3)
        self.reads: list[int] = []

    def array(self, values: Any) -> Any:
        return values

    def step(self, ids: Any, number: int, start: int) -> Any:
        n = ids.shape[1]
        assert start == 100 + number
        self.ids[number : number + n] = ids[0]
        self.reads.append(n)
        places = range(number + 1, number + n + 1)
        said = [(int(self.ids[self.sources[p]]) + (p in self.wrong)) % 10 for p in places]
        return np.eye(10, dtype=np.float32)[said][None]


def likeliest(logits: Any, place: int) -> Any:
    return logits.argmax(-1)


def test_right_guesses_save_calls_and_a_wrong_one_costs_little() -> None:
    sources = guess_sources([Grid(1, 64)], 64)
    first = np.eye(10, dtype=np.float32)[[3]][None]
    told: list[int] = []
    walk = Copier(sources, wrong={40})
    ids = speculative_decode(
        walk,
        likeliest,
        first,
        sources[None],
        100,
        15,
        lambda step: told.append(step.done),
    )
    assert ids[0].tolist() == [3] * 40 + [4] * 24
    assert len(walk.reads) < 14
    assert max(walk.reads) == 16
    assert told == sorted(told)
    assert told[-1] == 64


def test_guesses_that_are_never_right_are_given_up() -> None:
    sources = guess_sources([Grid(1, 64)], 64)
    first = np.eye(10, dtype=np.float32)[[3]][None]
    walk = Copier(sources, wrong=range(64))
    ids = speculative_decode(walk, likeliest, first, sources[None], 100, 15)
    assert ids[0].tolist() == [(3 + n) % 10 for n in range(64)]
    assert len(walk.reads) == 63
    assert sum(n > 1 for n in walk.reads) == 6


def test_a_draft_is_a_count(pipeline: GlmImagePipeline) -> None:
    with pytest.raises(ValueError, match="draft must be 0 or more, not -1"):
        replace(pipeline.defaults, draft=-1)
