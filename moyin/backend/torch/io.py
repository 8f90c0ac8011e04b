"""Tensors to and from safetensors files on PyTorch. Nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

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


def record_kinds(path: Path) -> tuple[dict[str, str], int]:
    """MindSpore's own format: ValueError."""
    _refuse(path)


def read_records(
    path: Path, names: Sequence[str], first: int, last: int
) -> Iterator[dict[str, Any]]:
    """MindSpore's own format: ValueError."""
    _refuse(path)


def write_records(path: Path, kinds: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """MindSpore's own format: ValueError."""
    _refuse(path)


def _refuse(path: Path) -> NoReturn:
    raise ValueError(
        f"MindRecord needs MindSpore: pip install 'moyin[mindspore]' and set "
        f"MOYIN_BACKEND=mindspore for {path.name}"
    )
