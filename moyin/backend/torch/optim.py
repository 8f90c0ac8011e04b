"""AdamW on PyTorch (Loshchilov and Hutter 2019), over named parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from moyin.backend.torch.distributed import sharded
from moyin.backend.torch.nn import Parameter


class AdamW:
    """Decoupled weight decay; matrices decay, vectors (norms, biases) do not.

    `state()` and `load()` give and take {"step", "m.<name>", "v.<name>"} tensors.
    """

    def __init__(
        self,
        parameters: dict[str, Parameter],
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters, self.betas, self.eps = parameters, betas, eps
        self.weight_decay = weight_decay
        self.count = 0
        self.m = {n: torch.zeros_like(p) for n, p in parameters.items()}
        self.v = {n: torch.zeros_like(p) for n, p in parameters.items()}

    @torch.no_grad()
    def step(self, gradients: dict[str, Tensor], lr: float) -> None:
        """One update of the parameters that have a gradient; the others stay as they are."""
        self.count += 1
        names = [n for n in self.parameters if n in gradients]
        for matrices, decay in ((True, self.weight_decay), (False, 0.0)):
            some = [n for n in names if (self.parameters[n].ndim > 1) == matrices]
            if some:
                self._step(some, gradients, lr, decay)

    def _step(
        self, names: list[str], gradients: dict[str, Tensor], lr: float, decay: float
    ) -> None:
        p = _held(self.parameters[n] for n in names)
        g = _alike(_held(gradients[n] for n in names), p)
        m, v = _held(self.m[n] for n in names), _held(self.v[n] for n in names)
        count = torch.tensor(float(self.count), device=p[0].device)
        torch._fused_adamw_(
            p,
            g,
            m,
            v,
            [],
            [count] * len(p),
            lr=lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=decay,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        out = {"step": torch.tensor(self.count)}
        out |= {f"m.{n}": t for n, t in self.m.items()}
        return out | {f"v.{n}": t for n, t in self.v.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.count = int(state["step"])
        for n in self.parameters:
            self.m[n].copy_(state[f"m.{n}"])
            self.v[n].copy_(state[f"v.{n}"])


@torch.no_grad()
def clip_by_global_norm(
    gradients: dict[str, Tensor], limit: float
) -> tuple[dict[str, Tensor], float]:
    """Scale all gradients so that their joint L2 norm is at most `limit`; also that norm.

    The dict's tensors are replaced, so that there are never two of all.
    """
    joint: Any = torch.stack(torch._foreach_norm(list(gradients.values()))).norm()
    norm = float(joint.full_tensor() if sharded(joint) else joint)
    if norm > limit:
        for n in gradients:
            gradients[n] = gradients[n] * (limit / (norm + 1e-6))
    return gradients, norm


@torch.no_grad()
def ema_update(average: dict[str, Tensor], parameters: dict[str, Parameter], decay: float) -> None:
    """average ← decay · average + (1 − decay) · parameter, in place."""
    names = list(average)
    mine, new = _held(average[n] for n in names), _held(parameters[n].detach() for n in names)
    torch._foreach_lerp_(mine, new, 1 - decay)


def _held(tensors: Iterable[Any]) -> list[Tensor]:
    """What this process holds of them, as tensors of the same memory."""
    return [x.to_local() if sharded(x) else x for x in tensors]


def _alike(gradients: list[Tensor], parameters: list[Tensor]) -> list[Tensor]:
    """The gradients in their parameters' dtype and order in memory, by which the fused kernel goes:
    those of convolutions may come with channels last."""
    return [
        g.to(p.dtype) if g.stride() == p.stride() else torch.empty_like(p).copy_(g)
        for g, p in zip(gradients, parameters, strict=True)
    ]
