"""What reference images do; `test_matrix` compares editing with the reference libraries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generating import generated

from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import Request
from moyin.inference.semantic_tokens import SemanticTokens

PROMPT = "turn it red and write “春” and 'hi'"


def images() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, (512, w, 3), dtype=np.uint8) for w in (768, 512)]


@pytest.fixture(scope="module")
def pipeline(reference_folder: Path) -> GlmImagePipeline:
    return GlmImagePipeline.from_pretrained(reference_folder, dtype="float32")


def test_references_change_the_image(pipeline: GlmImagePipeline) -> None:
    """Another reference, another image; the same one again, the same pixels."""
    settings = pipeline.defaults.replace(height=64, width=64, steps=2, guidance=2.0)
    first, second, again = (
        generated(pipeline, PROMPT, settings, seed=1, images=[images()[i]])[0] for i in (0, 1, 0)
    )
    assert first.metadata["references"] == 1
    assert first.tokens.preview is None
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert (first.tokens.grid != second.tokens.grid).any()
    assert np.abs(first.pixels.astype(int) - second.pixels.astype(int)).mean() > 1


def test_the_unconditional_pass_does_not_see_references(pipeline: GlmImagePipeline) -> None:
    """At guidance 0 nothing but that pass counts."""
    tokens = SemanticTokens(grid=np.zeros((2, 2), np.uint16), codes=40, prompt=PROMPT)
    settings = pipeline.defaults.replace(height=64, width=64, steps=2, guidance=0.0)
    plain = Request(prompt=PROMPT, settings=settings, seed=1)
    edit = replace(plain, references=pipeline.encode_images(images()[1:]))
    (alone,), (seen,) = (pipeline.run_decoding([tokens], [request]) for request in (plain, edit))
    np.testing.assert_array_equal(seen.pixels, alone.pixels)


def test_the_first_image_gives_the_size(pipeline: GlmImagePipeline) -> None:
    """300x420 is scaled by 512/300, in steps of 32."""
    edited = np.zeros((300, 420, 3), np.uint8)
    result = pipeline("make it red", image=[edited, images()[1]], num_inference_steps=1, seed=0)
    assert result.images[0].size == (704, 512)
    assert result.tokens[0].grid.shape == (16, 22)


def test_an_edit_needs_an_image(pipeline: GlmImagePipeline) -> None:
    with pytest.raises(ValueError, match="at least one reference image"):
        pipeline(PROMPT, image=[])
