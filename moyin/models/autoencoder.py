"""The autoencoder: pixels to latents an eighth as wide and high, and back.

AutoencoderKL (Rombach et al. 2022) as GLM-Image configures it: 16 channels, no attention in the
middle, no 1×1 convolutions around the latents.
Axes: b image, c channel, h and w rows and columns.
"""

from __future__ import annotations

import itertools
from typing import TypeAlias

from moyin.backend import Tensor, nn, ops
from moyin.models.config import AutoencoderConfig


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), the last convolution zero at the start."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        nn.set_parameter(self.conv2.weight, ops.zeros_like(self.conv2.weight))
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x_bchw: Tensor) -> Tensor:
        y = self.conv1(ops.silu(self.norm1(x_bchw)))
        y = self.conv2(ops.silu(self.norm2(y)))
        return (x_bchw if self.shortcut is None else self.shortcut(x_bchw)) + y


class DownBlock(nn.Module):
    """Residual blocks, then half the rows and columns unless it is the last."""

    def __init__(self, inputs: int, outputs: int, depth: int, groups: int, last: bool) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * depth
        self.blocks = nn.ModuleList(
            [ResidualBlock(a, b, groups) for a, b in itertools.pairwise(widths)]
        )
        self.down = None if last else nn.Conv2d(outputs, outputs, 3, stride=2)

    def forward(self, x_bchw: Tensor) -> Tensor:
        for block in self.blocks:
            x_bchw = block(x_bchw)
        if self.down is None:
            return x_bchw
        return self.down(ops.pad(x_bchw, ((0, 0), (0, 0), (0, 1), (0, 1))))


class UpBlock(nn.Module):
    """Residual blocks, then twice the rows and columns unless it is the last."""

    def __init__(self, inputs: int, outputs: int, depth: int, groups: int, last: bool) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * depth
        self.blocks = nn.ModuleList(
            [ResidualBlock(a, b, groups) for a, b in itertools.pairwise(widths)]
        )
        self.up = None if last else nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x_bchw: Tensor) -> Tensor:
        for block in self.blocks:
            x_bchw = block(x_bchw)
        return x_bchw if self.up is None else self.up(ops.upsample_nearest(x_bchw, 2))


class Encoder(nn.Module):
    """Pixels → mean and log-variance of the latents, stacked over channels."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, groups = config.block_channels, config.norm_groups
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            [
                DownBlock(
                    widths[max(i - 1, 0)], w, config.layers_per_block, groups, i == len(widths) - 1
                )
                for i, w in enumerate(widths)
            ]
        )
        self.middle = nn.ModuleList(
            [ResidualBlock(widths[-1], widths[-1], groups) for _ in range(2)]
        )
        self.norm_out = nn.GroupNorm(groups, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, pixels_bchw: Tensor) -> Tensor:
        x = self.conv_in(pixels_bchw)
        for block in self.down:
            x = block(x)
        for block in self.middle:
            x = block(x)
        return self.conv_out(ops.silu(self.norm_out(x)))


class PixelDecoder(nn.Module):
    """Latents → pixels."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, groups = config.block_channels[::-1], config.norm_groups
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.middle = nn.ModuleList([ResidualBlock(widths[0], widths[0], groups) for _ in range(2)])
        depth = config.layers_per_block + 1
        self.up = nn.ModuleList(
            [
                UpBlock(widths[max(i - 1, 0)], w, depth, groups, i == len(widths) - 1)
                for i, w in enumerate(widths)
            ]
        )
        self.norm_out = nn.GroupNorm(groups, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, latents_bchw: Tensor) -> Tensor:
        x = self.conv_in(latents_bchw)
        for block in self.middle:
            x = block(x)
        for block in self.up:
            x = block(x)
        return self.conv_out(ops.silu(self.norm_out(x)))


class Autoencoder(nn.Module):
    """Pixels [B, 3, H, W] in −1 … 1 to latents [B, C, H/8, W/8] and back."""

    Config: TypeAlias = AutoencoderConfig

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = PixelDecoder(config)

    def encode(self, pixels_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [B, C, H/8, W/8] of the raw latents."""
        mean, logvar = ops.chunk(self.encoder(pixels_bchw), 2, 1)
        return mean, ops.clip(logvar, -30.0, 20.0)

    def decode(self, latents_bchw: Tensor) -> Tensor:
        """Raw latents → pixels, not clipped."""
        return self.decoder(latents_bchw)

    def normalize(self, latents_bchw: Tensor) -> Tensor:
        """Raw latents → the decoder network's scale: about zero mean, unit variance a channel."""
        mean, std = self._statistics(latents_bchw)
        return (latents_bchw - mean) / std

    def denormalize(self, latents_bchw: Tensor) -> Tensor:
        """The inverse of `normalize`."""
        mean, std = self._statistics(latents_bchw)
        return latents_bchw * std + mean

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, self.config.latent_channels, 1, 1)
        mean = ops.asarray(self.config.latents_mean, dtype=like.dtype)
        std = ops.asarray(self.config.latents_std, dtype=like.dtype)
        return ops.reshape(mean, shape), ops.reshape(std, shape)
