"""AdamW on MindSpore (Loshchilov and Hutter 2019), over named parameters."""

from __future__ import annotations

import math

from mindspore import Parameter, Tensor

from moyin.backend.mindspore import ops
from moyin.backend.mindspore.autograd import no_grad


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
        self.m = {n: ops.zeros(p.shape, p.dtype) for n, p in parameters.items()}
        self.v = {n: ops.zeros(p.shape, p.dtype) for n, p in parameters.items()}

    @no_grad()
    def step(self, gradients: dict[str, Tensor], lr: float) -> None:
        """One update of the parameters that have a gradient; the others stay as they are."""
        self.count += 1
        b1, b2 = self.betas
        c1, c2 = 1 - b1**self.count, 1 - b2**self.count
        for n in (n for n in self.parameters if n in gradients):
            p = self.parameters[n]
            g = ops.cast(gradients[n], p.dtype)
            self.m[n] = self.m[n] * b1 + g * (1 - b1)
            self.v[n] = self.v[n] * b2 + g * g * (1 - b2)
            denominator = ops.sqrt(self.v[n]) / math.sqrt(c2) + self.eps
            kept = p * (1 - lr * self.weight_decay) if p.ndim > 1 else p
            p.copy_(kept - self.m[n] / denominator * (lr / c1))

    def state(self) -> dict[str, Tensor]:
        out = {"step": ops.asarray(self.count)}
        out |= {f"m.{n}": t for n, t in self.m.items()}
        return out | {f"v.{n}": t for n, t in self.v.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.count = int(state["step"])
        for n in self.parameters:
            self.m[n], self.v[n] = state[f"m.{n}"], state[f"v.{n}"]


@no_grad()
def clip_by_global_norm(
    gradients: dict[str, Tensor], limit: float
) -> tuple[dict[str, Tensor], float]:
    """Scale all gradients so that their joint L2 norm is at most `limit`; also that norm.

    The dict's tensors are replaced, so that there are never two of all.
    """
    squares = [ops.sum(ops.square(ops.cast(g, ops.float32))) for g in gradients.values()]
    norm = math.sqrt(float(ops.sum(ops.stack(squares))))
    if norm > limit:
        for n in gradients:
            gradients[n] = gradients[n] * (limit / (norm + 1e-6))
    return gradients, norm


@no_grad()
def ema_update(average: dict[str, Tensor], parameters: dict[str, Parameter], decay: float) -> None:
    """average ← decay · average + (1 − decay) · parameter; the dict's tensors are replaced."""
    for n in average:
        average[n] = average[n] * decay + parameters[n] * (1 - decay)
