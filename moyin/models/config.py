"""Configurations of the five networks. Importing this module imports no framework.

Every class is frozen and keyword-only; its defaults are GLM-Image's sizes. `build()` imports the
network and returns one with fresh weights on the current device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moyin.models.autoencoder import Autoencoder
    from moyin.models.decoder import Decoder
    from moyin.models.generator import Generator
    from moyin.models.glyph_encoder import GlyphEncoder
    from moyin.models.semantic_tokenizer import SemanticTokenizer


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Sizes of the autoencoder.

    latents_mean and latents_std are statistics of trained weights, one number per latent channel;
    the defaults leave latents as they are.
    """

    block_channels: tuple[int, ...] = (128, 512, 1024, 1024)
    layers_per_block: int = 3
    latent_channels: int = 16
    norm_groups: int = 32
    latents_mean: tuple[float, ...] = (0.0,) * 16
    latents_std: tuple[float, ...] = (1.0,) * 16

    def __post_init__(self) -> None:
        if any(channels % self.norm_groups for channels in self.block_channels):
            raise ValueError(
                f"block_channels={self.block_channels} must be multiples of "
                f"norm_groups={self.norm_groups}"
            )

    @property
    def factor(self) -> int:
        """Pixels per latent, along height and width."""
        return 1 << (len(self.block_channels) - 1)

    def build(self) -> Autoencoder:
        from moyin.models.autoencoder import Autoencoder

        return Autoencoder(self)


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes of the decoder (6.9 B parameters by default)."""

    channels: int = 16
    patch: int = 2
    layers: int = 30
    heads: int = 32
    head_dim: int = 128
    glyph_dim: int = 1472
    time_dim: int = 512
    size_dim: int = 256
    codes: int = 16384

    def __post_init__(self) -> None:
        if self.head_dim % 4:
            raise ValueError(f"head_dim={self.head_dim} must be a multiple of 4")

    @property
    def dim(self) -> int:
        """Width of the hidden states."""
        return self.heads * self.head_dim

    def build(self) -> Decoder:
        from moyin.models.decoder import Decoder

        return Decoder(self)


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Sizes of the generator (9.4 B parameters by default).

    vision_vocab is the number of semantic tokens plus the reserved ids; text ids follow it.
    rotary_sections: frequency pairs that rotate with time, row and column.
    """

    vocab: int = 168064
    vision_vocab: int = 16512
    hidden: int = 4096
    layers: int = 40
    heads: int = 32
    kv_heads: int = 2
    head_dim: int = 128
    ffn: int = 13696
    eps: float = 1e-5
    theta: float = 10000.0
    rotary_sections: tuple[int, int, int] = (8, 12, 12)
    pad_id: int = 167841
    image_id: int = 167855

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads={self.heads} must be a multiple of kv_heads={self.kv_heads}")
        if 2 * sum(self.rotary_sections) > self.head_dim:
            raise ValueError(
                f"rotary_sections={self.rotary_sections} rotate "
                f"{2 * sum(self.rotary_sections)} channels, but head_dim={self.head_dim}"
            )

    def build(self) -> Generator:
        from moyin.models.generator import Generator

        return Generator(self)


@dataclass(frozen=True, kw_only=True)
class GlyphEncoderConfig:
    """Sizes of the glyph encoder.

    Distances are sorted into `buckets`, logarithmically up to `max_distance` bytes.
    """

    vocab: int = 384
    hidden: int = 1472
    layers: int = 12
    heads: int = 6
    head_dim: int = 64
    ffn: int = 3584
    buckets: int = 32
    max_distance: int = 128
    eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.buckets % 4:
            raise ValueError(f"buckets={self.buckets} must be a multiple of 4")

    def build(self) -> GlyphEncoder:
        from moyin.models.glyph_encoder import GlyphEncoder

        return GlyphEncoder(self)


@dataclass(frozen=True, kw_only=True)
class SemanticTokenizerConfig:
    """Sizes of the semantic tokenizer.

    table: rows (and columns) of the learned position table.
    """

    width: int = 1536
    layers: int = 40
    heads: int = 16
    mlp: int = 6144
    patch: int = 16
    table: int = 128
    codes: int = 16384
    code_width: int = 2048

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width={self.width} must be a multiple of heads={self.heads}")

    def build(self) -> SemanticTokenizer:
        from moyin.models.semantic_tokenizer import SemanticTokenizer

        return SemanticTokenizer(self)
