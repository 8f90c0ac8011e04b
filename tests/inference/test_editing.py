"""What reference images do; `test_matrix` compares editing with the reference libraries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.semantic_tokens import SemanticTokens

PROMPT = "turn it red and write “春” and 'hi'"


def images() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, (512, w, 3), dtype=np.uint8) for w in (768, 512)]


@pytest.fixture(scope="module")
def pipeline(reference_folder: Path) -> GlmImagePipeline:
    return GlmImagePipeline.open(reference_folder, "float32")


def test_references_change_the_image(pipeline: GlmImagePipeline) -> None:
    settings = replace(pipeline.defaults, height=64, width=64, steps=2, guidance=2.0)
    first, second = (
        next(pipeline.edit(PROMPT, images()[i : i + 1], settings, seed=1)) for i in (0, 1)
    )
    assert first.facts["references"] == 1
    assert (first.pixels != second.pixels).any()
    assert first.ids.preview is None


def test_the_unconditional_pass_does_not_see_references(pipeline: GlmImagePipeline) -> None:
    """At guidance 0 nothing but that pass counts."""
    grid = np.zeros((2, 2), np.uint16)
    settings = replace(pipeline.defaults, height=64, width=64, steps=2, guidance=0.0)
    ids = SemanticTokens(grid=grid, codes=40, prompt=PROMPT)
    seen = tuple(pipeline.reference(image) for image in images()[1:])
    alone = pipeline.decode(ids, settings, seed=1).pixels
    np.testing.assert_array_equal(
        pipeline.decode(ids, settings, seed=1, references=seen).pixels, alone
    )


def test_the_first_image_gives_the_size(pipeline: GlmImagePipeline) -> None:
    images = [np.zeros((300, 420, 3), np.uint8)]
    rows, columns = pipeline.reference(images[0]).grid.shape
    assert (rows, columns) == (16, 22)
    with pytest.raises(ValueError, match="at least one image"):
        next(pipeline.edit(PROMPT, []))
