"""One trainer for all stages: `run(training)`. The objective defines what a stage learns.

Names are imported lazily, so that configurations can be read without a framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from moyin.train.config import Lora, Optimizer, Training, Validation

if TYPE_CHECKING:
    from moyin.train.trainer import Interrupted, Trainer, run

_MODULES = dict.fromkeys(("Interrupted", "Trainer", "run"), "moyin.train.trainer")

__all__ = ["Interrupted", "Lora", "Optimizer", "Trainer", "Training", "Validation", "run"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
