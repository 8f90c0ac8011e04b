"""A stage without images and weights, for a training that is only reckoned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np

from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.sample import Line, Sample
from moyin.inference.image_processor import SHORTEST
from moyin.models.autoencoder import Autoencoder
from moyin.models.glyph_encoder import GlyphEncoder
from moyin.models.semantic_tokenizer import SemanticTokenizer
from moyin.prompt.grid import Grid
from moyin.prompt.tokenizer import TextTokenizer
from moyin.train.config import Training
from moyin.train.objectives.base import Array, Objective, SampleRng, Source

NATIVE = 1024  # pixels a side of GLM-Image's images
WRITTEN = "SIXTEEN LETTERS!"
CAPTION = f'a poster of grey and white, on which is said "{WRITTEN}"'  # 64 ids, a byte each
DEFAULTS: dict[str, Any] = {
    "autoencoder": Autoencoder.Config,
    "glyph": GlyphEncoder.Config,
    "semantic": SemanticTokenizer.Config,
}


class OneImage:
    """A dataset of one image, again and again: a blank square with a line of text."""

    parts = ()  # for whoever would add columns: they are there

    def __init__(self, side: int) -> None:
        self.grid = Grid.of_pixels(side, side)
        width = side / len(WRITTEN)
        boxes = tuple((i * width, 0.0, (i + 1) * width, width) for i in range(len(WRITTEN)))
        line = Line(
            text=WRITTEN,
            box=(0.0, 0.0, float(side), width),
            characters=boxes,
            squares=boxes,
            colour="white",
            font="",
            place="",
        )
        self.image = Sample(
            image=np.zeros((side, side, 3), np.uint8),
            captions=(CAPTION,),
            lines=(line,),
            background={"kind": "flat"},
            objects=(),
            seed=0,
            index=0,
        )

    def __len__(self) -> int:
        return 2**16

    def sample(self, index: int) -> Sample:
        return self.image

    def read(self, names: Sequence[str], indices: Iterable[int]) -> list[dict[str, Any]]:
        rows, columns = self.grid.rows, self.grid.columns
        preview = self.grid.preview()
        row = {
            "image": self.image.image,
            "meta": self.image.to_json(),
            "tokens": np.zeros((rows, columns), np.uint16),
            "preview_tokens": np.zeros((preview.rows, preview.columns), np.uint16),
            "latents": np.zeros((16, 4 * rows, 4 * columns), np.float16),
        }
        return [row for _ in indices]


class Longest(SampleRng):
    """Of what all samples of an update share, such as a length, always the most; and no noise."""

    def __init__(self) -> None:
        super().__init__(0, 0)

    def normal(self, name: str, count: int, *shape: int) -> Array:
        return np.zeros((count, *shape), np.float32)

    def together(self, name: str) -> Any:
        return _Most()


class _Most:
    """As far as objectives ask a NumPy generator: always yes, and always the largest."""

    def random(self) -> float:
        return 0.0

    def integers(self, low: int, high: int | None = None) -> int:
        return (low if high is None else high) - 1


class Rehearsal(Source):
    """Where a stage gets its networks from, when no weights are wanted."""

    @classmethod
    def of(cls, training: Training) -> Rehearsal:
        """Only a checkpoint that is named counts, and its own size of images."""
        place = training.checkpoint
        found = Checkpoint.open(place) if place not in ("", "none") else None
        known = found.notes.get("settings", {}) if found is not None else {}
        side = training.size or max(SHORTEST, known.get("height", NATIVE))
        return cls(cast(Any, OneImage(side)), found)

    def configuration(self, name: str) -> Any:
        """The checkpoint's, or GLM-Image's own."""
        if self.checkpoint is None:
            return DEFAULTS[name]()
        return self.checkpoint.config(name)

    def network(self, name: str, dtype: str = "float32") -> Any:
        return self.configuration(name).build()

    def tokenizer(self) -> TextTokenizer:
        """Each byte an id."""
        return TextTokenizer.train([], size=260, codes=self.configuration("semantic").codes)


def objective_of(training: Training, source: Rehearsal) -> Objective:
    """The stage's objective with a network of the sizes that it would have.

    ValueError where they are a checkpoint's and none is named.
    """
    config: Any = training.objective
    if training.fine_tune or training.lora is not None:
        sizes = Source(None, source.checkpoint).configuration(config.stage)
    else:
        sizes = config.network_config(source)
    made: Objective = config.build(source, sizes.build())
    return made
