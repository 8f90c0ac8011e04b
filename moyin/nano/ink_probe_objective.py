"""The first stage of nano's decoder: its first blocks learn what ink lies under each image token.

At pure noise, given tokens and glyph states, a linear map must predict from the first blocks'
states how much of each cell of four pixels ink covers. That needs three things, which are found
much later if they are learned together with colours and noise: which quarter of its semantic token
an image token is, the glyph token that the semantic token refers to, and the place in its bitmap. A
second map must reconstruct the noise, since later blocks need both. Both maps are discarded; later
blocks keep their initial weights.

Loss: mean squared error of the coverage, plus noise_weight times that of the noise.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import numpy as np

from moyin.backend import Tensor, autograd, nn, ops
from moyin.flow.schedule import Schedule
from moyin.flow.training_times import training_sigmas
from moyin.models.decoder import Decoder, DecoderInputs, patchify, upsample_tokens
from moyin.nano.config import InkProbeObjectiveConfig
from moyin.nano.initialisation import open_gates
from moyin.nano.ink_probe import CELLS, cut_coverage, unexplained
from moyin.prompt.grid import PIXELS
from moyin.train.columns import semantic_columns
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source
from moyin.train.objectives.decoder import (
    LATENTS,
    PATCHES,
    corner,
    gathered,
    glyph_batch,
    image_strings,
)


class InkProbeObjective(Objective):
    """Batches: tokens [B, rows, columns], ink [B, N, CELLS²], noise [B, C, h, w], origin [B, 2] in
    patches, grid [2] of the whole image, and glyph arrays of `glyph_batch`."""

    stage: ClassVar[str] = "decoder"
    Config: TypeAlias = InkProbeObjectiveConfig

    def __init__(
        self, config: InkProbeObjectiveConfig, source: Source, network: Decoder, glyph: Any
    ) -> None:
        super().__init__()
        self.config, self.network, self.dataset = config, network, source.images
        dim, latents = network.config.dim, network.config.channels * network.config.patch**2
        self.ink, self.noise = nn.Linear(dim, CELLS**2), nn.Linear(dim, latents)
        self.frozen = (glyph,)  # in a tuple, so that it is no part of what is trained

    @classmethod
    def create(
        cls, config: InkProbeObjectiveConfig, source: Source, start: Any
    ) -> InkProbeObjective:
        """See `ObjectiveConfig.build`."""
        semantic_columns(source, config.token_layout)
        glyph = source.network("glyph")
        if start is None:
            start = config.fresh_network(source)
            for block in list[Any](start.blocks)[: config.after_blocks]:
                open_gates(block)
        return cls(config, source, start, glyph)

    @property
    def count(self) -> int:
        return len(self.dataset)

    def trained(self, name: str) -> bool:
        """The maps, the first blocks without their dependence on time, and what feeds them."""
        parts = [f"network.blocks.{i}." for i in range(self.config.after_blocks)]
        parts += [f"network.{part}" for part in ("patches.", "glyphs.", "prior")]
        read = name.startswith(("ink.", "noise.", *parts))
        return read and not name.endswith("modulation.weight")

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        rows = self.dataset.read(["meta", "tokens"], indices)
        side, share = self.config.crop, self.config.text_crop_probability
        tokens, ink, origins = [], [], []
        for number, row in enumerate(rows):
            lines, grid = row["meta"]["lines"], row["tokens"].shape
            top, left = corner(lines, grid, side, share, sample_rng.of(number, "crops"))
            tokens.append(row["tokens"][top : top + side, left : left + side].astype(np.int64))
            ink.append(cut_coverage(lines, grid, (top, left), side))
            origins.append((PATCHES * top, PATCHES * left))
        strings = [image_strings(row["meta"]) for row in rows]
        b, c = len(rows), self.network.config.channels
        latents = (c, LATENTS * side, LATENTS * side)
        return {
            "tokens": np.stack(tokens),
            "ink": np.stack(ink),
            "origin": np.array(origins, np.float32),
            "grid": np.array(rows[0]["tokens"].shape),
            "noise": sample_rng.normal("noise", b, *latents),
            **glyph_batch(strings),
        }

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        tokens, ink = upsample_tokens(batch["tokens"]), batch["ink"]
        states = self._states(batch, tokens, dtype)
        error = ops.square(ops.cast(self.ink(states), ops.float32) - ink)
        noise = patchify(batch["noise"], self.network.config.patch)
        lost = ops.mean(ops.square(ops.cast(self.noise(states), ops.float32) - noise))
        layout = self.config.token_layout
        assert layout is not None
        text = ops.cast(tokens < layout.grounds, ops.float32)
        shown = {
            "unexplained_ink": unexplained(ops.stop_gradient(error), ink, text),
            "noise_error": ops.stop_gradient(lost),
        }
        return ops.mean(error) + self.config.noise_weight * lost, shown

    def _states(self, batch: dict[str, Tensor], tokens: Tensor, dtype: Any) -> Tensor:
        """Normed states [B, N, D] of the image tokens after the first blocks, at pure noise."""
        network, noise = self.network, ops.cast(batch["noise"], dtype)
        b, height, width = noise.shape[0], noise.shape[2], noise.shape[3]
        with autograd.no_grad():
            states = self.frozen[0](batch["glyph_ids"], batch["glyph_mask"], dtype=dtype)
        glyphs, mask = gathered(states, batch["glyph_rows"], batch["glyph_columns"])
        kept = ops.zeros((b,), ops.bool_)
        inputs = DecoderInputs(
            glyphs=ops.cast(glyphs, dtype),
            glyph_mask=mask,
            tokens=tokens,
            tokens_dropped=kept,
            height=height,
            width=width,
            origin=batch["origin"],
        )
        conditioning = network.conditioning(inputs, dtype)
        _, timestep = training_sigmas(Schedule(), ops.ones((b,)), tokens.shape[1])
        sizes = np.tile(PIXELS * ops.numpy(batch["grid"])[None], (b, 1)).astype(np.float32)
        modulation = network.modulation(timestep, ops.asarray(sizes), ops.zeros((b, 2)), dtype)
        streams = network.embed(noise, conditioning)
        blocks = self.config.after_blocks
        streams = network.run_blocks(streams, conditioning, modulation, stop=blocks)
        return network.out_norm(streams.image)
