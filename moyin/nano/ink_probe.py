"""An auxiliary loss of the decoder: predict the ink under each image token from early states."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.models.config import DecoderConfig
from moyin.models.layers import zero_init
from moyin.prompt.grid import PIXELS
from moyin.train.auxiliary import Auxiliary
from moyin.train.objectives.base import Array, Batch
from moyin.train.objectives.decoder import Crops, DecoderForward
from moyin.train.objectives.glyph_encoder import bitmap

CELL = 4  # pixels of a side
CELLS = PIXELS // 2 // CELL  # along a token of the decoder


class InkProbe(Auxiliary):
    """Squared error of the ink's coverage [B, N, CELLS²] at the image tokens of samples that have
    tokens and glyphs. The map starts at zero, so that it has no gradient before it knows
    anything. ValueError where the network has fewer blocks than it reads."""

    def __init__(self, network: DecoderConfig, weight: float, after_blocks: int) -> None:
        super().__init__()
        if after_blocks > network.layers:
            raise ValueError(f"after_blocks={after_blocks} of a network of {network.layers}")
        self.weight = weight
        self.read_blocks = (after_blocks,)
        self.head = zero_init(nn.Linear(network.dim, CELLS**2))

    def batch(self, samples: Crops, arrays: Batch) -> Batch:
        """ink [B, N, CELLS²], and ink_known [B]."""
        found = [
            cut_coverage(
                crop.row["meta"]["lines"],
                crop.row["tokens"].shape,
                crop.corner,
                len(crop.tokens),
            )
            for crop in samples.crops
        ]
        return {"ink": np.stack(found), "ink_known": ~samples.dropped[:, :2].any(1)}

    def loss(
        self, forward: DecoderForward, batch: dict[str, Tensor], dtype: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        states = forward.network.out_norm(forward.states[self.read_blocks[0]])
        predicted = ops.cast(self.head(states), ops.float32)
        known = ops.cast(batch["ink_known"], ops.float32)[:, None, None]
        error = ops.square(predicted - batch["ink"]) * known
        shown = {"ink": ops.stop_gradient(ops.mean(error))}
        return self.weight * ops.mean(error), shown


def cut_coverage(
    lines: list[dict[str, Any]], grid: tuple[int, ...], corner: tuple[int, int], side: int
) -> Array:
    """Coverage of the cells under the image tokens of a crop of side × side semantic tokens that
    begins at `corner` (row, column): [N, CELLS²] float32, the cells of a token row by row."""
    fine = PIXELS // CELL
    top, left = (fine * n for n in corner)
    cells = coverage(lines, grid)[top : top + fine * side, left : left + fine * side]
    across = cells.shape[0] // CELLS
    cells = cells.reshape(across, CELLS, across, CELLS).transpose(0, 2, 1, 3)
    return cells.reshape(across**2, CELLS**2)


def unexplained(error_bnc: Tensor, ink_bnc: Tensor, text_bn: Tensor) -> Tensor:
    """Share of the ink's variance under text that a squared error leaves."""
    share = text_bn[:, :, None] / (ops.sum(text_bn) * CELLS**2)
    mean = ops.sum(ink_bnc * share)
    return ops.sum(error_bnc * share) / ops.sum(ops.square(ink_bnc - mean) * share)


def coverage(lines: list[dict[str, Any]], grid: tuple[int, ...]) -> Array:
    """Share of each cell that ink covers, [rows, columns] float32, of an image of `grid` tokens."""
    found = np.zeros([n * PIXELS // CELL for n in grid], np.float32)
    for line in lines:
        for character, (left, top, _, bottom) in zip(line["text"], line["squares"], strict=True):
            side = round((bottom - top) / CELL)
            ink = bitmap(character, line["font"], side).reshape(side, side).astype(np.float32) / 255
            y, x = round(top / CELL), round(left / CELL)
            inside = found[max(y, 0) : y + side, max(x, 0) : x + side]
            part = ink[max(-y, 0) :, max(-x, 0) :][: inside.shape[0], : inside.shape[1]]
            np.maximum(inside, part, out=inside)
    return found
