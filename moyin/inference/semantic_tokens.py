"""Semantic tokens as a thing of their own: saved, sent, decoded elsewhere."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Ids = np.ndarray[Any, np.dtype[np.uint16]]


@dataclass(frozen=True, kw_only=True)
class SemanticTokens:
    """An image as codebook ids, one for 32×32 pixels.

    grid, preview: uint16 [rows, columns], the preview None where none was written. codes: size of
    the codebook. prompt: its quoted strings are what the decoder reads beside the ids. sample:
    which of the seed's layouts they are, by which the noise is found again.
    """

    grid: Ids
    codes: int
    prompt: str = ""
    preview: Ids | None = field(default=None)
    sample: int = 0

    def __post_init__(self) -> None:
        for what, ids in (("grid", self.grid), ("preview", self.preview)):
            if ids is None:
                continue
            if ids.ndim != 2 or not ids.size or ids.dtype != np.uint16:
                raise ValueError(
                    f"{what} must be uint16 [rows, columns], not {ids.dtype}{ids.shape}"
                )
            if int(ids.max()) >= self.codes:
                raise ValueError(
                    f"{what} holds id {ids.max()}; the codebook ends at {self.codes - 1}"
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
        """A NumPy .npz without pickles: `grid`, `codes`, `prompt`, `sample` and, where written,
        `preview`.

        2 KB for an image of 1024×1024.
        """
        names = ("grid", "codes", "prompt", "sample")
        parts: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.preview is not None:
            parts["preview"] = self.preview
        with Path(path).open("wb") as f:
            np.savez_compressed(f, **parts)

    @classmethod
    def load(cls, path: str | Path) -> SemanticTokens:
        """Raises ValueError where the file is absent or not what `save` writes."""
        try:
            with np.load(path, allow_pickle=False) as parts:
                return cls(
                    grid=parts["grid"],
                    codes=int(parts["codes"]),
                    prompt=str(parts["prompt"]),
                    preview=parts.get("preview"),
                    sample=int(parts.get("sample", 0)),
                )
        except FileNotFoundError:
            raise ValueError(f"no semantic tokens at {path}") from None
        except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as e:
            raise ValueError(f"{path} holds no semantic tokens: {e}") from None
