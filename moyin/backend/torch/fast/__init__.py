"""Variants of operations for one platform, faster or more exact than the plain function.

The plain function is always there and is the reference: tests hold each variant equal to it.
A variant is registered for an operation and a device type, with a condition on the arguments.
"""

from __future__ import annotations

from moyin.backend.torch.fast import cpu
from moyin.backend.torch.fast.registry import VARIANTS, Variant, plain_only, with_variants

__all__ = ["VARIANTS", "Variant", "plain_only", "with_variants"]

VARIANTS.update({(name, "cpu"): variant for name, variant in cpu.VARIANTS.items()})
