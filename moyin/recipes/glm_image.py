"""GLM-Image's sizes, 17 B parameters in total.

The sizes are the released ones. Batch sizes, learning rates and steps were not published: those
here are a guess, and have not been run.
"""

from __future__ import annotations

from moyin.recipes.prepare import Images
from moyin.render.layouts import FREE, shipped
from moyin.render.renderer import Renderer
from moyin.train import Optimizer, Training
from moyin.train.objectives.autoencoder import AutoencoderObjective
from moyin.train.objectives.base import Objective
from moyin.train.objectives.decoder import DecoderObjective
from moyin.train.objectives.generator import GeneratorObjective
from moyin.train.objectives.glyph_encoder import GlyphObjective
from moyin.train.objectives.semantic_tokenizer import SemanticObjective


def images() -> Images:
    """Render a million images of 1024x1024 in all layouts, with all 8105 characters."""
    weights = {FREE: 3.0} | dict.fromkeys(shipped(), 1.0)
    renderer = Renderer.Config(size=1024, characters=8105, layouts=weights)
    return Images(renderer=renderer, count=1_000_000)


def autoencoder() -> Training:
    """Train the autoencoder, 406 M parameters."""
    return _stage(AutoencoderObjective.Config(crop=256), 1e-4)


def glyph() -> Training:
    """Train the glyph encoder, 218 M parameters."""
    return _stage(GlyphObjective.Config(), 1e-4)


def semantic() -> Training:
    """Train the semantic tokenizer, 1.2 B parameters."""
    return _stage(SemanticObjective.Config(), 1e-4)


def generator() -> Training:
    """Train the generator, 8.9 B parameters."""
    return _stage(GeneratorObjective.Config(text=151_552), 5e-5)


def decoder() -> Training:
    """Train the decoder, 6.9 B parameters."""
    return _stage(DecoderObjective.Config(), 5e-5)


def _stage(objective: Objective.Config, lr: float) -> Training:
    return Training(
        objective=objective,
        optimizer=Optimizer(lr=lr, warmup=2000, ema=0.9999),
        steps=100_000,
        batch=16,
        accumulate=16,
        recompute=True,
    )


RECIPES = (images, autoencoder, glyph, semantic, generator, decoder)
