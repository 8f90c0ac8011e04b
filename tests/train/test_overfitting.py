"""Sixteen pictures seen again and again: their text is drawn so that OCR reads it.

Twenty minutes of a core. Crops alone came to 36 of 38 characters, whether 300 steps or 500.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moyin.backend import NAME
from moyin.checkpoint.hub import EMBEDDED
from moyin.data.rendered import render
from moyin.dataset.dataset import Store
from moyin.inference.pipeline import Pipeline
from moyin.inference.semantic_tokens import SemanticIds
from moyin.ocr import scores
from moyin.ocr.engine import find, read_boxes
from moyin.recipes import nano
from moyin.train import Optimizer, Training, run

PICTURES, LARGE, WHOLE, SEED = 16, 600, 64, 9

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NAME != "torch", reason="the reader's time is enough once"),
]


def painted(checkpoint: Path, store: Store) -> list[np.ndarray]:
    """What the checkpoint paints of the pictures' true ids."""
    pipeline = Pipeline.open(checkpoint)
    pictures = []
    for number in range(PICTURES):
        sample = store.sample(number)
        ids = SemanticIds(
            grid=nano.LEGEND.ids(sample),
            codes=pipeline.decoder.config.codes,
            prompt=sample.captions[0],
            preview=None,
        )
        pictures.append(pipeline.decode(ids, pipeline.defaults, seed=number).pixels)
    return pictures


def read(pictures: list[np.ndarray], store: Store) -> float:
    """Share of the characters that OCR reads right, each line in its place."""
    engine = find("pp-ocrv5")
    pairs = []
    for number, picture in enumerate(pictures):
        line = store.sample(number).lines[0]
        pairs.append(((line.text,), (read_boxes(engine, picture, [line.box])[0].text,)))
    return scores.characters.of(pairs)["characters"]


def learn(training: Training, store: Store, checkpoint: Path, out: Path) -> Path:
    """The weights of a training on one thread, which gives the same ones each time."""
    run(
        replace(
            training,
            data=str(store.path),
            out=str(out),
            checkpoint=str(checkpoint),
            threads=1,
            save_every=training.steps,
        )
    )
    return out / "weights"


def test_sixteen_pictures_are_learned(tmp_path: Path) -> None:
    # Of all 8105 characters drawn evenly: of dense ones nano's strokes run together. In one row,
    # for the reader takes a line's box for one.
    one_row = {"squares": (128,), "square_words": (), "square_letters": ()}
    renderer = replace(nano.pictures().renderer, characters=8105, prominent_characters=4, **one_row)
    store = render(renderer, tmp_path / "store", count=PICTURES, seed=SEED, workers=1)
    assert read([store.sample(number).picture for number in range(PICTURES)], store) == 1
    assert read(painted(EMBEDDED, store), store) < 0.9
    large, whole = nano.decoder_large(), nano.decoder_whole()
    learned = learn(
        replace(
            large,
            objective=replace(large.objective, drop=0.0),
            optimizer=Optimizer(lr=1.2e-3, warmup=20, decay=0.5, ema=0.95),
            steps=LARGE,
            batch=PICTURES,
        ),
        store,
        EMBEDDED,
        tmp_path / "large",
    )
    learned = learn(
        replace(
            whole,
            objective=replace(whole.objective, drop=0.0, text=8.0),
            optimizer=Optimizer(lr=8e-4, warmup=5, decay=0.6, ema=0.9),
            steps=WHOLE,
            batch=PICTURES // 2,
        ),
        store,
        learned,
        tmp_path / "whole",
    )
    assert read(painted(learned, store), store) >= 0.98
