"""Semantic tokens of one image: saved, sent, decoded elsewhere."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Tokens = np.ndarray[Any, np.dtype[np.uint16]]


@dataclass(frozen=True, kw_only=True)
class SemanticTokens:
    """An image as numbers of a codebook, one for each 32×32 pixels.

    grid, preview: uint16 [rows, columns]; preview is None where none was generated. codes: size of
    the codebook. prompt: the decoder reads its quoted strings. seed, sample: of the random numbers
    that sampled them, from which the decoder's noise follows too.

    ValueError for arrays of another type or shape, and for tokens outside of the codebook.
    """

    grid: Tokens
    codes: int
    prompt: str = ""
    preview: Tokens | None = field(default=None)
    seed: int = 0
    sample: int = 0

    def __post_init__(self) -> None:
        for name, tokens in (("grid", self.grid), ("preview", self.preview)):
            if tokens is None:
                continue
            if tokens.ndim != 2 or not tokens.size or tokens.dtype != np.uint16:
                raise ValueError(
                    f"{name} must be uint16 [rows, columns], not {tokens.dtype}{tokens.shape}"
                )
            if int(tokens.max()) >= self.codes:
                raise ValueError(
                    f"{name} holds token {tokens.max()}; the codebook ends at {self.codes - 1}"
                )

    @property
    def height(self) -> int:
        """Pixels."""
        return 32 * self.grid.shape[0]

    @property
    def width(self) -> int:
        """Pixels."""
        return 32 * self.grid.shape[1]

    def save(self, path: str | Path) -> None:
        """Write a NumPy .npz without pickles: a field each; 2 KB for an image of 1024×1024."""
        names = ("grid", "codes", "prompt", "sample")
        # Seeds may be larger than NumPy's integers.
        parts: dict[str, Any] = {name: getattr(self, name) for name in names}
        parts["seed"] = str(self.seed)
        if self.preview is not None:
            parts["preview"] = self.preview
        with Path(path).open("wb") as f:
            np.savez_compressed(f, **parts)

    @classmethod
    def load(cls, path: str | Path) -> SemanticTokens:
        """ValueError where the file is absent or not one that `save` wrote."""
        try:
            with np.load(path, allow_pickle=False) as parts:
                return cls(
                    grid=parts["grid"],
                    codes=int(parts["codes"]),
                    prompt=str(parts["prompt"]),
                    preview=parts.get("preview"),
                    seed=int(str(parts.get("seed", 0))),
                    sample=int(parts.get("sample", 0)),
                )
        except FileNotFoundError:
            raise ValueError(f"no semantic tokens at {path}") from None
        except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as e:
            raise ValueError(f"{path} holds no semantic tokens: {e}") from None
