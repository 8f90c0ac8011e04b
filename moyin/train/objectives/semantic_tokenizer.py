"""The semantic tokenizer's objective: tokens that tell a decoder what is where.

A small transformer, discarded afterwards, reads the grid of codes and predicts for every token's
32 × 32 pixels a coarse thumbnail, and for the character that lies there: whether there is one, its
colour, the position within it, its size, and its number in the line. Glyph states have no position
in the decoder, so these tokens must say which part of which character goes where.

Loss: mean squared error of the thumbnails (weight PLAIN under text) plus layout_weight times the
mean squared error of the layout. In training noise replaces the quantizer, since a codebook can
keep what survives noise. At the end the codebook is fitted to the network's outputs by spherical
k-means (Dhillon and Modha 2001), half of it on tokens with text; so every code is used, which
training a codebook (van den Oord et al. 2017) seldom reaches. This stage is Moyin's own.

Axes: b images, h and w rows and columns of tokens, c channels of a code.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import numpy as np
from PIL import Image

from moyin.backend import Tensor, autograd, nn, ops
from moyin.dataset.sample import Sample
from moyin.inference.image_processor import preprocess
from moyin.models.semantic_tokenizer import Block, SemanticTokenizer, unit
from moyin.prompt.grid import PIXELS
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source
from moyin.train.objectives.config import SemanticObjectiveConfig

THUMBNAIL = 4  # pixels of a side, per token
LAYOUT = 8  # text or not; red, green, blue; down, right within a character; size; number
PLAIN = 0.2  # weight of the thumbnail under text, where the layout matters


class SemanticObjective(Objective):
    """Batches: pixels [B, 3, H, W] preprocessed, noise [B, h, w, code width], thumbnail
    [B, h·w, 48] and layout [B, h·w, LAYOUT], both in about −1 … 1."""

    stage: ClassVar[str] = "semantic"

    Config: TypeAlias = SemanticObjectiveConfig

    def __init__(
        self, config: SemanticObjectiveConfig, source: Source, network: SemanticTokenizer
    ) -> None:
        super().__init__()
        self.config, self.network, self.dataset = config, network, source.images
        width = network.config.width
        self.head = nn.ModuleList([Block(network.config) for _ in range(config.head_layers)])
        self.head_norm = nn.LayerNorm(width)
        self.head_out = nn.Linear(width, 3 * THUMBNAIL**2 + LAYOUT)
        self.add_auxiliary()

    @property
    def count(self) -> int:
        return len(self.dataset)

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        samples = [self.dataset.sample(i) for i in indices]
        pixels = np.stack([preprocess(s.image) for s in samples])
        b, _, h, w = pixels.shape
        patch, width = self.network.config.patch, self.network.config.code_width
        arrays = {
            "pixels": pixels,
            "noise": sample_rng.normal("codes", b, h // patch, w // patch, width),
            "thumbnail": np.stack([thumbnails(s.image) for s in samples]),
            "layout": np.stack([layout(s) for s in samples]),
        }
        return self.auxiliary_batch(samples, arrays)

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.network.project(self.network.features(ops.cast(batch["pixels"], dtype)))
        spread = self.config.noise / self.network.config.code_width**0.5
        predicted = self._predicted(unit(z + spread * batch["noise"]), dtype)
        thumbnail, place = self._errors(predicted, batch)
        shown = {"thumbnail": thumbnail, "layout": place}
        loss = thumbnail + self.config.layout_weight * place
        loss, more = self.auxiliary_loss(loss, z, batch, dtype)
        return loss, {n: ops.stop_gradient(x) for n, x in shown.items()} | more

    def finish(self) -> SemanticTokenizer:
        """The network with its codebook fitted to the first images of the dataset."""
        network: SemanticTokenizer = self.network
        grids, text = [], []
        with autograd.no_grad():
            for i in range(min(self.config.fit, self.count)):
                sample = self.dataset.sample(i)
                pixels = ops.asarray(preprocess(sample.image)[None])
                grids.append(ops.numpy(network.project(network.features(pixels)))[0])
                text.append(layout(sample)[:, 0] > 0)
        vectors = np.concatenate([x.reshape(-1, x.shape[-1]) for x in grids])
        on_text = np.concatenate(text)
        rng = np.random.default_rng(0)
        chosen = balanced(on_text, rng)
        codes = k_means(vectors[chosen], network.config.codes, self.config.rounds, rng)
        nn.set_parameter(network.codebook.weight, ops.asarray(codes))
        return network

    def _predicted(self, codes_bhwc: Tensor, dtype: Any) -> Tensor:
        """The head's output [B, h·w, thumbnail and layout], float32."""
        x = ops.cast(ops.permute(codes_bhwc, (0, 3, 1, 2)), dtype)
        x = self.network.post_quant_conv(x)
        b, d, h, w = x.shape
        x = ops.transpose(ops.reshape(x, (b, d, h * w)), 1, 2)
        x = x + ops.cast(self.network.positions(h, w), dtype)
        for block in self.head:
            x = block(x)
        return ops.cast(self.head_out(self.head_norm(x)), ops.float32)

    def _errors(self, predicted: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Mean squared errors of the thumbnails, and of the layout where there is text."""
        count = 3 * THUMBNAIL**2
        text = batch["layout"][..., :1] * 0.5 + 0.5
        squared = ops.square(predicted[..., :count] - batch["thumbnail"])
        thumbnail = ops.mean(squared * (1 - (1 - PLAIN) * text))
        wrong = ops.square(predicted[..., count:] - batch["layout"])
        # A mean per image first, so that a batch may be cut anywhere.
        detail = ops.sum(ops.sum(wrong[..., 1:] * text, 2), 1) / (ops.sum(text[..., 0], 1) + 1.0)
        return thumbnail, ops.mean(wrong[..., 0]) + 0.25 * ops.mean(detail)


def balanced(on_text: Array, rng: np.random.Generator) -> Array:
    """Indices of as many tokens without text as with, or of all where one kind is missing."""
    with_text, without = np.flatnonzero(on_text), np.flatnonzero(~on_text)
    count = min(len(with_text), len(without))
    if not count:
        return np.arange(len(on_text))
    parts = [rng.choice(part, count, replace=False) for part in (with_text, without)]
    return np.concatenate(parts)


def k_means(vectors: Array, count: int, rounds: int, rng: np.random.Generator) -> Array:
    """Spherical k-means: `count` unit centres of unit vectors [N, C]. Centres without vectors move
    to the vectors that fit their centre worst."""
    centres = vectors[rng.choice(len(vectors), count, replace=len(vectors) < count)]
    for _ in range(rounds):
        nearest, fit = assigned(vectors, centres)
        total = np.zeros_like(centres)
        np.add.at(total, nearest, vectors)
        idle = np.flatnonzero(np.bincount(nearest, minlength=count) == 0)
        total[idle] = vectors[np.argsort(fit)[: len(idle)]]
        centres = total / np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(centres, np.float32)


def assigned(vectors: Array, centres: Array) -> tuple[Array, Array]:
    """Each vector's nearest centre, and their inner product."""
    nearest, fit = [], []
    for start in range(0, len(vectors), 8192):
        products = vectors[start : start + 8192] @ centres.T
        nearest.append(products.argmax(1))
        fit.append(products.max(1))
    return np.concatenate(nearest), np.concatenate(fit)


def thumbnails(image: Array) -> Array:
    """Mean colours of 4 × 4 parts of every token's square, −1 … 1: [h·w, 48]."""
    h, w = image.shape[0] // PIXELS, image.shape[1] // PIXELS
    means = np.asarray(Image.fromarray(image).reduce(PIXELS // THUMBNAIL), np.float32)
    parts = means.reshape(h, THUMBNAIL, w, THUMBNAIL, 3).transpose(0, 2, 1, 3, 4)
    return parts.reshape(h * w, -1) / 127.5 - 1


def layout(sample: Sample) -> Array:
    """The character at the centre of every token's square: [h·w, LAYOUT] in about −1 … 1.

    It is the nearest of those whose square holds the centre; one that is smaller than a token's
    square counts as that large.
    """
    h, w = sample.image.shape[0] // PIXELS, sample.image.shape[1] // PIXELS
    features = np.zeros((h, w, LAYOUT), np.float32)
    features[..., 0] = -1
    nearest = np.full((h, w), np.inf)
    y, x = (np.mgrid[:h, :w] + 0.5) * PIXELS
    for line in sample.lines:
        colour = ink(sample.image, line.box)
        for number, (left, top, right, bottom) in enumerate(line.squares):
            if line.text[number] == " ":
                continue
            side = bottom - top
            down, across = y - (top + bottom) / 2, x - (left + right) / 2
            away = np.maximum(np.abs(down), np.abs(across))
            here = (away < max(side, PIXELS) / 2) & (away < nearest)
            nearest[here] = away[here]
            features[here, 0] = 1
            features[here, 1:4] = colour
            features[here, 4], features[here, 5] = 2 * down[here] / side, 2 * across[here] / side
            features[here, 6] = np.log2(side / 128)
            features[here, 7] = number / 2 - 1
    return features.reshape(h * w, LAYOUT)


def ink(image: Array, box: tuple[float, ...]) -> Array:
    """The text's colour, −1 … 1: that of the pixels that differ most from the box's rim."""
    left, top, right, bottom = (int(v) for v in box)
    part = image[top : bottom + 1, left : right + 1].astype(np.float32)
    rim = np.concatenate([part[0], part[-1]]).mean(0)
    distance = np.abs(part - rim).sum(-1)
    far = part[distance >= np.quantile(distance, 0.9)]
    return np.asarray(np.median(far, 0) / 127.5 - 1)
