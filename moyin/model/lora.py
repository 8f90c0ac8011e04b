"""Low-rank adapters: what was learned beside a linear layer (Hu et al. 2021).

y = W·x + b + Σ scale · B·(A·x)
"""

from __future__ import annotations

from typing import Any

from moyin.backend import Tensor, nn


class Adapter(nn.Module):
    """x [..., inputs] → what is added to the layer's y [..., outputs]."""

    def __init__(self, inputs: int, rank: int, outputs: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x)) * self.scale


class Adapted(nn.Module):
    """A linear layer and its adapters."""

    def __init__(self, base: Any, adapters: list[Adapter]) -> None:
        super().__init__()
        self.base = base
        self.adapters = nn.ModuleList(adapters)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        for adapter in self.adapters:
            y = y + adapter(x)
        return y
