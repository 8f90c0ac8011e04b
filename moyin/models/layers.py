"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Callable

from moyin.backend import Tensor, nn, ops

Activation = Callable[[Tensor], Tensor]


class FeedForward(nn.Module):
    """x [..., inputs] → down(activation(up(x))) [..., outputs]."""

    def __init__(self, inputs: int, hidden: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        self.up = nn.Linear(inputs, hidden)
        self.down = nn.Linear(hidden, outputs)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.up(x)))


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU in its tanh approximation."""
    return ops.gelu(x, "tanh")


def zero_init(layer: nn.Linear) -> nn.Linear:
    """Set all parameters of the layer to zero, and return it."""
    for parameter in nn.named_parameters(layer).values():
        nn.set_parameter(parameter, ops.zeros(parameter.shape))
    return layer


def split_heads(x_bld: Tensor, heads: int) -> Tensor:
    """[B, L, H·K] → [B, H, L, K]."""
    b, length, _ = x_bld.shape
    return ops.transpose(ops.reshape(x_bld, (b, length, heads, -1)), 1, 2)


def merge_heads(x_bhlk: Tensor) -> Tensor:
    """[B, H, L, K] → [B, L, H·K]."""
    b, _, length, _ = x_bhlk.shape
    return ops.reshape(ops.transpose(x_bhlk, 1, 2), (b, length, -1))
