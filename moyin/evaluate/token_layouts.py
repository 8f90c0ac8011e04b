"""Token layouts that checkpoints were trained with, where their records name one.

A package above this one registers how its layouts are recorded; evaluation then knows the true
tokens of rendered images, and how their text must be set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from moyin.dataset.tokens import TokenLayout


class KnownTokens(TokenLayout, Protocol):
    """A token layout for evaluation."""

    @property
    def grounds(self) -> int:
        """The first token that is not text; those before it are text."""

    @property
    def renderer_options(self) -> Mapping[str, Any]:
        """Fields of `Renderer.Config` with which text has tokens of its own."""


Reader = Callable[[Mapping[str, Any]], KnownTokens | None]
_READERS: list[Reader] = []


def register(reader: Reader) -> None:
    """Add a function from a decoder's recorded training configuration, by dotted names, to its
    layout; None where it names none."""
    if reader not in _READERS:
        _READERS.append(reader)


def recorded_layout(configuration: Mapping[str, Any]) -> KnownTokens | None:
    """The layout that some reader finds; None where none does."""
    layouts = (reader(configuration) for reader in _READERS)
    return next((layout for layout in layouts if layout is not None), None)
