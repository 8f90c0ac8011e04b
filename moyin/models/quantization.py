"""Weights as integers: eight bits a channel, or four bits by groups (GPTQ's plain rounding).

Eight bits: w ≈ scale · v, v in −127 … 127, one scale an output. Four bits: w ≈ scale · v + zero,
v in −8 … 7, for every 128 inputs of an output. Scale and zero are rounded to bf16 before v is
chosen, so that only v's own rounding errs: by at most half a step (scale) a weight. A weight of
normal distribution then errs by about 0.9 % of its root mean square with eight bits and 4096
inputs, and by about 10 % with four; `benchmarks/quantization.py` measures what that does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moyin.backend import Tensor, nn, ops
from moyin.backend.protocol import GROUP

BITS = {"int8": 8, "int4": 4}
ROWS = 256  # outputs at a time: what lies between stays in the cache
# Of these a layer has one, too small or used too seldom to count.
KEPT = ("modulation",)


@dataclass(frozen=True)
class Packed:
    """values int8 [outputs, inputs]; scales and zeros bf16 [outputs, groups], no zeros with eight
    bits."""

    values: Tensor
    scales: Tensor
    zeros: Tensor | None

    def layer(self, bias: Tensor | None) -> Any:
        """The layer that multiplies by them."""
        return nn.PackedLinear(self.values, self.scales, self.zeros, bias)


def packable(network: Any) -> list[str]:
    """The layers that are packed: the linear ones within the repeated layers."""
    found = []
    for name in nn.named_parameters(network):
        layer, _, leaf = name.rpartition(".")
        repeated = any(part.isdigit() for part in layer.split("."))
        if leaf == "weight" and repeated and layer.rpartition(".")[2] not in KEPT:
            found.append(layer)
    return [n for n in found if isinstance(nn.submodule(network, n), nn.Linear)]


def pack(weight_oi: Tensor, bits: int) -> Packed:
    """Round to the nearest."""
    rows = weight_oi.shape[0]
    parts = [_part(weight_oi[i : i + ROWS], bits) for i in range(0, rows, ROWS)]
    values, scales, zeros = zip(*parts, strict=True)
    return Packed(
        ops.concat(values, 0), ops.concat(scales, 0), None if bits == 8 else ops.concat(zeros, 0)
    )


def _part(weight_oi: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    w = ops.cast(weight_oi, ops.float32)
    outputs, inputs = w.shape
    if bits == 8:
        largest = ops.max(ops.abs(w), 1, keepdims=True)
        scales = _rounded(ops.clip(largest / 127, 1e-12, 3e38))
        return _nearest(w, 0 * scales, scales, 127, 127), ops.cast(scales, ops.bfloat16), scales
    margin = -inputs % GROUP
    if margin:
        w = ops.pad(w, ((0, margin),))
    w = ops.reshape(w, (outputs, -1, GROUP))
    low, high = -ops.max(-w, 2, keepdims=True), ops.max(w, 2, keepdims=True)
    scales = _rounded(ops.clip((high - low) / 15, 1e-12, 3e38))
    zeros = _rounded(low + 8 * scales)
    values = ops.reshape(_nearest(w, zeros, scales, 8, 7), (outputs, -1))[:, :inputs]
    scales, zeros = (ops.cast(x[:, :, 0], ops.bfloat16) for x in (scales, zeros))
    return values, scales, zeros


def _rounded(x: Tensor) -> Tensor:
    """As bf16 will have it, in float32."""
    return ops.cast(ops.cast(x, ops.bfloat16), ops.float32)


def _nearest(w: Tensor, zeros: Tensor, scales: Tensor, below: int, above: int) -> Tensor:
    """The whole number in −below … above next to (w − zeros) / scales, int8."""
    # A cast cuts towards zero, so all is moved above it; few passes, since there are billions.
    raised = ops.addcmul((below + 0.5) - zeros / scales, w, 1 / scales)
    levels = ops.cast(ops.clip(raised, 0, below + above + 0.5), ops.uint8)
    return ops.cast(ops.cast(levels, ops.int16) - below, ops.int8)


def unpack(packed: Packed) -> Tensor:
    """The weights that stand for the integers, float32 [outputs, inputs]."""
    values = ops.cast(packed.values, ops.float32)
    scales = ops.cast(packed.scales, ops.float32)
    if packed.zeros is None:
        return values * scales
    inputs = values.shape[1]
    scales, zeros = (
        ops.repeat(ops.cast(x, ops.float32), GROUP, 1)[:, :inputs]
        for x in (packed.scales, packed.zeros)
    )
    return values * scales + zeros
