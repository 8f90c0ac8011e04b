"""The autoencoder's objective: reconstruct crops of images.

Loss: mean (x̂ − x)² + kl_weight · ½ · mean (μ² + σ² − 1 − log σ²), pixels x in −1 … 1, where x̂ is
decoded from μ + σ · noise (Kingma and Welling 2014; a small weight as Rombach et al. 2022). With a
frozen encoder x̂ is decoded from μ, and the second term is left out.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, TypeAlias

import numpy as np

from moyin.backend import Tensor, autograd, nn, ops
from moyin.dataset.sample import Sample
from moyin.inference.decode_latents import decode_latents
from moyin.inference.encode_image import encode_latents
from moyin.models.autoencoder import Autoencoder
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source
from moyin.train.objectives.config import AutoencoderObjectiveConfig

START_LOGVAR = -6.0  # of a fresh encoder: its latents start with little noise
STATISTICS_OF = 64  # images


class AutoencoderObjective(Objective):
    """Batches: pixels [B · crops, 3, crop, crop] in −1 … 1, and the latents' noise
    [B · crops, C, crop / f, crop / f]."""

    stage: ClassVar[str] = "autoencoder"
    Config: TypeAlias = AutoencoderObjectiveConfig

    def __init__(
        self, config: AutoencoderObjectiveConfig, source: Source, network: Autoencoder
    ) -> None:
        super().__init__()
        self.config, self.network = config, network
        self.dataset = source.images
        self.add_auxiliary()

    @classmethod
    def create(
        cls, config: AutoencoderObjectiveConfig, source: Source, start: Any
    ) -> AutoencoderObjective:
        """See `ObjectiveConfig.build`."""
        if start is None:
            start = config.fresh_network(source)
            bias = start.encoder.conv_out.bias
            quiet = np.zeros(bias.shape, np.float32)
            quiet[config.network.latent_channels :] = START_LOGVAR
            nn.set_parameter(bias, ops.asarray(quiet))
        return cls(config, source, start)

    @property
    def count(self) -> int:
        return len(self.dataset)

    def trained(self, name: str) -> bool:
        return self.config.encoder or not name.startswith("network.encoder.")

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        c, crops = self.config, []
        for number, index in enumerate(indices):
            sample, rng = self.dataset.sample(index), sample_rng.of(number, "crops")
            for _ in range(c.crops):
                on_text = bool(sample.lines) and rng.random() < c.text_crop_probability
                top, left = corner(sample, c.crop, on_text, rng)
                crops.append(sample.image[top : top + c.crop, left : left + c.crop])
        pixels = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        b, _, side, _ = pixels.shape
        latent = (self.network.config.latent_channels, *[side // self.network.config.factor] * 2)
        noise = sample_rng.normal("latents", len(indices), b // len(indices), *latent)
        arrays = {"pixels": pixels, "noise": noise.reshape(b, *latent)}
        return self.auxiliary_batch(crops, arrays)

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
        loss, shown = self.auxiliary_loss(loss, pixels, batch, dtype)
        return loss, {"squared_error": ops.stop_gradient(error), **shown}

    def images(self, indices: Array, dtype: str) -> list[list[Array]]:
        """Each image, and its reconstruction."""
        originals = [self.dataset.sample(i).image for i in indices]
        latents = [encode_latents(self.network, image, dtype) for image in originals]
        reconstructed = [decode_latents(self.network, x[None], dtype)[0] for x in latents]
        return [list(pair) for pair in zip(originals, reconstructed, strict=True)]

    def finish(self) -> Autoencoder:
        """The network with mean and standard deviation of its latents, per channel."""
        network: Autoencoder = self.network
        if not self.config.encoder:
            return network
        latents = []
        with autograd.no_grad():
            for sample in map(self.dataset.sample, range(min(STATISTICS_OF, self.count))):
                pixels = sample.image.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
                latents.append(ops.numpy(network.encode(ops.asarray(pixels))[0])[0])
        values = np.stack(latents).transpose(1, 0, 2, 3).reshape(latents[0].shape[0], -1)
        network.config = dataclasses.replace(
            network.config,
            latents_mean=tuple(values.mean(1).tolist()),
            latents_std=tuple(values.std(1).tolist()),
        )
        return network


def corner(sample: Sample, side: int, on_text: bool, rng: np.random.Generator) -> tuple[int, int]:
    """Top and left of a crop: anywhere, or with its centre inside one of the lines.

    ValueError where the image is smaller than the crop.
    """
    height, width, _ = sample.image.shape
    if side > min(height, width):
        raise ValueError(f"crop={side}: the images have {width}x{height} pixels")
    if not on_text:
        return int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    left, top, right, bottom = sample.lines[int(rng.integers(len(sample.lines)))].box
    y, x = rng.uniform(top, bottom) - side / 2, rng.uniform(left, right) - side / 2
    return int(np.clip(y, 0, height - side)), int(np.clip(x, 0, width - side))
