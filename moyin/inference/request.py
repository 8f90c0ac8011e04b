"""What the pipeline is asked for, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moyin.inference.config import GenerationConfig
from moyin.inference.semantic_tokens import SemanticTokens

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Reference:
    """An encoded reference image: semantic tokens [rows, columns] uint16 and normalized latents
    [C, H/8, W/8] float32."""

    grid: Array
    latents: Array


@dataclass(frozen=True, kw_only=True)
class Request:
    """One image to be generated.

    sample: which of the layouts that the seed gives. rewritten: what the generator reads in place
    of the prompt, with the same quoted strings (`clients.rewriter`).
    """

    prompt: str
    settings: GenerationConfig
    seed: int = 0
    sample: int = 0
    references: tuple[Reference, ...] = ()
    rewritten: str | None = None


@dataclass(frozen=True)
class GeneratedImage:
    """uint8 pixels [H, W, 3], the tokens they were decoded from, and how they were made."""

    pixels: Array
    tokens: SemanticTokens
    metadata: dict[str, Any]


@dataclass
class PipelineOutput:
    """The result of a call of the pipeline, one entry an image: prompt by prompt.

    images: PIL images, arrays or latents, as `output_type` says. interrupted: whether a callback
    stopped the call; then the last images are estimates, and images not begun are missing.
    """

    images: list[Any] = field(default_factory=list)
    tokens: list[SemanticTokens] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def seeds(self) -> list[int]:
        """The seed of each image; those of one prompt differ in their tokens' `sample`."""
        return [tokens.seed for tokens in self.tokens]
