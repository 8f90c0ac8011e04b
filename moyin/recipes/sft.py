"""Supervised fine-tuning of all weights of a checkpoint's generator or decoder.

data=FOLDER is a folder of images, each image.png beside image.txt with its caption, or a prepared
dataset. The network has the checkpoint's sizes.
"""

from __future__ import annotations

from moyin.train.config import Optimizer, Training
from moyin.train.objectives.config import (
    DecoderObjectiveConfig,
    GeneratorObjectiveConfig,
)


def decoder() -> Training:
    """Fine-tune all weights of the decoder, on a few hundred images or more."""
    return Training(
        objective=DecoderObjectiveConfig(),
        optimizer=Optimizer(lr=1e-4, warmup=50, decay=0.5, ema=0.99),
        steps=1000,
        batch=2,
        fine_tune=True,
        out="runs/sft-decoder",
    )


def generator() -> Training:
    """Fine-tune all weights of the generator, on a few hundred images or more."""
    return Training(
        objective=GeneratorObjectiveConfig(),
        optimizer=Optimizer(lr=5e-5, warmup=50, decay=0.5, ema=0.99),
        steps=1000,
        batch=4,
        fine_tune=True,
        out="runs/sft-generator",
    )


RECIPES = (decoder, generator)
