"""Arithmetic that several losses share."""

from __future__ import annotations

from moyin.backend import Tensor, ops


def cross_entropy(logits_bnv: Tensor, targets_bn: Tensor) -> Tensor:
    """Cross-entropy [B, N] in float32 of integer targets [B, N] below V."""
    b, n, values = logits_bnv.shape
    flat = ops.reshape(ops.cast(logits_bnv, ops.float32), (b * n, values))
    return ops.reshape(ops.cross_entropy(flat, ops.reshape(targets_bn, (b * n,))), (b, n))


def sum_and_count(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of the masked values and the mask's sum, [2]: a mean that `Objective.loss` shows."""
    return ops.stack([ops.sum(values * mask), ops.sum(mask)])
