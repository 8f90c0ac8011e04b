"""Columns that networks make of a dataset's images: semantic tokens, preview ids and latents.

Each is written under a digest of the network and of what images go through before it, goes on
where it was stopped, and is refused by name when another network made it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image
from rich.progress import track

from moyin.backend import autograd, device, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import BUCKET, Dataset
from moyin.dataset.sample import Sample
from moyin.inference.image_processor import PREPROCESSING, SHORTEST, semantic_ids
from moyin.prompt.grid import Grid

Array = np.ndarray[Any, Any]

AT_ONCE = 2  # images: more only leave the processor's cache


class TokenLayout(Protocol):
    """Tokens that follow from what a rendered sample says of itself, without a network."""

    def ids(self, sample: Sample) -> Array:
        """The sample's token grid, [rows, columns] uint16."""


NETWORKS = {"tokens": "semantic", "latents": "autoencoder"}


@dataclass(frozen=True, kw_only=True)
class Tokenize:
    """What a checkpoint's networks add to a dataset that was prepared; by itself nothing.

    columns: `tokens`, with which come those of the preview, and `latents`. checkpoint: a folder or
    hub id that holds the networks; empty for the default one.
    """

    columns: tuple[Literal["tokens", "latents"], ...] = ()
    checkpoint: str = ""

    def check(self) -> None:
        """ValueError where the checkpoint lacks a network: known before any work is done."""
        for column in self.columns:
            if not Checkpoint.open(self.checkpoint or None).has(NETWORKS[column]):
                raise ValueError(
                    f"{column} need a trained {NETWORKS[column]}: name a checkpoint that holds one,"
                    " tokenize.checkpoint=FOLDER"
                )

    def __call__(self, dataset: Dataset) -> None:
        """Make what the dataset lacks. ValueError where another network made a column."""
        self.check()
        for column in self.columns:
            network = Checkpoint.open(self.checkpoint or None).whole(NETWORKS[column], "float32")
            if column == "tokens":
                semantic_columns(dataset, network)
            else:
                latent_column(dataset, network, latent_dtype())


def digest(network: Any) -> str:
    """sha256 of a network's configuration and weights."""
    config, kind = network.config, type(network).__name__
    values = (f"{f.name}={getattr(config, f.name)!r}" for f in dataclasses.fields(config))
    total = hashlib.sha256(f"{kind}.Config({', '.join(values)})".encode())
    for name, parameter in nn.named_parameters(network).items():
        total.update(name.encode() + ops.numpy(parameter).tobytes())
    return total.hexdigest()


def semantic_columns(dataset: Dataset, network: Any, legend: TokenLayout | None = None) -> None:
    """`tokens` and `preview_tokens`: of the image, and of the image at its preview's size.

    legend: what the ids of rendered images are to say, in place of what the tokenizer says of
    them; then no network is needed. ValueError for a legend and images that are not their own
    previews.
    """
    told = repr(legend) if legend is not None else f"{digest(network)} {PREPROCESSING}"
    made_by = hashlib.sha256(told.encode()).hexdigest()
    height, width = dataset.sample(0).image.shape[:2]
    if legend is not None and not _own_preview(Grid.of_pixels(height, width)):
        raise ValueError(f"{dataset.path}: a legend names the ids of images of 512x512 alone")

    def images(some: range) -> list[Array]:
        return [row["image"] for row in dataset.read(["image"], some)]

    def tokenized(some: Iterable[Array]) -> Iterator[Array]:
        return _by_size(some, lambda alike: semantic_ids(network, alike))

    def ids(some: range) -> Iterable[Array]:
        if legend is not None:
            return [legend.ids(dataset.sample(i)) for i in some]
        chosen = images(some)
        return map(_of_its_grid, tokenized(chosen), chosen)

    def previews(some: range) -> Iterable[Array]:
        known = [row["tokens"] for row in dataset.read(["tokens"], some)]
        if all(_own_preview(Grid(*grid.shape)) for grid in known):
            return known
        return _by_size(map(preview_image, images(some)), preview_ids)

    def preview_ids(alike: list[Array]) -> Iterable[Array]:
        # A preview's shorter side is below what references are enlarged to; it has its own grid.
        height, width = alike[0].shape[:2]
        return semantic_ids(network, alike, (height // 2, width // 2))

    _complete(dataset, "tokens", made_by, ids)
    _complete(dataset, "preview_tokens", made_by, previews)


def _of_its_grid(ids: Array, image: Array) -> Array:
    """The ids. ValueError where they are of another grid, that of an enlarged image."""
    height, width = image.shape[:2]
    grid = Grid.of_pixels(height, width)
    if ids.shape != (grid.rows, grid.columns):
        told = f"sides of at least {SHORTEST} pixels are tokenized as they are"
        raise ValueError(
            f"an image of {height}x{width} has {ids.shape[0]}x{ids.shape[1]} ids: {told}"
        )
    return ids


def _own_preview(grid: Grid) -> bool:
    return grid.preview() == grid


def preview_image(image: Array) -> Array:
    """The image made as small as its preview, to be tokenized again."""
    grid = Grid.of_pixels(*image.shape[:2]).preview()
    size = (grid.width, grid.height)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def latent_dtype() -> Any:
    """What latents are computed in."""
    return ops.bfloat16 if device.supports_bfloat16() else ops.float32


def latent_column(dataset: Dataset, network: Any, dtype: Any) -> None:
    """`latents`: the autoencoder's normalised means, float16 [C, H/8, W/8]."""

    def encode(alike: list[Array]) -> Array:
        pixels = np.stack(alike).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        with autograd.no_grad():
            x = ops.image_layout(ops.cast(ops.asarray(pixels), dtype))
            latents = network.normalize(ops.cast(network.encode(x)[0], ops.float32))
        return ops.numpy(latents).astype(np.float16)

    def latents(some: range) -> Iterator[Array]:
        return _by_size((row["image"] for row in dataset.read(["image"], some)), encode)

    _complete(dataset, "latents", digest(network), latents)


def _by_size(
    images: Iterable[Array], make: Callable[[list[Array]], Iterable[Array]]
) -> Iterator[Array]:
    """What `make` makes of images of one size, for each of them, in order."""
    for _, alike in itertools.groupby(images, key=lambda image: image.shape):
        yield from make(list(alike))


def _complete(
    dataset: Dataset, name: str, made_by: str, make: Callable[[range], Iterable[Array]]
) -> None:
    """Make the rows of a column that are not there yet."""
    if name in dataset.columns:
        dataset.column(name, made_by)
    start = dataset.rows_of(name) if name in dataset.columns else 0
    if start == len(dataset):
        return

    def rows() -> Iterator[Any]:
        starts = range(start, len(dataset), AT_ONCE)
        for first in track(starts, description=f"{name} of {dataset.path}"):
            yield from make(range(first, min(first + AT_ONCE, len(dataset))))

    kind = "npy" if BUCKET in dataset.columns else "array"
    made = rows()
    dataset.add_column(name, made_by, made, kind)
    next(made, None)  # the bar ends when they do
