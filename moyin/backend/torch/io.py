"""Tensors to and from safetensors files on PyTorch. Nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from moyin.backend.torch.device import current


def load(path: Path, names: list[str] | None = None) -> dict[str, Tensor]:
    """The tensors of one file, or those of `names`, on the current device."""
    with safe_open(str(path), framework="pt", device=str(current())) as f:
        return {n: f.get_tensor(n) for n in (names if names is not None else f.keys())}


def save(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write one file. `path` appears whole or not at all only if the caller renames it."""
    flat = {n: t.detach().contiguous() for n, t in tensors.items()}
    save_file(flat, str(path), metadata=metadata)
