"""Seconds a stage on two cores: a check that every stage trains, saves and generates."""

from __future__ import annotations

from moyin.data.filters.resize import ResizeFilter
from moyin.data.preparation import Preparation
from moyin.data.prepare import Images
from moyin.models.config import (
    AutoencoderConfig,
    DecoderConfig,
    GeneratorConfig,
    GlyphEncoderConfig,
    SemanticTokenizerConfig,
)
from moyin.nano.config import GlyphWhiteningConfig, OneWayHeadsConfig
from moyin.render import assets
from moyin.render.edits import EditRenderer
from moyin.render.renderer import Renderer
from moyin.train.config import Optimizer, Training
from moyin.train.objectives.config import (
    AutoencoderObjectiveConfig,
    DecoderObjectiveConfig,
    GeneratorObjectiveConfig,
    GlyphObjectiveConfig,
    SemanticObjectiveConfig,
)


def images() -> Images:
    """Render 256 images of 512x512, one or two short lines in one font."""
    renderer = Renderer.Config(
        characters=100, fonts=("NotoSansSC-Bold",), max_lines=2, max_characters=6, prominent=0.8
    )
    return Images(renderer=renderer, count=256)


def edits() -> Images:
    """Render 128 images of 512x512, each followed by an edit of it."""
    renderer = EditRenderer.Config(
        characters=100, fonts=("NotoSansSC-Bold",), max_lines=2, max_characters=6, prominent=0.8
    )
    return Images(renderer=renderer, count=256)


def data() -> Preparation:
    """Filter 500 images, the shipped photographs and rendered ones, by all filters but OCR."""
    return Preparation(
        inputs=(assets.FOLDER / "photographs",),
        count=493,
        renderer=images().renderer,
        resize=ResizeFilter.Config(longest=1.0, crop=0.45),
    )


def autoencoder() -> Training:
    """Train an autoencoder of 0.7 M parameters on 32x32 crops."""
    network = AutoencoderConfig(block_channels=(8, 16, 32, 64), layers_per_block=1, norm_groups=1)
    return Training(
        objective=AutoencoderObjectiveConfig(network=network, crop=32, crops=4),
        optimizer=Optimizer(lr=1e-3, warmup=10, ema=0.98),
        steps=120,
        batch=4,
        checkpoint="none",
    )


def glyph() -> Training:
    """Train a glyph encoder of 0.3 M parameters on 100 Chinese characters and Latin ones."""
    network = GlyphEncoderConfig(hidden=96, layers=2, heads=2, head_dim=48, ffn=256)
    return Training(
        objective=GlyphObjectiveConfig(
            network=network, auxiliary=(OneWayHeadsConfig(),), characters=100, longest=4
        ),
        optimizer=Optimizer(lr=1e-3, warmup=10, ema=0.98),
        steps=120,
        batch=32,
    )


def semantic() -> Training:
    """Train a semantic tokenizer of 0.6 M parameters with 256 codes."""
    network = SemanticTokenizerConfig(
        width=96, layers=2, heads=2, mlp=256, table=16, codes=256, code_width=8
    )
    return Training(
        objective=SemanticObjectiveConfig(network=network, head_layers=1),
        optimizer=Optimizer(lr=1e-3, warmup=10, ema=0.98),
        steps=100,
        batch=8,
    )


def generator() -> Training:
    """Train a generator of 0.5 M parameters, and its text tokenizer."""
    network = GeneratorConfig(
        hidden=96, layers=2, heads=2, kv_heads=1, head_dim=48, ffn=256, rotary_sections=(4, 4, 4)
    )
    return Training(
        objective=GeneratorObjectiveConfig(network=network, text_vocab_size=1024),
        optimizer=Optimizer(lr=1e-3, warmup=10, ema=0.98),
        steps=80,
        batch=4,
    )


def decoder() -> Training:
    """Train a decoder of 0.6 M parameters on crops of 128x128 pixels."""
    network = DecoderConfig(layers=2, heads=2, head_dim=48, time_dim=32, size_dim=16)
    return Training(
        objective=DecoderObjectiveConfig(
            network=network, auxiliary=(GlyphWhiteningConfig(),), crop=4
        ),
        optimizer=Optimizer(lr=1e-3, warmup=10, ema=0.98),
        steps=120,
        batch=8,
    )


RECIPES = (images, edits, data, autoencoder, glyph, semantic, generator, decoder)
