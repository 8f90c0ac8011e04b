from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.backend import autograd, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import Dataset
from moyin.nano.config import InkProbeConfig
from moyin.train.objectives.base import SampleRng, Source


@pytest.fixture
def source(dataset: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(dataset), Checkpoint.open(small_checkpoint))


def objective(source: Source, **changes: Any) -> Any:
    return replace(OBJECTIVES["decoder"], condition_dropout=0.0, **changes).build(source, None)


def loss(objective: Any, batch: dict[str, Any]) -> float:
    with autograd.no_grad():
        tensors = {name: ops.asarray(x) for name, x in batch.items()}
        return float(ops.numpy(objective.loss(tensors, ops.float32)[0]))


def test_the_probe_adds_its_weighted_error(source: Source) -> None:
    """Its map is zero at first, so the error is the mean square of the ink itself; with a bias of
    1/4 that of the ink less 1/4."""
    made = objective(source, auxiliary=(InkProbeConfig(weight=3.0, after_blocks=1),))
    batch = made.batch(np.arange(4), SampleRng(0, 0))
    assert batch["ink"].shape == (4, 16, 16)
    assert batch["ink"].max() > 0.5
    plain = loss(objective(source), batch)
    added = loss(made, batch) - plain
    assert added == pytest.approx(3 * np.square(batch["ink"]).mean(), rel=1e-4)
    nn.set_parameter(made.auxiliary[0].head.bias, ops.full((16,), 0.25))
    added = loss(made, batch) - plain
    assert added == pytest.approx(3 * np.square(batch["ink"] - 0.25).mean(), rel=1e-4)


@pytest.mark.parametrize("name", ["token_dropout", "glyph_dropout"])
def test_the_ink_is_known_from_tokens_and_strings_together(source: Source, name: str) -> None:
    probe = (InkProbeConfig(weight=1.0),)
    batch = objective(source, auxiliary=probe, **{name: 1.0}).batch(np.arange(4), SampleRng(0, 0))
    assert not batch["ink_known"].any()
    assert (
        objective(source, auxiliary=probe).batch(np.arange(4), SampleRng(0, 0))["ink_known"].all()
    )


def test_a_network_of_fewer_blocks_has_no_states_to_read(source: Source) -> None:
    one = replace(OBJECTIVES["decoder"].network, layers=1)
    made = objective(source, network=one)
    assert np.isfinite(loss(made, made.batch(np.arange(2), SampleRng(0, 0))))
    with pytest.raises(ValueError, match="after_blocks=2 of a network of 1"):
        objective(source, network=one, auxiliary=(InkProbeConfig(weight=1.0),))
