"""Gradients of what is computed in bf16, or compiled, point where those of float32 do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.backend import NAME, nn, ops
from moyin.nano.codebook_layout import CodebookLayout
from moyin.nano.config import InkProbeConfig, LayoutHeadObjectiveConfig, TokenizerObjectiveConfig
from moyin.train import Trainer, Training
from moyin.train.objectives.base import SampleRng

Make = Callable[..., Training]

OTHERS: dict[str, Any] = {  # what nano's recipes learn beside the five stages
    "semantic by a codebook layout": TokenizerObjectiveConfig(
        network=replace(networks.CONFIGS["semantic"], codes=60),
        codebook_layout=CodebookLayout(sides=(64,), width=64, levels=2),
    ),
    "generator with a layout head": LayoutHeadObjectiveConfig(
        network=networks.CONFIGS["generator"]
    ),
    "decoder with an ink probe": replace(
        OBJECTIVES["decoder"], auxiliary=(InkProbeConfig(weight=1.0, after_blocks=1),)
    ),
}
LEARNED = OBJECTIVES | OTHERS

pytestmark = pytest.mark.skipif(NAME != "torch", reason="bf16 and compiling are PyTorch's")


class Gradients:
    """Those of a stage's loss, in a row, at fresh weights that are shaken, since some are zero."""

    def __init__(self, made: Training) -> None:
        self.trainer = Trainer(made)
        random = np.random.default_rng(0)
        for p in nn.named_parameters(self.trainer.objective).values():
            noise = 0.05 * random.standard_normal(p.shape).astype(np.float32)
            nn.set_parameter(p, p + ops.asarray(noise))
        batch = self.trainer.objective.batch(np.arange(4), SampleRng(0, 0))
        self.batch = {n: ops.asarray(x) for n, x in batch.items()}

    def __call__(self, dtype: Any) -> Any:
        self.trainer.dtype = dtype
        _, _, found = self.trainer.gradient(self.batch)
        parts = [ops.numpy(ops.cast(g, ops.float32)).reshape(-1) for g in found.values()]
        return np.concatenate(parts).astype(np.float64)


@pytest.fixture
def gradients(make: Make, own_dataset: Path) -> Callable[[str], Gradients]:
    def of(name: str) -> Gradients:
        config = LEARNED[name]
        return Gradients(make(config.stage, objective=config, data=str(own_dataset)))

    return of


def cosine(one: Any, two: Any) -> float:
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


@pytest.mark.parametrize("name", LEARNED)
def test_in_bfloat16(name: str, gradients: Callable[[str], Gradients]) -> None:
    of = gradients(name)
    exact, rounded = of(ops.float32), of(ops.bfloat16)
    assert (exact != rounded).mean() > 0.1  # the glyph encoder's rows of other bytes have none
    assert cosine(exact, rounded) >= 0.999
    assert np.linalg.norm(rounded) == pytest.approx(np.linalg.norm(exact), rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNED)
def test_compiled(name: str, gradients: Callable[[str], Gradients]) -> None:
    of = gradients(name)
    exact = of(ops.float32)
    nn.compile_blocks(of.trainer.objective.blocks)
    for dtype, least in ((ops.float32, 0.999999), (ops.bfloat16, 0.999)):
        assert cosine(exact, of(dtype)) >= least
