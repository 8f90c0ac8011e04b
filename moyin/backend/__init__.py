"""The only rooms that know a framework: `torch/` and `mindspore/`, with the same module names.

The backend is chosen once, by MOYIN_BACKEND (default `torch`); the rest of the house writes
`from moyin.backend import nn, ops`. What each module offers is typed in `protocol`.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from moyin.backend.protocol import Tensor

NAME = os.environ.get("MOYIN_BACKEND", "torch")

if NAME not in ("torch", "mindspore"):
    raise ValueError(f"MOYIN_BACKEND={NAME}: it must be torch or mindspore")

if TYPE_CHECKING:
    from moyin.backend.torch import autograd, device, distributed, io, nn, ops, optim, random
else:
    try:
        autograd, device, distributed, io, nn, optim, ops, random = (
            importlib.import_module(f"moyin.backend.{NAME}.{part}")
            for part in ("autograd", "device", "distributed", "io", "nn", "optim", "ops", "random")
        )
    except ModuleNotFoundError as e:
        raise ModuleNotFoundError(
            f"the {NAME} backend needs `{e.name}`: pip install 'moyin[{NAME}]'"
        ) from e

__all__ = [
    "NAME",
    "Tensor",
    "autograd",
    "device",
    "distributed",
    "io",
    "nn",
    "ops",
    "optim",
    "random",
]
