"""Which modules FSDP wraps, for each network.

A wrapped module's parameters are gathered when it is called and freed afterwards. So a unit must
be a module that is always called as a whole; inner units come before those that contain them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moyin.train.objectives.base import Objective


def fsdp_units(objective: Objective) -> list[Any]:
    """The modules of the objective's network to wrap: its blocks, unless it has a rule of its own.

    An autoencoder has no repeated blocks; its parameters belong to the root unit.
    """
    return UNITS.get(objective.stage, _blocks)(objective)


def _blocks(objective: Objective) -> list[Any]:
    return list(objective.blocks)


def _decoder(objective: Objective) -> list[Any]:
    """The modulations of all blocks are computed before the first block, so each is a unit."""
    blocks = list(objective.blocks)
    return [block.modulation for block in blocks] + blocks


UNITS: dict[str, Callable[[Objective], list[Any]]] = {"decoder": _decoder}
