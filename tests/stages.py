"""The five stages at widths of 24 and 32, on a dataset of a few images, on either backend."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from networks import CONFIGS

from moyin.data.rendered import render
from moyin.render.renderer import Renderer
from moyin.train import Optimizer, Training
from moyin.train.objectives.autoencoder import AutoencoderObjective
from moyin.train.objectives.decoder import DecoderObjective
from moyin.train.objectives.generator import GeneratorObjective
from moyin.train.objectives.glyph_encoder import GlyphObjective
from moyin.train.objectives.semantic_tokenizer import SemanticObjective

STAGES = ("autoencoder", "glyph", "semantic", "generator", "decoder")
IMAGES = 8

OBJECTIVES: dict[str, Any] = {
    "autoencoder": AutoencoderObjective.Config(
        network=replace(CONFIGS["autoencoder"], norm_groups=1), crop=16, crops=2
    ),
    "glyph": GlyphObjective.Config(network=CONFIGS["glyph"], characters=10, side=8, longest=3),
    "semantic": SemanticObjective.Config(network=CONFIGS["semantic"], head_layers=1),
    "generator": GeneratorObjective.Config(network=CONFIGS["generator"]),
    "decoder": DecoderObjective.Config(network=CONFIGS["decoder"], crop=2),
}


def dataset(folder: Path) -> Path:
    """Images of 512x512, the size at which an id covers 32x32 pixels."""
    config = Renderer.Config(
        characters=10, fonts=("NotoSansSC-Bold",), backgrounds={"flat": 1.0}, object_share=0.0
    )
    render(config, folder, count=IMAGES, seed=0, workers=1)
    return folder


def training(stage: str, out: Path, data: Path, checkpoint: Path) -> Training:
    """Four steps of two samples in float32, on one thread."""
    return Training(
        objective=OBJECTIVES[stage],
        optimizer=Optimizer(lr=1e-3, warmup=1, ema=0.9),
        steps=4,
        batch=2,
        out=str(out),
        data=str(data),
        checkpoint=str(checkpoint),
        dtype="float32",
        log_every=1,
        threads=1,
    )
