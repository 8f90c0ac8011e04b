"""The autoencoder: crops of images through latents and back, by squared error.

Half of the crops lie on text, where the strokes are. The latents are sampled with a very small
Kullback-Leibler weight, so that they stay near the origin without being blurred.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from moyin.backend import Tensor, autograd, nn, ops
from moyin.dataset.sample import Sample
from moyin.inference.decode_latents import develop, encode
from moyin.models.autoencoder import Autoencoder
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source

START_LOGVAR = -6.0
STATISTICS_OF = 64  # images


class AutoencoderObjective(Objective):
    """Squared error of reconstructed crops."""

    stage: ClassVar[str] = "autoencoder"

    @dataclass(frozen=True, kw_only=True)
    class Config(Objective.Config):
        """crop: a side, in pixels; crops: of every image; encoder: whether it is trained too.

        With encoder=false the latents keep their meaning, and only their painting improves.
        """

        stage: ClassVar[str] = "autoencoder"
        network: Autoencoder.Config = field(default_factory=Autoencoder.Config)
        crop: int = 64
        crops: int = 8
        on_text: float = 0.5
        kl_weight: float = 1e-6
        encoder: bool = True

        def __post_init__(self) -> None:
            if self.crop < 1 or self.crop % self.network.factor:
                raise ValueError(
                    f"crop={self.crop}: it must be a multiple of {self.network.factor}"
                )

        def build(self, source: Source, start: Any) -> AutoencoderObjective:
            network = start
            if network is None:
                network = self.network.build()
                bias = network.encoder.conv_out.bias
                quiet = np.zeros(bias.shape, np.float32)
                quiet[self.network.latent_channels :] = START_LOGVAR
                nn.set_parameter(bias, ops.asarray(quiet))
            return AutoencoderObjective(self, source, network)

    def __init__(self, config: Config, source: Source, network: Autoencoder) -> None:
        super().__init__()
        self.config, self.network = config, network
        self.dataset = source.images

    @property
    def count(self) -> int:
        return len(self.dataset)

    def trained(self, name: str) -> bool:
        return self.config.encoder or not name.startswith("network.encoder.")

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        crops = []
        for number, index in enumerate(indices):
            sample, rng = self.dataset.sample(index), sample_rng.of(number, "crops")
            for _ in range(self.config.crops):
                on_text = bool(sample.lines) and rng.random() < self.config.on_text
                top, left = corner(sample, self.config.crop, on_text, rng)
                part = sample.image[top : top + self.config.crop, left : left + self.config.crop]
                crops.append(part)
        pixels = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        b, _, side, _ = pixels.shape
        latent = (self.network.config.latent_channels, *[side // self.network.config.factor] * 2)
        noise = sample_rng.normal("latents", len(indices), b // len(indices), *latent)
        return {"pixels": pixels, "noise": noise.reshape(b, *latent)}

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        mean, logvar = self.network.encode(ops.cast(batch["pixels"], dtype))
        mean, logvar = ops.cast(mean, ops.float32), ops.cast(logvar, ops.float32)
        if self.config.encoder:
            latents = mean + ops.exp(0.5 * logvar) * batch["noise"]
        else:
            latents = ops.stop_gradient(mean)
        pixels = ops.cast(self.network.decode(ops.cast(latents, dtype)), ops.float32)
        error = ops.mean(ops.square(pixels - batch["pixels"]))
        kl = 0.5 * ops.mean(ops.square(mean) + ops.exp(logvar) - 1 - logvar)
        loss = error + self.config.kl_weight * kl if self.config.encoder else error
        return loss, {"squared_error": ops.stop_gradient(error)}

    def images(self, indices: Array, dtype: str) -> list[list[Array]]:
        """Each image, and what comes back of it."""
        originals = [self.dataset.sample(i).image for i in indices]
        latents = [encode(self.network, image, dtype) for image in originals]
        made = [develop(self.network, x[None], dtype)[0] for x in latents]
        return [list(pair) for pair in zip(originals, made, strict=True)]

    def finish(self) -> Autoencoder:
        """The network with the mean and deviation of its latents, channel by channel."""
        network: Autoencoder = self.network
        if not self.config.encoder:
            return network
        found = []
        with autograd.no_grad():
            for sample in map(self.dataset.sample, range(min(STATISTICS_OF, self.count))):
                pixels = sample.image.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
                found.append(ops.numpy(network.encode(ops.asarray(pixels))[0])[0])
        values = np.stack(found).transpose(1, 0, 2, 3).reshape(found[0].shape[0], -1)
        network.config = dataclasses.replace(
            network.config,
            latents_mean=tuple(values.mean(1).tolist()),
            latents_std=tuple(values.std(1).tolist()),
        )
        return network


def corner(sample: Sample, side: int, on_text: bool, rng: np.random.Generator) -> tuple[int, int]:
    """Top and left of a crop: anywhere, or with its centre inside one of the lines."""
    height, width, _ = sample.image.shape
    if side > min(height, width):
        raise ValueError(f"crop={side}: the images have {height}x{width} pixels")
    if not on_text:
        return int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    left, top, right, bottom = sample.lines[int(rng.integers(len(sample.lines)))].box
    y, x = rng.uniform(top, bottom) - side / 2, rng.uniform(left, right) - side / 2
    return int(np.clip(y, 0, height - side)), int(np.clip(x, 0, width - side))
