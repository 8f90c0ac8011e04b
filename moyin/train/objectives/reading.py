"""A decoder's first blocks, before it paints: which part of which character lies under a token.

At pure noise they are given ids and glyphs, and one linear map must tell from what they make of
each image token how much of it ink covers, in cells of four pixels. That needs three things, which
are found much later where they are learned together with colours and noise: which quarter of its id
a token is, the glyph token that the id speaks of, and the place in its bitmap. A second map must
give the noise back, since what paints later needs both, and ink alone would drown it. The maps
are thrown away; the later blocks stay as they were begun.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from moyin.backend import Tensor, autograd, nn, ops
from moyin.flow.schedule import Schedule
from moyin.flow.training_times import training_sigmas
from moyin.models.decoder import Decoder, DecoderInputs, patchify, upsample_tokens
from moyin.prompt.grid import PIXELS
from moyin.render.legend import Legend
from moyin.train.columns import semantic_columns
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source
from moyin.train.objectives.decoder import (
    LATENTS,
    PATCHES,
    corner,
    fresh,
    gathered,
    glyph_batch,
    written_in,
)
from moyin.train.objectives.ink import CELLS, cut, unread

GATES = (4, 5, 10, 11)  # of the twelve vectors of a block's modulation


class ReadingObjective(Objective):
    """Squared error of the ink's coverage under each token."""

    stage: ClassVar[str] = "decoder"

    @dataclass(frozen=True, kw_only=True)
    class Config(Objective.Config):
        """blocks: how many of the network's learn to read; crop: a side in tokens; on_text:
        share of crops that lie on a line; carried: weight of giving the noise back; legend: as for
        `DecoderObjective`, and not optional."""

        stage: ClassVar[str] = "decoder"
        network: Decoder.Config = field(default_factory=Decoder.Config)
        blocks: int = 2
        crop: int = 4
        on_text: float = 1.0
        carried: float = 0.1
        legend: Legend = field(default_factory=Legend)

        def build(self, source: Source, start: Any) -> ReadingObjective:
            if not 1 <= self.blocks <= self.network.layers:
                raise ValueError(f"blocks={self.blocks} of a network of {self.network.layers}")
            semantic_columns(source, self.legend)
            glyph = source.network("glyph")
            if start is None:
                start = fresh(self.network, source, glyph, self.legend)
                for block in list[Any](start.blocks)[: self.blocks]:
                    open_gates(block)
            return ReadingObjective(self, source, start, glyph)

    def __init__(self, config: Config, source: Source, network: Decoder, glyph: Any) -> None:
        super().__init__()
        self.config, self.network, self.dataset = config, network, source.images
        dim, latents = network.config.dim, network.config.channels * network.config.patch**2
        self.ink, self.noise = nn.Linear(dim, CELLS**2), nn.Linear(dim, latents)
        self.frozen = (glyph,)  # in a tuple, so that it is no part of what is trained

    @property
    def count(self) -> int:
        return len(self.dataset)

    def trained(self, name: str) -> bool:
        """Only what reads, and alike at all times: nothing of time, no later block."""
        parts = [f"network.blocks.{i}." for i in range(self.config.blocks)]
        parts += [f"network.{part}" for part in ("patches.", "glyphs.", "prior")]
        reads = name.startswith(("ink.", "noise.", *parts))
        return reads and not name.endswith("modulation.weight")

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        rows = self.dataset.read(["meta", "tokens"], indices)
        side = self.config.crop
        ids, ink, origins = [], [], []
        for number, row in enumerate(rows):
            lines, grid = row["meta"]["lines"], row["tokens"].shape
            top, left = corner(
                lines, grid, side, self.config.on_text, sample_rng.of(number, "crops")
            )
            ids.append(row["tokens"][top : top + side, left : left + side].astype(np.int64))
            ink.append(cut(lines, grid, (top, left), side))
            origins.append((PATCHES * top, PATCHES * left))
        strings = [written_in(row["meta"]) for row in rows]
        b, c = len(rows), self.network.config.channels
        latents = (c, LATENTS * side, LATENTS * side)
        return {
            "tokens": np.stack(ids),
            "ink": np.stack(ink),
            "origin": np.array(origins, np.float32),
            "grid": np.array(rows[0]["tokens"].shape),
            "noise": sample_rng.normal("noise", b, *latents),
            **glyph_batch(strings),
        }

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        ids, ink = upsample_tokens(batch["tokens"]), batch["ink"]
        read = self._read(batch, ids, dtype)
        error = ops.square(ops.cast(self.ink(read), ops.float32) - ink)
        noise = patchify(batch["noise"], self.network.config.patch)
        lost = ops.mean(ops.square(ops.cast(self.noise(read), ops.float32) - noise))
        written = ops.cast(ids < self.config.legend.grounds, ops.float32)
        missed = unread(ops.stop_gradient(error), ink, written)
        shown = {"unread": missed, "lost": ops.stop_gradient(lost)}
        return ops.mean(error) + self.config.carried * lost, shown

    def _read(self, batch: dict[str, Tensor], ids: Tensor, dtype: Any) -> Tensor:
        """What the first blocks make of the image tokens, [B, N, D]."""
        network, noise = self.network, ops.cast(batch["noise"], dtype)
        b, height, width = noise.shape[0], noise.shape[2], noise.shape[3]
        with autograd.no_grad():
            states = self.frozen[0](batch["glyph_ids"], batch["glyph_mask"], dtype=dtype)
        glyphs, mask = gathered(states, batch["glyph_rows"], batch["glyph_columns"])
        kept = ops.zeros((b,), ops.bool_)
        inputs = DecoderInputs(
            glyphs=ops.cast(glyphs, dtype),
            glyph_mask=mask,
            tokens=ids,
            tokens_dropped=kept,
            height=height,
            width=width,
            origin=batch["origin"],
        )
        conditioning = network.conditioning(inputs, dtype)
        _, timestep = training_sigmas(Schedule(), ops.ones((b,)), ids.shape[1])
        sizes = np.tile(PIXELS * ops.numpy(batch["grid"])[None], (b, 1)).astype(np.float32)
        modulation = network.modulation(timestep, ops.asarray(sizes), ops.zeros((b, 2)), dtype)
        streams = network.embed(noise, conditioning)
        streams = network.run_blocks(streams, conditioning, modulation, stop=self.config.blocks)
        return network.out_norm(streams.image)


def open_gates(block: Any) -> None:
    """Let a fresh block pass on what it makes, at every time."""
    bias = np.array(ops.numpy(block.modulation.bias)).reshape(12, -1)
    bias[list(GATES)] = 1
    nn.set_parameter(block.modulation.bias, ops.asarray(bias.reshape(-1)))
