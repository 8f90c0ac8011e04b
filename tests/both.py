"""What `test_two_frameworks` asks of each backend, and its answers in files.

FOLDER holds checkpoint/ and dataset/, with all columns, and <stage>.start.npz, the weights that
every stage begins with.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import stages
from generating import generated

from moyin.backend import NAME, device, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.inference.config import GenerationConfig
from moyin.inference.pipeline import GlmImagePipeline
from moyin.train import Trainer, run
from moyin.train.objectives.base import SampleRng

PROMPT = '红底，写着“春天”和"Tea"'
COURSE = 50  # steps
Answer = dict[str, np.ndarray[Any, Any]]


def image(checkpoint: Path) -> Answer:
    """Ids and pixels of an image with preview, sampling and guidance."""
    settings = GenerationConfig(
        height=64, width=96, steps=2, temperature=0.9, top_p=0.8, guidance=1.5
    )
    pipeline = GlmImagePipeline.from_pretrained(checkpoint, dtype="float32")
    (made,) = generated(pipeline, PROMPT, settings, seed=5)
    tokens = made.tokens
    return {"grid": tokens.grid, "preview": tokens.preview, "pixels": made.pixels}


def places(folder: Path) -> tuple[Path, Path]:
    return folder / "dataset", folder / "checkpoint"


def trainer(stage: str, folder: Path) -> Trainer:
    return Trainer(stages.training(stage, folder / NAME / stage, *places(folder)))


def begin(training: Trainer, folder: Path) -> None:
    """Give the stage the weights that it begins with on either backend."""
    with np.load(folder / f"{training.objective.stage}.start.npz") as start:
        for name, parameter in training.parameters.items():
            nn.set_parameter(parameter, ops.asarray(start[name]))


def step(stage: str, folder: Path) -> Answer:
    """Loss and gradients at the start."""
    training = trainer(stage, folder)
    begin(training, folder)
    batch = training.objective.batch(np.arange(2), SampleRng(0, 3))
    loss, _, gradients = training.gradient({n: ops.asarray(x) for n, x in batch.items()})
    return {"loss": ops.numpy(loss), **{n: ops.numpy(g) for n, g in gradients.items()}}


def course(stage: str, folder: Path) -> np.ndarray[Any, Any]:
    """The losses of `COURSE` steps."""
    small = stages.training(stage, folder / NAME / f"course-{stage}", *places(folder))
    trainer = Trainer(replace(small, steps=COURSE))
    begin(trainer, folder)
    with patch.object(device, "peak_flops", lambda dtype: 1e11):  # to measure takes seconds
        trainer.run()
    rows = map(json.loads, (trainer.out / "metrics.jsonl").read_text().splitlines())
    return np.array([row["loss"] for row in rows])


def courses(folder: Path) -> None:
    """The courses of all stages, as FOLDER/<backend>.course.npz."""
    found = {stage: course(stage, folder) for stage in stages.STAGES}
    np.savez(folder / f"{NAME}.course.npz", **found)


def trained(folder: Path) -> Answer:
    """Losses and gradient norms of four steps, stopped after two, and a weight that is written."""
    small = stages.training("decoder", folder / NAME / "trained", *places(folder))
    training = replace(small, fine_tune=True)
    with patch.object(device, "peak_flops", lambda dtype: 1e11):  # to measure takes seconds
        run(training, until=2)
        decoder = Checkpoint.open(run(training)).whole("decoder", "float32")
    lines = (Path(training.out) / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {
        "metrics": np.array([[row["step"], row["loss"], row["gradient_norm"]] for row in rows]),
        "weight": ops.numpy(decoder.blocks[0].mlp.up.weight),
    }


def answer(folder: Path) -> None:
    """All answers of this backend, as FOLDER/<backend>.<question>.npz."""
    np.savez(folder / f"{NAME}.image.npz", **image(folder / "checkpoint"))
    for stage in stages.STAGES:
        np.savez(folder / f"{NAME}.{stage}.npz", **step(stage, folder))
    np.savez(folder / f"{NAME}.trained.npz", **trained(folder))
