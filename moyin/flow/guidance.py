"""Classifier-free guidance (Ho and Salimans 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moyin.backend import Tensor


def combine(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Extrapolate from the unconditional to the conditional prediction; scale 1 gives the latter.

    Velocities or logits, of any shape and array library.
    """
    return unconditional + scale * (conditional - unconditional)
