"""Images of one prompt through the request-level API, for tests that need pixels and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moyin.inference.config import GenerationConfig
from moyin.inference.image_processor import fitted_grid
from moyin.inference.observer import Progress
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import GeneratedImage, Request


def generated(
    pipeline: GlmImagePipeline,
    prompt: str,
    settings: GenerationConfig | None = None,
    *,
    seed: int = 0,
    count: int = 1,
    images: Sequence[Any] = (),
    progress: Progress | None = None,
) -> list[GeneratedImage]:
    """`count` layouts of a seed; images: to be edited, the first of which gives the size."""
    settings = settings or pipeline.defaults
    references = pipeline.encode_images(images) if images else ()
    if images and settings == pipeline.defaults:
        grid = fitted_grid(images[0])
        settings = settings.replace(height=grid.height, width=grid.width)
    requests = [
        Request(prompt=prompt, settings=settings, seed=seed, sample=i, references=references)
        for i in range(count)
    ]
    return list(pipeline.run_each(requests, progress))
