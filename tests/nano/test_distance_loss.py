from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.backend import autograd, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import Dataset
from moyin.nano.config import DistanceLossConfig, TruncationConfig
from moyin.nano.distance_loss import distances
from moyin.nano.layout_facts import VALUES
from moyin.train.objectives.base import SampleRng, Source
from moyin.train.objectives.generator import GeneratorObjective
from moyin.train.text_mask import text_mask


@pytest.fixture
def source(dataset: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(dataset), Checkpoint.open(small_checkpoint))


def test_distances_by_hand() -> None:
    """Text at columns 2 and 3 of the second row and 1 and 2 of the third."""
    text = np.zeros((4, 5), bool)
    text[1, 2:4] = text[2, 1:3] = True
    n = VALUES - 1
    across = [[n] * 5, [2, 1, 0, 1, 0], [1, 0, 1, 0, n], [n] * 5]
    down = [[1] * 5, [0, 0, 0, 0, 1], [0, 0, 0, n, n], [n] * 5]
    assert distances(text).tolist() == [across, down]
    assert (distances(np.zeros((2, 3), bool)) == n).all()


@pytest.mark.parametrize("truncation", [0.0, 1.0])
def test_every_token_has_its_distances(source: Source, truncation: float) -> None:
    config = replace(
        OBJECTIVES["generator"],
        preview_probability=1.0,
        auxiliary=(TruncationConfig(probability=truncation), DistanceLossConfig(weight=2.0)),
    )
    made = config.build(source, networks.tiny("generator"))
    numbers = np.array([0, 5, 3])
    batch = made.batch(numbers, SampleRng(0, 0))
    rows = source.images.read(["meta", "tokens", "preview_tokens"], numbers)
    for ids, far, row in zip(batch["tokens"], batch["distances"], rows, strict=True):
        grids = [
            distances(text_mask(row["meta"]["lines"], row["tokens"].shape, row[name].shape))
            for name in ("preview_tokens", "tokens")
        ]
        true = np.concatenate([g.reshape(2, -1) for g in grids], 1)
        known = np.flatnonzero(far[0] >= 0)
        first = np.flatnonzero(ids == made.tokenizer.vocabulary.image_start)[0] + 1
        assert (known == first + np.arange(len(known))).all()
        assert (far[:, known] == true[:, : len(known)]).all()
        assert truncation or len(known) == true.shape[1]
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    with autograd.no_grad():
        total = made.loss(tensors, ops.float32)
        without = GeneratorObjective(
            replace(config, auxiliary=()), source, made.network, made.tokenizer
        ).loss(tensors, ops.float32)
    lost, count = ops.numpy(total[1]["loss_distances"])
    assert count == (batch["distances"] >= 0).sum()
    more = float(ops.numpy(total[0])) - float(ops.numpy(without[0]))
    assert more == pytest.approx(2 * lost / batch["weights"].sum(), rel=1e-4)
