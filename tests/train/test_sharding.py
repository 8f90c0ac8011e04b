"""The modules that FSDP wraps hold every parameter of a network's blocks, inner ones first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stages import STAGES

from moyin.backend import nn
from moyin.train import Trainer, Training
from moyin.train.sharding import fsdp_units

Make = Callable[..., Training]


@pytest.mark.parametrize("stage", STAGES)
def test_units_cover_the_blocks_and_come_inner_first(stage: str, make: Make) -> None:
    objective = Trainer(make(stage)).objective
    units = fsdp_units(objective)
    wrapped = {id(p) for unit in units for p in nn.named_parameters(unit).values()}
    inside = {id(p) for block in objective.blocks for p in nn.named_parameters(block).values()}
    assert wrapped == inside
    sizes = [{id(p) for p in nn.named_parameters(unit).values()} for unit in units]
    for i, inner in enumerate(sizes):
        assert not any(outer < inner for outer in sizes[i + 1 :])


def test_the_decoders_modulations_are_units_of_their_own(make: Make) -> None:
    objective = Trainer(make("decoder")).objective
    units = fsdp_units(objective)
    assert units[: len(units) // 2] == [block.modulation for block in objective.blocks]
