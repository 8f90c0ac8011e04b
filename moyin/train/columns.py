"""Columns that a stage needs and the store may lack: semantic ids, preview ids and latents.

Each is made by a network of the checkpoint, written to the store under that network's digest, and
refused by name when another network made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from rich.progress import track

from moyin.backend import autograd, nn, ops
from moyin.pipeline.tokenize import semantic_ids
from moyin.prompt.grid import Grid

if TYPE_CHECKING:
    from moyin.train.objectives.base import Source

Array = np.ndarray[Any, Any]

AT_ONCE = 2  # pictures: more only leave the processor's cache


def digest(network: Any) -> str:
    """sha256 of a network's configuration and weights."""
    total = hashlib.sha256(repr(network.config).encode())
    for name, parameter in nn.named_parameters(network).items():
        total.update(name.encode() + ops.numpy(parameter).tobytes())
    return total.hexdigest()


def semantic_columns(source: Source) -> None:
    """`ids` and `preview_ids`: of the picture, and of the picture at its preview's size."""
    network = source.network("semantic")
    made_by = digest(network)

    def previews(pictures: list[Array]) -> Array:
        return semantic_ids(network, [preview_picture(p) for p in pictures])

    _complete(source, "ids", made_by, "picture", lambda some: semantic_ids(network, some))
    height, width, _ = source.pictures.read(["picture"], [0])[0]["picture"].shape
    grid = Grid.of_pixels(height, width)
    if grid.preview() == grid:  # it is the picture itself
        _complete(source, "preview_ids", made_by, "ids", np.stack)
    else:
        _complete(source, "preview_ids", made_by, "picture", previews)


def preview_picture(picture: Array) -> Array:
    """The picture made as small as its preview, to be tokenized again."""
    grid = Grid.of_pixels(*picture.shape[:2]).preview()
    size = (grid.width, grid.height)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def latent_column(source: Source, dtype: Any) -> None:
    """`latents`: the autoencoder's normalised means, float16 [C, H/8, W/8]."""
    network = source.network("autoencoder")

    def encode(some: list[Array]) -> Array:
        pixels = np.stack(some).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        with autograd.no_grad():
            x = ops.image_layout(ops.cast(ops.asarray(pixels), dtype))
            latents = network.normalize(ops.cast(network.encode(x)[0], ops.float32))
        return ops.numpy(latents).astype(np.float16)

    _complete(source, "latents", digest(network), "picture", encode)


def _complete(
    source: Source,
    name: str,
    made_by: str,
    needs: str,
    make: Callable[[list[Array]], Array],
) -> None:
    """Make the rows of a column that are not there yet out of those of the column it needs."""
    store = source.pictures
    if name in store.columns:
        store.column(name, made_by)
    start = store.rows_of(name) if name in store.columns else 0
    if start == len(store):
        return

    def rows() -> Iterator[Any]:
        starts = range(start, len(store), AT_ONCE)
        for first in track(starts, description=f"{name} of {store.path}"):
            some = range(first, min(first + AT_ONCE, len(store)))
            yield from make([row[needs] for row in store.read([needs], some)])

    store.add_column(name, made_by, rows())
