"""The generator's decode step: one token or a few behind a prefix that the cache holds.

`DecodeStep` is the reference. `FAST` names faster variants by device kind; a test holds each
equal to the reference.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

import numpy as np

from moyin.backend import Tensor, device, ops
from moyin.inference.config import TokenSampling
from moyin.inference.sampling import sample_token
from moyin.models.generator import Generator, LayerCache

Array = np.ndarray[Any, Any]
# Device kind → module and class of the variant that is used there.
FAST = {"cpu": ("moyin.inference.numpy_generator", "NumpyDecodeStep")}


class Step(Protocol):
    """What token generation needs; tensors are of one kind, the step's own."""

    def array(self, values: Array) -> Any:
        """NumPy values as a tensor of the step's kind."""

    def logits(self, logits: Tensor) -> Any:
        """Logits of the generator as `step` gives them."""

    def step(self, tokens_bn: Any, number: int, start: int) -> Any:
        """Logits [B, n, vision_vocab] after each of n tokens, from the image's `number`-th on,
        behind `start` cached ones.

        tokens_bn: [B, n], or [B / m, n] for m runs of samples with the same tokens.
        """

    def sample(self, logits_bv: Any, uniforms_b: Any, sampling: TokenSampling, allowed: int) -> Any:
        """One token a row, [B]; see `sampling.sample_token`."""


class DecodeStep:
    """`Generator.step` behind a prefix that it has read into `cache`.

    positions_3bn: of the tokens to come. mask_bk: as for `Generator.step`. dtype: what the
    generator computes in.
    """

    def __init__(
        self,
        generator: Generator,
        cache: list[LayerCache],
        positions_3bn: Tensor,
        mask_bk: Tensor | None,
        dtype: Any,
    ) -> None:
        self.generator, self.cache, self.dtype = generator, cache, dtype
        self.positions, self.mask = positions_3bn, mask_bk

    def array(self, values: Array) -> Tensor:
        return ops.asarray(values)

    def logits(self, logits: Tensor) -> Tensor:
        return logits

    def step(self, tokens_bn: Tensor, number: int, start: int) -> Tensor:
        n = tokens_bn.shape[1]
        positions = self.positions[:, :, number : number + n]
        repeated = ops.concat([tokens_bn] * (positions.shape[1] // tokens_bn.shape[0]), 0)
        return self.generator.step(repeated, positions, self.cache, start, self.mask, last=n)

    def sample(
        self, logits_bv: Tensor, uniforms_b: Tensor, sampling: TokenSampling, allowed: int
    ) -> Tensor:
        return sample_token(logits_bv, uniforms_b, sampling, allowed)


def decode_step_class() -> type[Any]:
    """The variant for this process's device; `DecodeStep` where there is no faster one."""
    kind = device.name().partition(":")[0]
    if kind not in FAST:
        return DecodeStep
    module, name = FAST[kind]
    variant: type[Any] = getattr(import_module(module), name)
    return variant
