"""A LoRA from your own images: adapters beside a checkpoint's generator or decoder.

data=FOLDER takes a plain folder, image.png beside image.txt with the caption. The network's
sizes are the checkpoint's, whatever its family.
"""

from __future__ import annotations

from moyin.train import Lora, Optimizer, Training
from moyin.train.objectives.decoder import DecoderObjective
from moyin.train.objectives.generator import GeneratorObjective


def decoder() -> Training:
    """How things look: lettering, materials, colours. Some dozens of images.

    Of 40 underlined ones nano learned to paint bars under letters in five minutes of two cores: the
    difference from such images, of 255, went from 83 to 42 within the bars, and with 300 updates
    at twice the rate to 32.
    """
    return Training(
        objective=DecoderObjective.Config(),
        lora=Lora(),
        optimizer=Optimizer(lr=1e-3, warmup=20, decay=0.5, ema=0.98),
        steps=200,
        batch=2,
        save_every=100,
        out="runs/lora-decoder",
    )


def generator() -> Training:
    """What is where: layouts and subjects, of the captions you give."""
    return Training(
        objective=GeneratorObjective.Config(),
        lora=Lora(layers=("q", "k", "v", "out", "gate_up", "down")),
        optimizer=Optimizer(lr=5e-4, warmup=20, decay=0.5, ema=0.98),
        steps=300,
        batch=4,
        save_every=100,
        out="runs/lora-generator",
    )


RECIPES = (decoder, generator)
