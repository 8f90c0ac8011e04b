"""Low-rank adapters: what was learned beside a linear layer (Hu et al. 2021).

y = W·x + b + Σ scale · B·(A·x)
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from moyin.backend import Tensor, nn, ops


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


def adapt(network: Any, layers: Collection[str], rank: int, scale: float) -> dict[str, Adapter]:
    """Put a fresh adapter beside every layer of the network's blocks that is called so.

    layers: last parts of names, such as q or down. What is added begins at zero. Returns the
    adapters by the dotted names of their layers; ValueError where a name fits no layer.
    """
    blocks = "blocks" if hasattr(network, "blocks") else "layers"
    names = [n.rpartition(".")[0] for n in nn.named_parameters(network) if n.endswith(".weight")]
    inside = [n for n in names if n.startswith(f"{blocks}.")]
    linear = {n: m for n in inside if isinstance(m := nn.submodule(network, n), nn.Linear)}
    known = {n.rpartition(".")[2] for n in linear}
    if unknown := [n for n in layers if n not in known]:
        raise ValueError(f"no layer is called {', '.join(unknown)}: there are {sorted(known)}")
    found = {}
    for name, base in linear.items():
        if name.rpartition(".")[2] in layers:
            outputs, inputs = base.weight.shape
            found[name] = Adapter(inputs, rank, outputs, scale)
            nn.set_parameter(found[name].up.weight, ops.zeros((outputs, rank)))
            nn.replace(network, name, Adapted(base, [found[name]]))
    return found
