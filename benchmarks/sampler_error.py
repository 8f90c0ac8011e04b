"""How far latents are from the exact walk: each sampler by its steps, reuse by its threshold.

    python benchmarks/sampler_error.py [CHECKPOINT] [--size 256x256] [--plot docs/sampler-error.png]

The semantic tokens of a few prompts are written by the checkpoint itself (the embedded one if none
is named) and painted in float32 from the same noise. An error is the root mean square of the
difference from the reference, 200 steps of the second-order sampler, over that of the reference;
its mean over the prompts is shown. Another second-order walk, of 250 steps, tells how far the
reference itself can be trusted. Prompts alternate with settings, so that a noisy machine disturbs
all alike; times are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from moyin.backend import device
from moyin.flow.samplers import SAMPLERS
from moyin.inference.config import GenerationConfig
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import Array, Request
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.prompt.grid import parse_size

PROMPTS = (
    "一张红色海报，中间写着“春天”",
    'a yellow poster with the word "TEA" in black',
    'a blue poster that says "HELLO" in white',
)
STEPS = (4, 8, 12, 20, 30, 50)
SECOND_ORDER, REFERENCE, CHECK = "ab2", 200, 250
REUSE_STEPS = (20, 50)
THRESHOLDS = (0.0, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class Measured:
    """Means over the prompts: error and share of blocks left out; and the median of seconds."""

    error: float
    left_out: float
    seconds: float


class Bench:
    """One checkpoint, its images and their references."""

    def __init__(self, pipeline: GlmImagePipeline, settings: GenerationConfig) -> None:
        self.pipeline, self.settings, self.computed = pipeline, settings, 0
        jobs = [Request(prompt=p, settings=settings, seed=i) for i, p in enumerate(PROMPTS)]
        self.pairs = list(zip(pipeline.run_generator(jobs), jobs, strict=True))
        for block in pipeline.decoder.blocks:
            block.register_forward_hook(self._count)
        exact = replace(settings, sampler=SECOND_ORDER, steps=REFERENCE)
        self.references = [self._latents(*pair, exact) for pair in self.pairs]

    def _count(self, *call: Any) -> None:
        self.computed += 1

    def _latents(self, ids: SemanticTokens, job: Request, settings: GenerationConfig) -> Array:
        return self.pipeline.run_decoder([ids], [replace(job, settings=settings)])[0]

    def measure(self, settings: Iterable[GenerationConfig]) -> list[Measured]:
        """Each of the settings on all images, the settings taken in turn."""
        chosen = list(settings)
        rows: list[list[tuple[float, float, float]]] = [[] for _ in chosen]
        for pair, reference in zip(self.pairs, self.references, strict=True):
            for row, wanted in zip(rows, chosen, strict=True):
                self.computed, start = 0, time.perf_counter()
                latents = self._latents(*pair, wanted)
                taken = time.perf_counter() - start
                passes = wanted.steps * (1 if wanted.guidance == 1 else 2)
                whole = passes * self.pipeline.decoder.config.layers
                error = rms(latents - reference) / rms(reference)
                row.append((error, 1 - self.computed / whole, taken))
        return [
            Measured(
                statistics.mean(r[0] for r in row),
                statistics.mean(r[1] for r in row),
                statistics.median(r[2] for r in row),
            )
            for row in rows
        ]


def rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def samplers(bench: Bench) -> dict[str, list[Measured]]:
    """Each sampler at each number of steps; prints the table."""
    found = {}
    for name in SAMPLERS:
        walks = [replace(bench.settings, sampler=name, steps=steps) for steps in STEPS]
        found[name] = bench.measure(walks)
    print(f"\n{'error, steps':16}" + "".join(f"{steps:>9}" for steps in STEPS))
    for name, row in found.items():
        print(f"{name:16}" + "".join(f"{100 * m.error:7.2f} %" for m in row), flush=True)
    return found


def reuse(bench: Bench) -> dict[int, list[Measured]]:
    """Each threshold, with the second-order sampler; prints a table for each number of steps."""
    found = {}
    for steps in REUSE_STEPS:
        walk = replace(bench.settings, sampler=SECOND_ORDER, steps=steps)
        found[steps] = bench.measure(replace(walk, reuse=threshold) for threshold in THRESHOLDS)
        print(f"\nreuse, {SECOND_ORDER}, {steps} steps    error  left out    seconds")
        for threshold, m in zip(THRESHOLDS, found[steps], strict=True):
            print(
                f"{threshold:<22}{100 * m.error:7.2f} % {100 * m.left_out:6.0f} %"
                f"  {m.seconds:9.2f}",
                flush=True,
            )
    return found


def plot(
    path: Path, by_steps: dict[str, list[Measured]], by_reuse: dict[int, list[Measured]]
) -> None:
    """Both tables as curves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, row in by_steps.items():
        left.loglog(STEPS, [100 * m.error for m in row], marker="o", label=name)
    left.set_xticks(STEPS, [str(steps) for steps in STEPS])
    left.yaxis.set_minor_formatter("{x:g}")
    left.yaxis.set_major_formatter("{x:g}")
    left.xaxis.minorticks_off()
    left.set(xlabel="steps", ylabel="error, %", title="samplers")
    for steps, row in by_reuse.items():
        left_out, errors = [100 * m.left_out for m in row], [100 * m.error for m in row]
        right.plot(left_out, errors, marker="o", label=f"{SECOND_ORDER}, {steps} steps")
    right.set(xlabel="blocks left out, %", ylabel="error, %", title="reuse", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", help="a folder or hub id")
    parser.add_argument("--size", default="256x256", help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--plot", type=Path, help="write the curves here")
    options = parser.parse_args()
    grid = parse_size(options.size)
    pipeline = GlmImagePipeline.from_pretrained(options.checkpoint, "float32")
    settings = replace(pipeline.defaults, height=grid.height, width=grid.width)
    print(
        f"{device.name()}, {device.threads()} threads; {pipeline.checkpoint.folder.name}, "
        f"{options.size}, guidance {settings.guidance}, {len(PROMPTS)} prompts"
    )
    bench = Bench(pipeline, settings)
    check = replace(settings, sampler=SECOND_ORDER, steps=CHECK)
    (apart,) = bench.measure([check])
    print(
        f"{SECOND_ORDER} at {REFERENCE} steps, the reference, and at {CHECK}: "
        f"{100 * apart.error:.2f} % apart; {apart.seconds / CHECK:.3f} s a step",
        flush=True,
    )
    by_steps, by_reuse = samplers(bench), reuse(bench)
    if options.plot is not None:
        plot(options.plot, by_steps, by_reuse)


if __name__ == "__main__":
    main()
