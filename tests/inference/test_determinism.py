"""One seed is one image: alone or among others, with or without cache, cold or warm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moyin.backend import autograd, ops
from moyin.inference import generate_tokens
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import GeneratedImage, Request
from moyin.inference.sampling import sample_token

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def pipeline(small_checkpoint: Path) -> GlmImagePipeline:
    return GlmImagePipeline.from_pretrained(small_checkpoint, dtype="float32")


def mixed(pipeline: GlmImagePipeline) -> list[Request]:
    """Jobs that differ in prompt, size, preview, guidance and references."""
    usual = pipeline.defaults
    image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    seen = pipeline.encode_image(image)
    return [
        Request(prompt="红底，写着“春 hi”", settings=usual, seed=1),
        Request(prompt="a cat", settings=replace(usual, guidance=1.0), seed=2),
        Request(prompt="a “dog”", settings=replace(usual, height=96, width=128), seed=3),
        Request(prompt="a “dog” and 'tea'", settings=replace(usual, preview=True), seed=4),
        Request(prompt="colder", settings=usual, seed=5, references=(seen,)),
    ]


def same_ids(a: GeneratedImage, b: GeneratedImage) -> bool:
    previews = [p.tokens.preview for p in (a, b)]
    alike = all(p is None for p in previews) or np.array_equal(*previews)  # type: ignore[arg-type]
    return alike and np.array_equal(a.tokens.grid, b.tokens.grid)


def assert_close(a: GeneratedImage, b: GeneratedImage) -> None:
    """The same ids, and pixels that sums in another order may move by 2 of 255."""
    assert same_ids(a, b)
    assert np.abs(a.pixels.astype(int) - b.pixels.astype(int)).max() <= 2


def assert_equal(a: GeneratedImage, b: GeneratedImage) -> None:
    assert same_ids(a, b)
    np.testing.assert_array_equal(a.pixels, b.pixels)


def test_alone_or_in_a_batch_cold_or_warm(
    pipeline: GlmImagePipeline, small_checkpoint: Path
) -> None:
    """A pipeline that has drawn already beside one that is fresh for each image."""
    jobs = mixed(pipeline)
    for job, together in zip(jobs, pipeline.run(jobs), strict=True):
        assert_close(pipeline.run([job])[0], together)
        assert_close(
            GlmImagePipeline.from_pretrained(small_checkpoint, dtype="float32").run([job])[0],
            together,
        )


@pytest.mark.parametrize("number", range(5))
def test_with_or_without_cache(pipeline: GlmImagePipeline, number: int) -> None:
    """Every id once more, each from a forward over all that stands before it."""
    job = mixed(pipeline)[number]
    cached = pipeline.run_generator([job])[0]
    again = generate_tokens.split_grids(
        without_cache(pipeline, job), inputs(pipeline, job).grids, 40, job.prompt
    )
    np.testing.assert_array_equal(again.grid, cached.grid)
    if cached.preview is not None:
        np.testing.assert_array_equal(again.preview, cached.preview)
    images = [pipeline.run_decoding([ids], [job])[0] for ids in (cached, again)]
    assert_close(*images)


def inputs(pipeline: GlmImagePipeline, job: Request) -> Any:
    return pipeline.generator_inputs(job.prompt, job.settings, job.references)


@autograd.no_grad()
def without_cache(pipeline: GlmImagePipeline, job: Request) -> Array:
    read = inputs(pipeline, job)
    chance = generate_tokens.token_uniforms(read.count, job.seed, job.sample)
    ids, positions = read.ids, read.positions
    for n in range(read.count):
        logits = pipeline.generator(ops.asarray(ids[None]), ops.asarray(positions[:, None]))
        chosen = sample_token(
            logits[:, len(ids) - 1],
            ops.asarray(chance[n : n + 1]),
            job.settings.token_sampling,
            allowed=40,
        )
        ids = np.append(ids, ops.numpy(chosen))
        positions = np.append(positions, read.future[:, n : n + 1], axis=1)
    return ids[len(read.ids) :]


def test_bfloat16_repeats_its_bits(pipeline: GlmImagePipeline, small_checkpoint: Path) -> None:
    """The same seeds in a batch of the same shape: again, and in a fresh pipeline."""
    jobs = [job for job in mixed(pipeline) if not job.settings.preview]
    first, fresh = (
        GlmImagePipeline.from_pretrained(small_checkpoint, dtype="bfloat16") for _ in range(2)
    )
    runs = [short.run(jobs) for short in (first, first, fresh)]
    for once, again, cold in zip(*runs, strict=True):
        assert_equal(again, once)
        assert_equal(cold, once)
    exact = pipeline.run(jobs)
    assert any((a.pixels != b.pixels).any() for a, b in zip(exact, runs[0], strict=True))
