"""The knobs of an evaluation, given as key=value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from moyin.evaluate.image_files import parse_tiles
from moyin.inference.config import GenerationConfig
from moyin.ocr.engine import ENGINES


@dataclass(frozen=True, kw_only=True)
class Options:
    """engine: pp-ocrv5, tesseract, or vision at engine_url with engine_model. prompts: the file or
    folder of a benchmark that does not ship. per_level: characters of one-character, 0 for all.
    resamples: draws of the bootstrap. tiles: COLUMNSxROWS where each file of --images holds so
    many images side by side.

    For --checkpoint: batch, images drawn together; seed; and the pipeline's settings, the
    checkpoint's own where None. For --endpoint: size as the service writes it, none to leave it to
    the service; price of an image in any currency; retries of a request.
    """

    engine: str = "pp-ocrv5"
    engine_url: str | None = None
    engine_model: str | None = None
    prompts: Path | None = None
    per_level: int = 300
    resamples: int = 1000
    tiles: str | None = None
    batch: int = 1
    seed: int = 0
    steps: int | None = None
    guidance: float | None = None
    temperature: float | None = None
    top_p: float | None = None
    preview: bool | None = None
    size: str | None = "1024x1024"
    price: float | None = None
    retries: int = 5

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"no OCR engine {self.engine} (there are: {', '.join(ENGINES)})")
        least = {"batch": 1, "resamples": 1, "per_level": 0, "retries": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name} must be at least {value}, not {getattr(self, name)}")
        if self.tiles is not None:
            parse_tiles(self.tiles)
        if self.price is not None and self.price < 0:
            raise ValueError(f"price must be 0 or more, not {self.price}")

    def settings(self, defaults: GenerationConfig) -> GenerationConfig:
        """The checkpoint's preferences with what is asked for otherwise."""
        names = {f.name for f in dataclasses.fields(GenerationConfig)}
        given = {k: v for k, v in dataclasses.asdict(self).items() if k in names and v is not None}
        return dataclasses.replace(defaults, **given)
