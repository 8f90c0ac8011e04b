"""Supervised fine-tuning: a checkpoint's whole generator or decoder learns your own images.

data=FOLDER takes a plain folder, image.png beside image.txt with the caption; data=DATASET a
prepared dataset. The network's sizes are the checkpoint's, whatever its family.
"""

from __future__ import annotations

from moyin.train import Optimizer, Training
from moyin.train.objectives.decoder import DecoderObjective
from moyin.train.objectives.generator import GeneratorObjective


def decoder() -> Training:
    """All of the decoder's weights, which need some hundred images or more."""
    return Training(
        objective=DecoderObjective.Config(),
        optimizer=Optimizer(lr=1e-4, warmup=50, decay=0.5, ema=0.99),
        steps=1000,
        batch=2,
        fine_tune=True,
        out="runs/sft-decoder",
    )


def generator() -> Training:
    """All of the generator's weights, which need some hundred images or more."""
    return Training(
        objective=GeneratorObjective.Config(),
        optimizer=Optimizer(lr=5e-5, warmup=50, decay=0.5, ema=0.99),
        steps=1000,
        batch=4,
        fine_tune=True,
        out="runs/sft-generator",
    )


RECIPES = (decoder, generator)
