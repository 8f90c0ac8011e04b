"""Draw a suite's prompts with a checkpoint, judge the pictures, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from moyin.evaluate import report
from moyin.evaluate.judge import look
from moyin.evaluate.report import Judged
from moyin.evaluate.suite import Expectation, nano_50, perfect
from moyin.pipeline import batch
from moyin.pipeline.generation import Job, Picture, Pipeline, Progress, Settings
from moyin.pipeline.show import bars
from moyin.recognise import ocr

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

SUITES: dict[str, Callable[[], tuple[Expectation, ...]]] = {"nano-50": nano_50}


@dataclass(frozen=True, kw_only=True)
class Options:
    """count: only the first so many prompts. batch: pictures drawn together. The rest is the
    pipeline's own settings, the checkpoint's where None."""

    count: int | None = None
    batch: int = 1
    seed: int = 0
    steps: int | None = None
    guidance: float | None = None
    temperature: float | None = None
    top_p: float | None = None
    preview: bool | None = None

    def __post_init__(self) -> None:
        for name in ("count", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")

    def settings(self, defaults: Settings) -> Settings:
        """The checkpoint's preferences with what is asked for otherwise."""
        names = {f.name for f in dataclasses.fields(Settings)}
        given = {k: v for k, v in dataclasses.asdict(self).items() if k in names and v is not None}
        return dataclasses.replace(defaults, **given)


def run(suite: str, checkpoint: str | None, out: Path, options: Options | None = None) -> Path:
    """Write pictures/, report.json and sheet.png under `out` and print the table.

    Starts again where it stopped: a picture that is there, of the same checkpoint and settings,
    is not drawn again. Returns the report's path. Raises ValueError for an unknown suite and for
    pictures that are not square.
    """
    if suite not in SUITES:
        raise ValueError(f"no suite {suite} (there are: {', '.join(SUITES)})")
    options = options or Options()
    asked = SUITES[suite]()[: options.count]
    engine = ocr.name()  # first of all, for without it nothing can be scored
    pipeline = Pipeline.open(checkpoint)
    settings = options.settings(pipeline.defaults)
    if settings.height != settings.width:
        raise ValueError("the suite's places are those of a square picture")
    with bars() as progress:
        pictures = _draw(pipeline, asked, settings, options, out / "pictures", progress)
        judged = _judge(asked, pictures, progress, "judged")
        best = [perfect(one, settings.height) for one in asked]
        ceiling = report.by_group(_judge(asked, best, progress, "ceiling"))
    groups = report.by_group(judged)
    content = {
        "suite": suite,
        "checkpoint": pipeline.digest,
        "settings": dataclasses.asdict(settings),
        "seed": options.seed,
        "ocr": engine,
        "scores": groups,
        "ceiling": ceiling,
        "pictures": [report.row(one) for one in judged],
    }
    report.write(out / "report.json", content)
    report.sheet(pictures, judged).save(out / "sheet.png")
    report.show(f"{suite}, read by {engine}", groups, ceiling)
    return out / "report.json"


def _draw(
    pipeline: Pipeline,
    asked: Sequence[Expectation],
    settings: Settings,
    options: Options,
    out: Path,
    progress: Progress,
) -> list[Pixels]:
    """The pictures of all prompts, each of a seed of its own."""
    rows = [batch.Row(a.id, a.prompt, settings, options.seed + i, {}) for i, a in enumerate(asked)]

    def draw(jobs: list[Job]) -> list[Picture]:
        return pipeline.draw(jobs, progress)

    done = batch.run(rows, out, pipeline.digest, draw, options.batch)
    for i, _ in enumerate(done, 1):
        progress("drawn", i, len(rows))
    return [np.array(Image.open(out / f"{row.id}.png").convert("RGB")) for row in rows]


def _judge(
    asked: Sequence[Expectation], pictures: Sequence[Pixels], progress: Progress, stage: str
) -> list[Judged]:
    judged = []
    for i, (one, picture) in enumerate(zip(asked, pictures, strict=True), 1):
        judged.append(Judged(one, look(picture, lambda crop: ocr.recognise(crop).text)))
        progress(stage, i, len(asked))
    return judged
