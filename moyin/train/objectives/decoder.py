"""The decoder's objective: flow matching of latents, given semantic tokens and glyph states.

Loss: mean over latents of w · (v̂(xσ, t) − (noise − data))², with xσ = (1 − σ) data + σ noise
(Lipman et al. 2023). Times are logit-normal and shifted by the image's size (Esser et al. 2024). w
is `text_weight` under text and 1 elsewhere, divided by its mean in the image.

Crops are cut on the grid of semantic tokens. The network sees the size of the whole image, rotary
positions are those of the whole image, and noise levels are shifted for its size, so crops
train what whole images need. A share of the samples lacks tokens, glyphs or reference, for
classifier-free guidance (Ho and Salimans 2022). An edit reads its reference whole and clean, before
the image, as `inference.denoise` does.

Axes: b samples, n image tokens of the decoder, t glyph tokens, s strings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np

from moyin.backend import Tensor, autograd, device, ops
from moyin.flow.path import noised, velocity
from moyin.flow.schedule import Schedule
from moyin.flow.training_times import logit_normal, training_sigmas
from moyin.models.decoder import (
    Conditioning,
    Decoder,
    DecoderInputs,
    Modulation,
    upsample_tokens,
)
from moyin.prompt.grid import PIXELS
from moyin.prompt.quotes import glyph_bytes, quoted
from moyin.train.columns import check_edits, latent_column, semantic_columns
from moyin.train.decode_samples import SampleDecoder
from moyin.train.losses import sum_and_count
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source
from moyin.train.objectives.config import DecoderObjectiveConfig
from moyin.train.text_mask import text_mask

PATCHES = 2  # patches of the decoder along a semantic token
LATENTS = 4  # latents along a semantic token
GLYPHS = 8  # glyph tokens of batches are multiples of it: few shapes, few compilations


@dataclass(frozen=True)
class Crop:
    """One sample's crop: its row of the dataset, latents [C, h, w], semantic tokens
    [rows, columns], and where it begins, (row, column), in semantic tokens."""

    row: dict[str, Any]
    latents: Array
    tokens: Array
    corner: tuple[int, int]


@dataclass(frozen=True)
class Crops:
    """One batch on the host. dropped [B, 3] bool: samples without tokens, glyphs, reference."""

    crops: list[Crop]
    dropped: Array


@dataclass(frozen=True)
class DecoderForward:
    """What auxiliary losses read: the image tokens' states [B, N, D] after each number of blocks
    that some auxiliary names in `read_blocks`."""

    network: Any
    states: dict[int, Tensor]


class DecoderObjective(Objective):
    """Batches: latents and noise [B, C, h, w], time [B] standard normal, tokens [B, rows, columns],
    origin [B, 2] in patches, dropped [B] without tokens, grid [2] of the whole image, glyph arrays
    of `glyph_batch`, and where they are needed weights [B, 1, h, w], references [B, C, H, W],
    reference_tokens and referred [B].

    An auxiliary's term is added to the mean.
    """

    stage: ClassVar[str] = "decoder"
    Config: TypeAlias = DecoderObjectiveConfig

    def __init__(
        self, config: DecoderObjectiveConfig, source: Source, network: Decoder, glyph: Any
    ) -> None:
        super().__init__()
        self.config, self.network = config, network
        self.source, self.dataset = source, source.images
        self.frozen = (glyph,)  # in a tuple, so that it is no part of what is trained
        self.schedule = Schedule()
        mean, std = config.time_mean, config.time_std
        self.times = (0.0 if mean is None else mean, 1.0 if std is None else std)
        self.add_auxiliary()

    @classmethod
    def create(cls, config: DecoderObjectiveConfig, source: Source, start: Any) -> DecoderObjective:
        """See `ObjectiveConfig.build`. ValueError where the dataset lacks edits that are asked
        for."""
        semantic_columns(source, config.token_layout)
        latent_column(source, ops.bfloat16 if device.supports_bfloat16() else ops.float32)
        if config.edit_probability:
            check_edits(source)
        glyph = source.network("glyph")
        if start is None:
            return cls(config, source, config.fresh_network(source), glyph)
        recorded = source.trained("decoder")
        times: dict[str, Any] = {
            name: recorded.get(f"objective.{name}")
            for name in ("time_mean", "time_std")
            if getattr(config, name) is None
        }
        return cls(replace(config, **times), source, start, glyph)

    @property
    def count(self) -> int:
        return len(self.dataset)

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        rows = self.dataset.read(["meta", "tokens", "latents"], indices)
        rngs = [sample_rng.of(number, "crops") for number in range(len(rows))]
        dropped = self._dropped(rngs, sample_rng)
        crops = [self._crop(row, rng) for row, rng in zip(rows, rngs, strict=True)]
        latents = np.stack([crop.latents for crop in crops]).astype(np.float32)
        edited = sample_rng.together("edits").random() < self.config.edit_probability
        edits = [row["meta"].get("edit") if edited else None for row in rows]
        strings = [
            [] if no_glyphs else edit_strings(edit) if edit else image_strings(row["meta"])
            for row, edit, no_glyphs in zip(rows, edits, dropped[:, 1], strict=True)
        ]
        arrays = {
            "latents": latents,
            "tokens": np.stack([crop.tokens for crop in crops]),
            "origin": PATCHES * np.array([crop.corner for crop in crops], np.float32),
            "dropped": dropped[:, 0],
            "grid": np.array(rows[0]["tokens"].shape),
            "noise": sample_rng.normal("noise", *latents.shape),  # one row per sample
            "time": sample_rng.normal("time", len(rows)),
            **glyph_batch(strings),
        }
        if any(edits):
            arrays |= self._references(rows, indices, edits, dropped[:, 2])
        if self.config.text_weight != 1:
            arrays["weights"] = np.stack([self._weights(crop) for crop in crops])
        return self.auxiliary_batch(Crops(crops, dropped), arrays)

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        data, noise = batch["latents"], batch["noise"]
        b, _, h, w = data.shape
        rows, columns = (int(n) for n in ops.numpy(batch["grid"]))
        times = logit_normal(batch["time"], *self.times)
        sigma, timestep = training_sigmas(self.schedule, times, rows * columns * PATCHES**2)
        with autograd.no_grad():
            states = self.frozen[0](batch["glyph_ids"], batch["glyph_mask"], dtype=dtype)
        glyphs, mask = gathered(states, batch["glyph_rows"], batch["glyph_columns"])
        tiled = np.tile(np.array([[PIXELS * rows, PIXELS * columns]], np.float32), (b, 1))
        size, nil = ops.asarray(tiled), ops.zeros((b, 2))
        references = None
        if "references" in batch:
            clean = ops.cast(batch["references"], dtype)
            reference_tokens = upsample_tokens(batch["reference_tokens"])
            references = self.network.encode_reference(clean, reference_tokens, size, nil)
        inputs = DecoderInputs(
            glyphs=ops.cast(ops.stop_gradient(glyphs), dtype),
            glyph_mask=mask,
            tokens=upsample_tokens(batch["tokens"]),
            tokens_dropped=batch["dropped"],
            height=h,
            width=w,
            references=references,
            references_seen=batch.get("referred"),
            origin=batch["origin"],
        )
        conditioning = self.network.conditioning(inputs, dtype)
        modulation = self.network.modulation(timestep, size, nil, dtype)
        latents = ops.cast(noised(data, noise, sigma), dtype)
        image, states = self._run_blocks(latents, conditioning, modulation)
        predicted = self.network.final_layer(image, modulation, h, w)
        error = ops.square(ops.cast(predicted, ops.float32) - velocity(data, noise))
        loss = ops.mean(error * batch["weights"] if "weights" in batch else error)
        shown = by_noise(ops.mean(ops.reshape(error, (b, -1)), 1), sigma)
        forward = DecoderForward(self.network, states)
        loss, more = self.auxiliary_loss(loss, forward, batch, dtype)
        return loss, shown | more

    def _run_blocks(
        self, latents: Tensor, conditioning: Conditioning, modulation: Modulation
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """The image stream after all blocks, and after those that auxiliaries read."""
        network, layers = self.network, self.network.config.layers
        read = {number for auxiliary in self.auxiliary for number in auxiliary.read_blocks}
        streams, start, states = network.embed(latents, conditioning), 0, {}
        for stop in sorted({*read, layers}):
            streams = network.run_blocks(streams, conditioning, modulation, start, stop)
            start, states[stop] = stop, streams.image
        return states[layers], states

    def images(self, indices: Array, dtype: str) -> list[list[Array]]:
        """Each image, and the one decoded from its tokens and strings."""
        decoder = SampleDecoder.of(self.source, dtype, decoder=self.network)
        assert decoder is not None
        rows = self.dataset.read(["image", "meta", "tokens"], indices)
        return [
            [row["image"], decoder.decode(row["tokens"], image_strings(row["meta"]), int(i))]
            for i, row in zip(indices, rows, strict=True)
        ]

    def _dropped(self, rngs: list[np.random.Generator], sample_rng: SampleRng) -> Array:
        """Which samples lack tokens, strings and reference: [B, 3] bool."""
        c = self.config
        shares = np.array([c.token_dropout, c.glyph_dropout, c.reference_dropout])
        all_b = np.array([rng.random() < c.condition_dropout for rng in rngs])
        each = [sample_rng.of(number, "drops").random(3) < shares for number in range(len(rngs))]
        return all_b[:, None] | np.stack(each)

    def _references(
        self, rows: list[dict[str, Any]], indices: Array, edits: list[Any], dropped: Array
    ) -> Batch:
        """The whole images that edits start from, and which samples see theirs. A sample that is
        no edit has itself in this place, unseen. ValueError where sizes differ."""
        at = [int(i) + (edit["of"] if edit else 0) for i, edit in zip(indices, edits, strict=True)]
        references = self.dataset.read(["tokens", "latents"], at)
        both = zip(references, rows, strict=True)
        if any(one["tokens"].shape != row["tokens"].shape for one, row in both):
            raise ValueError(f"{self.dataset.path}: an edit and its reference must be of one size")
        latents = [one["latents"] for one in references]
        return {
            "references": np.stack(latents).astype(np.float32),
            "reference_tokens": np.stack([one["tokens"] for one in references]).astype(np.int64),
            "referred": np.array([edit is not None for edit in edits]) & ~dropped,
        }

    def _weights(self, crop: Crop) -> Array:
        """Loss weights of a crop's latents, 1 in the mean: [1, h, w] float32."""
        grid, (height, width) = crop.row["tokens"].shape, crop.latents.shape[1:]
        lines = crop.row["meta"]["lines"]
        text = text_mask(lines, grid, (LATENTS * grid[0], LATENTS * grid[1]))
        top, left = (LATENTS * n for n in crop.corner)
        inside = text[top : top + height, left : left + width]
        weights = np.where(inside, self.config.text_weight, 1.0)
        return np.asarray(weights / weights.mean(), np.float32)[None]

    def _crop(self, row: dict[str, Any], rng: np.random.Generator) -> Crop:
        """ValueError where the image has fewer tokens than the crop."""
        tokens, side = row["tokens"].astype(np.int64), self.config.crop
        if not side:
            return Crop(row, row["latents"], tokens, (0, 0))
        if side > min(tokens.shape):
            raise ValueError(
                f"crop={side}: the images have {tokens.shape[1]}x{tokens.shape[0]} tokens"
            )
        share = self.config.text_crop_probability
        top, left = corner(row["meta"]["lines"], tokens.shape, side, share, rng)
        y, x = LATENTS * top, LATENTS * left
        latents = row["latents"][:, y : y + LATENTS * side, x : x + LATENTS * side]
        return Crop(row, latents, tokens[top : top + side, left : left + side], (top, left))


