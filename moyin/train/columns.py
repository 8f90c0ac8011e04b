"""Columns that a stage needs and the store may lack: semantic ids, preview ids and latents.

Each is made by a network of the checkpoint, written to the store under that network's digest, and
refused by name when another network made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from rich.progress import track

from moyin.backend import autograd, nn, ops
from moyin.pipeline.tokenize import semantic_ids
from moyin.prompt.grid import Grid

if TYPE_CHECKING:
    from moyin.data.legend import Legend
    from moyin.train.objectives.base import Source

Array = np.ndarray[Any, Any]

AT_ONCE = 2  # pictures: more only leave the processor's cache


def digest(network: Any) -> str:
    """sha256 of a network's configuration and weights."""
    total = hashlib.sha256(repr(network.config).encode())
    for name, parameter in nn.named_parameters(network).items():
        total.update(name.encode() + ops.numpy(parameter).tobytes())
    return total.hexdigest()


def semantic_columns(source: Source, legend: Legend | None = None) -> None:
    """`ids` and `preview_ids`: of the picture, and of the picture at its preview's size.

    legend: what the ids of rendered pictures are to say, in place of what the tokenizer says of
    them. It learns to say the same, and nobody has to wait for it or to copy its mistakes.
    ValueError for a legend and pictures that are not their own previews.
    """
    store = source.pictures
    grid = Grid.of_pixels(*store.sample(0).picture.shape[:2])
    same = grid.preview() == grid  # then the preview is the picture itself

    def pictures(some: range) -> list[Array]:
        return [row["picture"] for row in store.read(["picture"], some)]

    if legend is not None:
        if not same:
            raise ValueError(f"{store.path}: a legend names the ids of pictures of 512x512 alone")
        made_by, name = hashlib.sha256(repr(legend).encode()).hexdigest(), legend.ids
        _complete(source, "ids", made_by, lambda some: [name(store.sample(i)) for i in some])
    else:
        network = source.network("semantic")
        made_by = digest(network)
        _complete(source, "ids", made_by, lambda some: semantic_ids(network, pictures(some)))

    def previews(some: range) -> Iterable[Array]:
        if same:
            return [row["ids"] for row in store.read(["ids"], some)]
        return semantic_ids(network, [preview_picture(p) for p in pictures(some)])

    _complete(source, "preview_ids", made_by, previews)


def preview_picture(picture: Array) -> Array:
    """The picture made as small as its preview, to be tokenized again."""
    grid = Grid.of_pixels(*picture.shape[:2]).preview()
    size = (grid.width, grid.height)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def latent_column(source: Source, dtype: Any) -> None:
    """`latents`: the autoencoder's normalised means, float16 [C, H/8, W/8]."""
    network = source.network("autoencoder")

    def encode(some: range) -> Array:
        rows = source.pictures.read(["picture"], some)
        pictures = np.stack([row["picture"] for row in rows]).transpose(0, 3, 1, 2)
        pixels = pictures.astype(np.float32) / 127.5 - 1
        with autograd.no_grad():
            x = ops.image_layout(ops.cast(ops.asarray(pixels), dtype))
            latents = network.normalize(ops.cast(network.encode(x)[0], ops.float32))
        return ops.numpy(latents).astype(np.float16)

    _complete(source, "latents", digest(network), encode)


def _complete(
    source: Source,
    name: str,
    made_by: str,
    make: Callable[[range], Iterable[Array]],
) -> None:
    """Make the rows of a column that are not there yet."""
    store = source.pictures
    if name in store.columns:
        store.column(name, made_by)
    start = store.rows_of(name) if name in store.columns else 0
    if start == len(store):
        return

    def rows() -> Iterator[Any]:
        starts = range(start, len(store), AT_ONCE)
        for first in track(starts, description=f"{name} of {store.path}"):
            yield from make(range(first, min(first + AT_ONCE, len(store))))

    store.add_column(name, made_by, rows())
