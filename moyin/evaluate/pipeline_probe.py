"""One checkpoint's networks alone and in a row, for the gates: every arrow from an image or a
character to what can be judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moyin.backend import autograd, ops
from moyin.dataset.sample import Sample
from moyin.evaluate.token_layouts import KnownTokens, recorded_layout
from moyin.inference.config import GenerationConfig
from moyin.inference.decode_latents import decode_latents
from moyin.inference.encode_image import encode_latents, encode_tokens
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import Request
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.ocr.result import Pixels
from moyin.prompt.quotes import glyph_bytes
from moyin.render import assets
from moyin.train.objectives.glyph_encoder import LATIN, bitmap

Array = np.ndarray[Any, Any]
States = Callable[[Sequence[str]], list[Array]]

FONT, BITMAP = "NotoSansSC-Bold", 24  # whose shapes the glyphs are, and their sides
CHARACTERS = 8105  # Chinese ones, the most frequent, among which a glyph is to be found
BYTES = 3  # states that are looked at of a character; those of one with fewer bytes count again
BATCH = 63  # strings that are encoded together
FOLDS, RIDGE = 5, 1e-2


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One checkpoint as the gates see it. layout: the true tokens of rendered images, where its
    notes name a layout."""

    pipeline: GlmImagePipeline
    settings: GenerationConfig
    layout: KnownTokens | None

    @classmethod
    def of(cls, pipeline: GlmImagePipeline, settings: GenerationConfig) -> Chain:
        """Raises ValueError where its images are not square."""
        if settings.height != settings.width:
            raise ValueError("the gates' images are square: give a square height and width")
        return cls(pipeline=pipeline, settings=settings, layout=layout_of(pipeline))

    @property
    def renderer_options(self) -> Mapping[str, Any]:
        """How its images set text, as fields of the `Renderer`'s configuration."""
        if self.layout is None:
            return {"squares": (self.settings.height // 2, self.settings.height // 4)}
        return self.layout.renderer_options

    def reconstructed(self, image_hwc: Pixels) -> Pixels:
        """Through the autoencoder and back."""
        network, dtype = self.pipeline.autoencoder, self.pipeline.dtype
        found: Pixels = decode_latents(
            network, encode_latents(network, image_hwc, dtype)[None], dtype
        )[0]
        return found

    def tokenized(self, image_hwc: Pixels) -> Array:
        """The tokenizer's ids [rows, columns]."""
        ids: Array = encode_tokens(self.pipeline.semantic, [image_hwc])[0]
        return ids

    def true_ids(self, sample: Sample) -> Array:
        """The layout's where there is one, for the tokenizer may not have learned them yet."""
        return self.layout.ids(sample) if self.layout else self.tokenized(sample.image)

    def painted(self, ids: Array, prompt: str, seed: int) -> Pixels:
        """The image of these ids with the prompt's glyphs."""
        codes = self.pipeline.checkpoint.config("decoder").codes
        given = SemanticTokens(grid=ids.astype(np.uint16), codes=codes, prompt=prompt)
        request = Request(prompt=prompt, settings=self.settings, seed=seed)
        image: Pixels = self.pipeline.run_decoding([given], [request])[0].pixels
        return image

    def generated(self, prompt: str, seed: int) -> Pixels:
        """The whole chain."""
        job = Request(prompt=prompt, settings=self.settings, seed=seed)
        image: Pixels = self.pipeline.run([job])[0].pixels
        return image


def layout_of(pipeline: GlmImagePipeline) -> KnownTokens | None:
    """The token layout that the checkpoint's decoder was trained with, as its notes have it."""
    notes = pipeline.checkpoint.notes.get("training", {}).get("decoder", {})
    return recorded_layout(notes.get("configuration", {}))


def glyph_retrieval(states: States) -> dict[str, bool]:
    """Whether each of the Latin and Chinese characters finds its own glyph.

    states: of each of many characters, [bytes, width]. A ridge regression from them to bitmaps is
    learned from four fifths of the characters, and gives each of the rest the bitmap that it
    expects; found is a character whose own bitmap is the nearest of all to it. By chance that is
    one in some 8000.
    """
    # What looks alike in any font (l and I, O and 0) is told apart all the same: by the nearest.
    known = tuple(dict.fromkeys(LATIN + "".join(assets.frequent_characters()[:CHARACTERS])))
    shapes = np.stack([bitmap(c, FONT, BITMAP) for c in known]).astype(np.float64) / 255
    inner = np.stack([_evenly(rows, BYTES).reshape(-1) for rows in states(known)])
    inner = inner.astype(np.float64)
    inner = (inner - inner.mean(0)) / (inner.std(0) + 1e-6) / BYTES**0.5
    inner = np.concatenate([inner, np.ones((len(known), 1))], 1)
    folds = np.random.default_rng(0).permutation(len(known)) % FOLDS
    found = np.zeros(len(known), bool)
    for fold in range(FOLDS):
        learned, tried = folds != fold, folds == fold
        x, y = inner[learned], shapes[learned]
        ridge = RIDGE * len(x) * np.eye(x.shape[1])
        expected = inner[tried] @ np.linalg.solve(x.T @ x + ridge, x.T @ y)
        # Squared distances, less what is the same for all bitmaps.
        away = (shapes**2).sum(1) - 2 * expected @ shapes.T
        found[tried] = away.argmin(1) == np.flatnonzero(tried)
    return dict(zip(known, map(bool, found), strict=True))


def encoder_states(pipeline: GlmImagePipeline) -> States:
    """Characters' states by the checkpoint's glyph encoder, without pads and end mark."""

    def states(characters: Sequence[str]) -> list[Array]:
        found: list[Array] = []
        for at in range(0, len(characters), BATCH):
            part = characters[at : at + BATCH]
            odd = [*part, part[-1]][: len(part) // 2 * 2 + 1]  # an even number would get pads
            ids, mask = glyph_bytes(odd)
            with autograd.no_grad():
                rows = pipeline.glyph(ops.asarray(ids), ops.asarray(mask), dtype=ops.float32)
            ends = [len(character.encode()) for character in part]
            found += [row[:end] for row, end in zip(ops.numpy(rows), ends, strict=False)]
        return found

    return states


def _evenly(rows: Array, count: int) -> Array:
    chosen: Array = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
    return chosen