def corner(
    lines: list[dict[str, Any]],
    grid: tuple[int, ...],
    side: int,
    text_probability: float,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Row and column of tokens where a crop begins: anywhere, or around a point of some line."""
    free = np.array(grid) - side
    if not lines or rng.random() >= text_probability:
        return int(rng.integers(free[0] + 1)), int(rng.integers(free[1] + 1))
    left, top, right, bottom = lines[int(rng.integers(len(lines)))]["box"]
    point = np.array([rng.uniform(top, bottom), rng.uniform(left, right)]) / PIXELS
    corner = np.clip(np.round(point - side / 2), 0, free)
    return int(corner[0]), int(corner[1])


def by_noise(errors_b: Tensor, sigma_b: Tensor) -> dict[str, Tensor]:
    """Sum and count of the samples' errors in each quarter of the noise levels."""
    shown = {}
    for quarter in range(4):
        low, high = quarter / 4, (quarter + 1) / 4
        inside = ops.cast((sigma_b > low) & (sigma_b <= high), ops.float32)
        shown[f"loss_noise_{low:.2f}-{high:.2f}"] = sum_and_count(errors_b, inside)
    return shown


def image_strings(meta: dict[str, Any]) -> list[str]:
    """The texts of an image's lines, or what its first caption quotes where it has no lines."""
    return [line["text"] for line in meta["lines"]] or quoted(meta["captions"][0])


def edit_strings(edit: dict[str, Any]) -> list[str]:
    """The strings that an edit's first caption quotes."""
    return quoted(edit["captions"][0])


def glyph_batch(strings: list[list[str]]) -> Batch:
    """Byte ids of all samples' strings together, and which state each glyph token takes.

    glyph_ids, glyph_mask [S, L]. glyph_rows, glyph_columns [B, T]: the string and byte of each
    token, −1 where a sample has no more of them; T is a multiple of GLYPHS. Each sample's strings
    are encoded as its own, with their own parity pad.
    """
    parts = [glyph_bytes(s) for s in strings]
    longest = max(ids.shape[1] for ids, _ in parts)
    total = sum(len(ids) for ids, _ in parts)
    ids, mask = np.zeros((total, longest), np.int64), np.zeros((total, longest), bool)
    places, row = [], 0
    for one, real in parts:
        ids[row : row + len(one), : one.shape[1]] = one
        mask[row : row + len(one), : one.shape[1]] = real
        places.append(np.argwhere(real) + np.array([row, 0]))
        row += len(one)
    tokens = -(-max(len(p) for p in places) // GLYPHS) * GLYPHS
    rows = np.full((len(strings), tokens), -1, np.int64)
    columns = rows.copy()
    for i, place in enumerate(places):
        rows[i, : len(place)], columns[i, : len(place)] = place.T
    return {"glyph_ids": ids, "glyph_mask": mask, "glyph_rows": rows, "glyph_columns": columns}


def gathered(states_sld: Tensor, rows_bt: Tensor, columns_bt: Tensor) -> tuple[Tensor, Tensor]:
    """Each sample's glyph states [B, T, D] and which of them are real [B, T]."""
    s, length, d = states_sld.shape
    b, t = rows_bt.shape
    real = rows_bt >= 0
    at = ops.where(real, rows_bt * length + columns_bt, ops.zeros_like(rows_bt))
    flat = ops.take(ops.reshape(states_sld, (s * length, d)), ops.reshape(at, (b * t,)), 0)
    return ops.reshape(flat, (b, t, d)), real
