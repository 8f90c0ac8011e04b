"""An extra loss beside an objective's own.

A recipe adds one through its configuration: `objective.auxiliary=(SomeAuxiliary.Config(...),)`. For
every update the objective calls, in the order of the tuple, `transform` on the samples of the
batch, `batch` for further arrays, and `loss` for further terms. What a fresh network starts with is
decided earlier, by `Config.init`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from moyin.backend import Tensor, nn
from moyin.train.objectives.base import Batch, SampleRng
from moyin.train.objectives.config import AuxiliaryConfig


class Auxiliary(nn.Module):
    """An extra loss. Its parameters are trained and saved in training states, not in checkpoints.

    read_blocks: of a decoder, the numbers of blocks after which it reads the image stream.
    Every method's default does nothing. `samples` and `forward` are what the objective's module
    defines: the samples of one batch on the host, and what its forward pass computed.
    """

    Config: TypeAlias = AuxiliaryConfig
    read_blocks: tuple[int, ...] = ()

    def transform(self, samples: Any, sample_rng: SampleRng) -> Any:
        """The samples with changes, such as other weights or shorter sequences."""
        return samples

    def batch(self, samples: Any, arrays: Batch) -> Batch:
        """Arrays to add to the batch's `arrays`, on the host. Names must be new."""
        return {}

    def loss(
        self, forward: Any, batch: dict[str, Tensor], dtype: Any
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """A term to add to the objective's loss before it is normalised, weight included, or None;
        and values to show, as `Objective.loss` has them. dtype: what floats are computed in."""
        return None, {}
