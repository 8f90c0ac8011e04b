"""The registry (operation, platform) → variant, and the dispatch to it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec

from torch import Tensor

P = ParamSpec("P")


@dataclass(frozen=True)
class Variant:
    """`run` takes the arguments of the plain function; it is used where `applies` to them."""

    applies: Callable[..., bool]
    run: Callable[..., Tensor]


VARIANTS: dict[tuple[str, str], Variant] = {}
"""By the name of the plain function and the device type."""

_enabled = True  # a plain global, because PyTorch's compiler cannot trace a ContextVar


@contextmanager
def plain_only(active: bool = True) -> Iterator[None]:
    """A context in which only plain functions run, as on a platform without variants."""
    global _enabled
    before, _enabled = _enabled, _enabled and not active
    try:
        yield
    finally:
        _enabled = before


def with_variants(plain: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Decorate a plain function, whose first argument is a tensor, to use variants.

    The plain function stays available as `__wrapped__`.
    """
    name = plain.__name__

    @functools.wraps(plain)
    def dispatch(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        x: Tensor = args[0]  # type: ignore[assignment]
        variant = VARIANTS.get((name, x.device.type))
        if variant is None or not _enabled or not variant.applies(*args, **kwargs):
            return plain(*args, **kwargs)
        return variant.run(*args, **kwargs)

    return dispatch
