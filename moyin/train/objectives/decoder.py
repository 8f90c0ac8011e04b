"""The decoder: flow matching of latents, given semantic tokens and the quoted strings' glyphs.

Crops are cut on the semantic grid and stand for the whole image: the network is told the
image's size, its tokens turn as they do there, and noise levels are shifted as the image's
are. So small pieces teach what whole images ask for. A share of the samples goes without ids,
glyphs and reference, which is what guidance compares with.

An image that is an edit of another one is read with that one before it, as `pipeline.paint` does:
the reference whole and clean, and it sees neither the target nor the glyphs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from moyin.backend import Tensor, autograd, device, nn, ops
from moyin.flow.path import noised, velocity
from moyin.flow.schedule import Schedule
from moyin.flow.training_times import logit_normal, training_sigmas
from moyin.models.decoder import Decoder, DecoderInputs, upsample_tokens
from moyin.models.layers import zero_init
from moyin.prompt.grid import PIXELS
from moyin.prompt.quotes import glyph_bytes, quoted
from moyin.render.legend import Legend
from moyin.train.columns import check_edits, latent_column, semantic_columns
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source
from moyin.train.objectives.ink import CELLS, cut
from moyin.train.objectives.painter import Painter
from moyin.train.objectives.plan import written

PATCHES = 2  # patches of the decoder along a semantic token
LATENTS = 4  # latents along a semantic token
GLYPH_IMAGES = 1024  # whose strings tell how glyph states are spread
FAINTEST = 0.02  # of the mean variance: directions fainter than that are not made any larger
GLYPHS = 8  # glyph tokens of batches are multiples of it: few shapes, few compilations


class DecoderObjective(Objective):
    """Squared error of the predicted velocity (Lipman et al. 2023)."""

    stage: ClassVar[str] = "decoder"

    @dataclass(frozen=True, kw_only=True)
    class Config(Objective.Config):
        """crop: a side in semantic tokens, 0 for whole images; drop: share without any condition.

        drop_prior, drop_glyphs, drop_reference: shares that lack the ids, the strings or the
        reference, each drawn by itself, beside those of `drop`. edits: share of the updates in
        which images that are edits of others are learned with them as references. text: weight,
        in an image's loss, of latents under text, those elsewhere having 1.
        on_text: share of crops that lie on a line. legend: what the ids of rendered images say,
        none for what the tokenizer says; fresh rows of the ids begin with it. time_mean, time_std:
        of the normal draw whose sigmoid is the time; none for what the network's checkpoint says
        that it was trained with, or else 0 and 1. Large characters show through much noise: it
        is close to pure noise that a decoder learns to look at the glyphs, and one that paints in
        a step or two never sees less. reading: weight of
        telling the ink under each token after the first `reading_blocks` blocks: what
        `ReadingObjective` taught them, blocks after them that know nothing yet would wipe out.
        """

        stage: ClassVar[str] = "decoder"
        network: Decoder.Config = field(default_factory=Decoder.Config)
        crop: int = 0
        drop: float = 0.1
        drop_prior: float = 0.0
        drop_glyphs: float = 0.0
        drop_reference: float = 0.0
        edits: float = 0.0
        text: float = 1.0
        on_text: float = 0.7
        time_mean: float | None = None
        time_std: float | None = None
        legend: Legend | None = None
        reading: float = 0.0
        reading_blocks: int = 2

        def __post_init__(self) -> None:
            for name in ("drop", "drop_prior", "drop_glyphs", "drop_reference", "edits"):
                if not 0 <= getattr(self, name) <= 1:
                    raise ValueError(f"{name}={getattr(self, name)}: it is a share, from 0 to 1")
            if self.text <= 0:
                raise ValueError(f"text={self.text}: a weight is above 0")

        def build(self, source: Source, start: Any) -> DecoderObjective:
            semantic_columns(source, self.legend)
            latent_column(source, ops.bfloat16 if device.supports_bfloat16() else ops.float32)
            if self.edits:
                check_edits(source)
            glyph = source.network("glyph")
            if start is None:
                network = fresh(self.network, source, glyph, self.legend)
                return DecoderObjective(self, source, network, glyph)
            known = source.trained("decoder")
            times: dict[str, Any] = {
                name: known.get(f"objective.{name}")
                for name in ("time_mean", "time_std")
                if getattr(self, name) is None
            }
            return DecoderObjective(replace(self, **times), source, start, glyph)

    def __init__(self, config: Config, source: Source, network: Decoder, glyph: Any) -> None:
        super().__init__()
        self.config, self.network = config, network
        self.source, self.dataset = source, source.images
        self.frozen = (glyph,)  # in a tuple, so that it is no part of what is trained
        self.schedule = Schedule()
        mean, std = config.time_mean, config.time_std
        self.times = (0.0 if mean is None else mean, 1.0 if std is None else std)
        if config.reading:
            if config.reading_blocks > network.config.layers:
                raise ValueError(
                    f"reading_blocks={config.reading_blocks} of a network of "
                    f"{network.config.layers}: take fewer, or objective.reading=0"
                )
            # Zero, so that it pulls at nothing before it knows anything.
            self.ink = zero_init(nn.Linear(network.config.dim, CELLS**2))

    @property
    def count(self) -> int:
        return len(self.dataset)

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        rows = self.dataset.read(["meta", "tokens", "latents"], indices)
        own = [sample_rng.of(number, "crops") for number in range(len(rows))]
        hidden = self._hidden(own, sample_rng)
        parts = [self._crop(row, rng) for row, rng in zip(rows, own, strict=True)]
        latents = np.stack([p[0] for p in parts]).astype(np.float32)
        edited = sample_rng.together("edits").random() < self.config.edits
        edits = [row["meta"].get("edit") if edited else None for row in rows]
        strings = [
            [] if no_glyphs else asked(edit) if edit else written_in(row["meta"])
            for row, edit, no_glyphs in zip(rows, edits, hidden[:, 1], strict=True)
        ]
        made = {
            "latents": latents,
            "tokens": np.stack([p[1] for p in parts]),
            "origin": np.array([p[2] for p in parts], np.float32),
            "dropped": hidden[:, 0],
            "grid": np.array(rows[0]["tokens"].shape),
            "noise": sample_rng.normal("noise", *latents.shape),  # a row a sample
            "time": sample_rng.normal("time", len(rows)),
            **glyph_batch(strings),
        }
        if any(edits):
            made |= self._references(rows, indices, edits, hidden[:, 2])
        if self.config.text != 1:
            made["weights"] = np.stack(
                [self._weights(*both) for both in zip(rows, parts, strict=True)]
            )
        if self.config.reading:
            made["ink"] = np.stack([self._ink(r, p) for r, p in zip(rows, parts, strict=True)])
            made["told"] = ~hidden[:, :2].any(1)
        return made

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
            seen = ops.cast(batch["references"], dtype)
            reference_tokens = upsample_tokens(batch["reference_tokens"])
            references = self.network.encode_reference(seen, reference_tokens, size, nil)
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
        first = self.config.reading_blocks if self.config.reading else 0
        latents = ops.cast(noised(data, noise, sigma), dtype)
        streams = self.network.embed(latents, conditioning)
        read = self.network.run_blocks(streams, conditioning, modulation, stop=first)
        last = self.network.run_blocks(read, conditioning, modulation, start=first)
        said = self.network.final_layer(last.image, modulation, h, w)
        error = ops.square(ops.cast(said, ops.float32) - velocity(data, noise))
        loss = ops.mean(error * batch["weights"] if "weights" in batch else error)
        shown = by_noise(ops.mean(ops.reshape(error, (b, -1)), 1), sigma)
        if self.config.reading:
            told = ops.cast(self.ink(self.network.out_norm(read.image)), ops.float32)
            known = ops.cast(batch["told"], ops.float32)[:, None, None]
            missed = ops.square(told - batch["ink"]) * known
            shown["ink"] = ops.stop_gradient(ops.mean(missed))
            loss = loss + self.config.reading * ops.mean(missed)
        return loss, shown

    def images(self, indices: Array, dtype: str) -> list[list[Array]]:
        """Each image, and what is painted of its ids and strings."""
        painter = Painter.of(self.source, dtype, decoder=self.network)
        assert painter is not None
        rows = self.dataset.read(["image", "meta", "tokens"], indices)
        return [
            [row["image"], painter.paint(row["tokens"], written_in(row["meta"]), int(i))]
            for i, row in zip(indices, rows, strict=True)
        ]

    def _hidden(self, own: list[np.random.Generator], sample_rng: SampleRng) -> Array:
        """Which samples lack ids, strings and reference: [B, 3] bool."""
        c = self.config
        shares = np.array([c.drop_prior, c.drop_glyphs, c.drop_reference])
        all_b = np.array([rng.random() < c.drop for rng in own])
        each = [sample_rng.of(number, "drops").random(3) < shares for number in range(len(own))]
        return all_b[:, None] | np.stack(each)

    def _references(
        self, rows: list[dict[str, Any]], indices: Array, edits: list[Any], hidden: Array
    ) -> Batch:
        """The images that these are edits of, whole, and which samples see theirs. Where a sample
        is no edit, it stands there itself, unseen."""
        at = [int(i) + (edit["of"] if edit else 0) for i, edit in zip(indices, edits, strict=True)]
        found = self.dataset.read(["tokens", "latents"], at)
        if any(
            one["tokens"].shape != row["tokens"].shape for one, row in zip(found, rows, strict=True)
        ):
            raise ValueError(f"{self.dataset.path}: an edit and its reference must be of one size")
        return {
            "references": np.stack([one["latents"] for one in found]).astype(np.float32),
            "reference_tokens": np.stack([one["tokens"] for one in found]).astype(np.int64),
            "referred": np.array([edit is not None for edit in edits]) & ~hidden,
        }

    def _weights(self, row: dict[str, Any], part: Any) -> Array:
        """What a crop's latents count for, 1 in the mean: [1, h, w]."""
        grid, (height, width) = row["tokens"].shape, part[0].shape[1:]
        text = written(row["meta"]["lines"], grid, (LATENTS * grid[0], LATENTS * grid[1]))
        top, left = (LATENTS * n // PATCHES for n in part[2])
        counted = np.where(text[top : top + height, left : left + width], self.config.text, 1.0)
        return np.asarray(counted / counted.mean(), np.float32)[None]

    def _ink(self, row: dict[str, Any], part: Any) -> Array:
        """What of a crop's cells is inked."""
        corner = (part[2][0] // PATCHES, part[2][1] // PATCHES)
        return cut(
            row["meta"]["lines"], row["tokens"].shape, corner, self.config.crop or len(part[1])
        )

    def _crop(self, row: dict[str, Any], rng: np.random.Generator) -> Any:
        """Latents and ids of a crop on the semantic grid, and where it begins in patches."""
        ids = row["tokens"].astype(np.int64)
        side = self.config.crop
        if not side:
            return row["latents"], ids, (0, 0)
        if side > min(ids.shape):
            raise ValueError(f"crop={side}: the images have {ids.shape[0]}x{ids.shape[1]} ids")
        top, left = corner(row["meta"]["lines"], ids.shape, side, self.config.on_text, rng)
        y, x = LATENTS * top, LATENTS * left
        cut = row["latents"][:, y : y + LATENTS * side, x : x + LATENTS * side]
        return cut, ids[top : top + side, left : left + side], (PATCHES * top, PATCHES * left)


def corner(
    lines: list[dict[str, Any]],
    grid: tuple[int, ...],
    side: int,
    on_text: float,
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Row and column of ids where a crop begins: anywhere, or around a point of some line."""
    free = np.array(grid) - side
    if not lines or rng.random() >= on_text:
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
        here = ops.cast((sigma_b > low) & (sigma_b <= high), ops.float32)
        shown[f"loss_noise_{low:.2f}-{high:.2f}"] = ops.stack(
            [ops.sum(errors_b * here), ops.sum(here)]
        )
    return shown


def written_in(meta: dict[str, Any]) -> list[str]:
    """What an image says: its lines, or where none are known, what its first caption quotes."""
    return [line["text"] for line in meta["lines"]] or quoted(meta["captions"][0])


def asked(edit: dict[str, Any]) -> list[str]:
    """What an edit writes: what its first caption quotes."""
    return quoted(edit["captions"][0])


def fresh(config: Decoder.Config, source: Source, glyph: Any, legend: Legend | None) -> Decoder:
    """A decoder for the ids and the glyph encoder of the source's checkpoint; its rows of the ids
    begin with what the legend says of them."""
    codes = source.configuration("semantic").codes
    network = replace(config, codes=codes, glyph_dim=glyph.config.hidden).build()
    spread_glyphs(network, states_of(glyph, source))
    if legend is not None:
        rows = legend.rows(codes, network.config.dim, 1.0)
        nn.set_parameter(network.prior_embedding.weight, ops.asarray(rows))
    return network


def states_of(glyph: Any, source: Source) -> Array:
    """States [N, D] of the strings of the dataset's first images."""
    rows = source.images.read(["meta"], range(min(GLYPH_IMAGES, len(source.images))))
    strings = [written_in(row["meta"]) for row in rows]
    found = []
    for start in range(0, len(strings), 64):
        batch = glyph_batch(strings[start : start + 64])
        ids, mask = (ops.asarray(batch[name]) for name in ("glyph_ids", "glyph_mask"))
        with autograd.no_grad():
            states = ops.numpy(glyph(ids, mask, dtype=ops.float32))
        found.append(states[batch["glyph_mask"]])
    return np.concatenate(found)


def spread_glyphs(network: Decoder, states_nd: Array) -> None:
    """Let a fresh decoder begin with glyph states of equal variance in all directions.

    Most of a state's variance says which of its string a character is; what it looks like is in
    directions a hundred times fainter, and would be learned as much later. The hidden units come in
    pairs of opposite sign, which carry a direction through the activation unharmed.
    """
    up, down = network.glyphs.up, network.glyphs.down
    assert up.bias is not None
    middle = states_nd.mean(0)
    variances, directions = np.linalg.eigh(np.cov(states_nd - middle, rowvar=False))
    half = network.config.dim // 2
    largest = np.argsort(variances)[::-1][:half]
    scale = np.sqrt(variances[largest] + FAINTEST * variances.mean())
    one = np.zeros((half, states_nd.shape[1]))
    one[: len(largest)] = (directions[:, largest] / scale).T
    weights = np.array(ops.numpy(up.weight))
    weights[: 2 * half] = np.concatenate([one, -one])
    nn.set_parameter(up.weight, ops.asarray(weights.astype(np.float32)))
    nn.set_parameter(up.bias, ops.asarray((-weights @ middle).astype(np.float32)))
    mixed = np.array(ops.numpy(down.weight))
    mixed[:, half : 2 * half] = -mixed[:, :half]
    nn.set_parameter(down.weight, ops.asarray(mixed))


def glyph_batch(strings: list[list[str]]) -> Batch:
    """Byte ids of all samples' strings together, and which state each glyph token takes.

    glyph_rows, glyph_columns [B, T]: the string and byte of each token, −1 where a sample has no
    more of them; T is a multiple of GLYPHS. Each sample's strings are read as its own, with
    their own parity pad.
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
