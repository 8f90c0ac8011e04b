"""What watches a run: a progress report and diffusers' `callback_on_step_end`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from moyin.inference.generate_tokens import split_grids
from moyin.inference.request import Request
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.inference.step import DenoisingHook, DenoisingStep, TokenHook, TokenStep
from moyin.prompt.generator_inputs import GeneratorInputs


class Progress(Protocol):
    """Called with the stage, `tokens` or `denoise`, and how far it is."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def no_progress(stage: str, done: int, total: int) -> None:
    """A `Progress` that reports nothing."""


StepCallback = Callable[[Any, int, float, dict[str, Any]], dict[str, Any] | None]
"""(pipeline, step, timestep, {"stage", "latents", "estimate", "tokens"}) → changes, or None."""


@dataclass
class Observer:
    """Hooks for the two loops of one run.

    interrupted: set by the callback, through the pipeline; both loops then stop.
    """

    pipeline: Any = field(default=None, repr=False)
    progress: Progress | None = None
    callback: StepCallback | None = None
    interrupted: bool = False

    def token_hook(
        self, requests: Sequence[Request], inputs: Sequence[GeneratorInputs], codes: int
    ) -> TokenHook | None:
        """For requests whose tokens are generated together."""
        if self.progress is None and self.callback is None:
            return None

        def on_step(step: TokenStep) -> None:
            if self.progress is not None:
                self.progress("tokens", step.done, step.total)
            if self.callback is not None:
                tokens = [
                    split_grids(row, i.grids, codes, r.prompt, r.seed, r.sample)
                    for row, i, r in zip(step.tokens, inputs, requests, strict=True)
                ]
                state = {"stage": "tokens", "latents": None, "estimate": None, "tokens": tokens}
                self.callback(self.pipeline, step.done - 1, float(step.done - 1), state)
            step.stop = self.interrupted

        return on_step

    def denoising_hook(self, tokens: Sequence[SemanticTokens]) -> DenoisingHook | None:
        """For images that are denoised together."""
        if self.progress is None and self.callback is None:
            return None

        def on_step(step: DenoisingStep) -> None:
            if self.progress is not None:
                self.progress("denoise", step.done, step.total)
            if self.callback is not None:
                latents = step.latents
                state = {
                    "stage": "denoise",
                    "latents": latents,
                    "estimate": step.estimate,
                    "tokens": list(tokens),
                }
                changes = self.callback(self.pipeline, step.done - 1, step.timestep, state)
                step.replacement = _replacement(changes or {}, latents)
            step.stop = self.interrupted

        return on_step


def _replacement(changes: dict[str, Any], latents: Any) -> Any:
    """The callback's latents where it returns others. ValueError for another shape."""
    replacement = changes.get("latents")
    if replacement is None or replacement is latents:
        return None
    replacement = np.asarray(replacement, np.float32)
    if replacement.shape != latents.shape:
        raise ValueError(
            f"the callback returned latents {list(replacement.shape)}; they must be "
            f"{list(latents.shape)}"
        )
    return replacement
