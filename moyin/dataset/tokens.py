"""Columns that networks make of a dataset's images: semantic tokens, preview tokens and latents.

Each is written under a digest of the network and of the preprocessing, and resumes if it was
interrupted. A column of another network is an error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from PIL import Image

from moyin.backend import autograd, device, nn, ops
from moyin.dataset.dataset import BUCKET, Dataset
from moyin.dataset.progress import OnProgress, ignore, track
from moyin.dataset.sample import Sample
from moyin.inference.encode_image import encode_tokens
from moyin.inference.image_processor import PREPROCESSING, SHORTEST
from moyin.prompt.grid import Grid

Array = np.ndarray[Any, Any]

BATCH = 2  # images; more do not fit the processor's cache


class TokenLayout(Protocol):
    """Tokens that follow from the metadata of a rendered sample, without a network."""

    def ids(self, sample: Sample) -> Array:
        """The sample's token grid, [rows, columns] uint16."""


def digest(network: Any) -> str:
    """SHA-256 of a network's configuration and weights."""
    config, kind = network.config, type(network).__name__
    values = (f"{f.name}={getattr(config, f.name)!r}" for f in dataclasses.fields(config))
    total = hashlib.sha256(f"{kind}.Config({', '.join(values)})".encode())
    for name, parameter in nn.named_parameters(network).items():
        total.update(name.encode() + ops.numpy(parameter).tobytes())
    return total.hexdigest()


def token_columns(
    dataset: Dataset,
    network: Any,
    layout: TokenLayout | None = None,
    on_progress: OnProgress = ignore,
) -> None:
    """Add `tokens` and `preview_tokens`: of each image, and of the image at its preview's size.

    layout: supplies the tokens of rendered images instead of `network`, which is not used then.
    ValueError for a layout and images that are larger than their previews.
    """
    maker = repr(layout) if layout is not None else f"{digest(network)} {PREPROCESSING}"
    made_by = hashlib.sha256(maker.encode()).hexdigest()
    height, width = dataset.sample(0).image.shape[:2]
    if layout is not None and not _is_preview(Grid.of_pixels(height, width)):
        raise ValueError(f"{dataset.path}: a token layout supports images of 512x512 only")

    def images(rows: range) -> list[Array]:
        return [row["image"] for row in dataset.read(["image"], rows)]

    def tokens(rows: range) -> Iterable[Array]:
        if layout is not None:
            return [layout.ids(dataset.sample(i)) for i in rows]
        chosen = images(rows)
        grids = _by_size(chosen, lambda batch: encode_tokens(network, batch))
        return map(_checked, grids, chosen)

    def preview_tokens(rows: range) -> Iterable[Array]:
        grids = [row["tokens"] for row in dataset.read(["tokens"], rows)]
        if all(_is_preview(Grid(*grid.shape)) for grid in grids):
            return grids
        return _by_size(map(preview_image, images(rows)), tokenize_previews)

    def tokenize_previews(batch: list[Array]) -> Iterable[Array]:
        # A preview's shorter side is below the minimum to which references are enlarged, so its
        # grid is given.
        height, width = batch[0].shape[:2]
        return encode_tokens(network, batch, (height // 2, width // 2))

    _complete(dataset, "tokens", made_by, tokens, on_progress)
    _complete(dataset, "preview_tokens", made_by, preview_tokens, on_progress)


def _checked(tokens: Array, image: Array) -> Array:
    """The tokens. ValueError if their grid is that of an enlarged image."""
    height, width = image.shape[:2]
    grid = Grid.of_pixels(height, width)
    if tokens.shape != (grid.rows, grid.columns):
        raise ValueError(
            f"an image of {width}x{height} has {tokens.shape[0]} rows of {tokens.shape[1]} tokens: "
            f"sides of at least {SHORTEST} pixels are tokenized without enlarging"
        )
    return tokens


def _is_preview(grid: Grid) -> bool:
    """Whether images of this grid are their own previews."""
    return grid.preview() == grid


def preview_image(image: Array) -> Array:
    """The image scaled to the size of its preview, uint8 [H, W, 3]."""
    grid = Grid.of_pixels(*image.shape[:2]).preview()
    size = (grid.width, grid.height)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def latent_dtype() -> Any:
    """The dtype in which latents are computed on this device."""
    return ops.bfloat16 if device.supports_bfloat16() else ops.float32


def latent_column(
    dataset: Dataset, network: Any, dtype: Any, on_progress: OnProgress = ignore
) -> None:
    """Add `latents`: the autoencoder's normalised means, float16 [C, H/8, W/8]."""

    def encode(batch: list[Array]) -> Array:
        pixels = np.stack(batch).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        with autograd.no_grad():
            x = ops.image_layout(ops.cast(ops.asarray(pixels), dtype))
            latents = network.normalize(ops.cast(network.encode(x)[0], ops.float32))
        return ops.numpy(latents).astype(np.float16)

    def latents(rows: range) -> Iterator[Array]:
        return _by_size((row["image"] for row in dataset.read(["image"], rows)), encode)

    _complete(dataset, "latents", digest(network), latents, on_progress)


def _by_size(
    images: Iterable[Array], make: Callable[[list[Array]], Iterable[Array]]
) -> Iterator[Array]:
    """The results of `make`, called on runs of images of one size, in order."""
    for _, batch in itertools.groupby(images, key=lambda image: image.shape):
        yield from make(list(batch))


def _complete(
    dataset: Dataset,
    name: str,
    made_by: str,
    make: Callable[[range], Iterable[Array]],
    on_progress: OnProgress,
) -> None:
    """Add the missing rows of a column."""
    if name in dataset.columns:
        dataset.column(name, made_by)
    start = dataset.rows_of(name) if name in dataset.columns else 0
    if start == len(dataset):
        return

    def rows() -> Iterator[Any]:
        starts = range(start, len(dataset), BATCH)
        for first in track(starts, f"{name} of {dataset.path}", len(starts), on_progress):
            yield from make(range(first, min(first + BATCH, len(dataset))))

    kind = "npy" if BUCKET in dataset.columns else "array"
    dataset.add_column(name, made_by, rows(), kind)
