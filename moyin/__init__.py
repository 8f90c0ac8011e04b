"""Moyin: training and inference for GLM-Image-class models.

The public names are imported when they are first used, so `import moyin` imports no framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moyin.inference.config import GenerationConfig
    from moyin.inference.pipeline import GlmImagePipeline
    from moyin.inference.semantic_tokens import SemanticTokens

__version__ = "0.1.0"
__all__ = ["GenerationConfig", "GlmImagePipeline", "SemanticTokens", "__version__"]

_HOMES = {
    "GenerationConfig": "moyin.inference.config",
    "GlmImagePipeline": "moyin.inference.pipeline",
    "SemanticTokens": "moyin.inference.semantic_tokens",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
