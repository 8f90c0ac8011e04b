"""Classifier-free guidance (Ho and Salimans 2022)."""

from __future__ import annotations

from moyin.backend import Tensor


def combine(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Past the unconditional velocity towards the conditional one; scale 1 is the latter."""
    return unconditional + scale * (conditional - unconditional)
