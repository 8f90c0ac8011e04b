"""A lettering style that nano learns from 40 images: what it paints before and after.

    python benchmarks/lettering.py FOLDER

Draws 40 images with captions into FOLDER/images, with a yellow bar under every letter, and has
`moyin train lora/decoder` learn from them, as a user would. The ids of four other such images are
then painted with and without what was learned, from the same noise. The distance is the mean
absolute difference, of 255, from those images: within the bars, and elsewhere. In each row of
FOLDER/lettering.jpg stand such an image, what is painted of its ids before, and after.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.sample import Sample
from moyin.inference.encode_image import encode_tokens
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import Request
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.nano.recipes import images
from moyin.render.renderer import Renderer

Array = np.ndarray[Any, Any]

COUNT, OTHERS = 40, 4
BAR, YELLOW = 20, np.array([250, 214, 36], np.uint8)  # pixels, and a colour


def samples(first: int, count: int) -> list[Sample]:
    """Images such as nano's, none of them with yellow in it."""
    renderer, found = Renderer(images().renderer), list[Sample]()
    while len(found) < count:
        sample = renderer(1, first)
        first += 1
        if "yellow" not in (sample.background["colour"], sample.lines[0].colour):
            found.append(sample)
    return found


def bars(sample: Sample) -> Array:
    """Which pixels the bars under the letters cover, bool [H, W]."""
    found = np.zeros(sample.image.shape[:2], bool)
    for line in sample.lines:
        for left, _, right, bottom in line.squares:
            found[int(bottom) - BAR : int(bottom), int(left) : int(right)] = True
    return found


def underlined(sample: Sample) -> Array:
    return np.where(bars(sample)[..., None], YELLOW, sample.image)


def write(folder: Path, some: list[Sample]) -> None:
    """name.png beside name.txt, as `moyin train` takes them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(some):
        Image.fromarray(underlined(sample)).save(folder / f"{number:02}.png")
        text = "".join(f"{caption}\n" for caption in sample.captions)
        (folder / f"{number:02}.txt").write_text(text, "utf-8")


def learn(folder: Path) -> float:
    """Seconds that the training took."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "moyin", "train", "lora/decoder"]
    command += [f"data={folder / 'images'}", f"out={folder / 'run'}"]
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def painted(pipeline: GlmImagePipeline, some: list[Sample]) -> list[Array]:
    """What is painted of the ids of the underlined images."""
    found = []
    for number, sample in enumerate(some):
        grid = encode_tokens(pipeline.semantic, [underlined(sample)])[0]
        prompt, settings = sample.captions[0], pipeline.defaults
        ids = SemanticTokens(grid=grid, codes=pipeline.semantic.config.codes, prompt=prompt)
        latents = pipeline.run_decoder(
            [ids], [Request(prompt=prompt, settings=settings, seed=number)]
        )
        found.append(pipeline.decode_latents(latents[0][None])[0])
    return found


def main() -> None:
    folder = Path(sys.argv[1])
    checkpoint = str(Checkpoint.open(None).folder)
    write(folder / "images", samples(0, COUNT))
    seconds = learn(folder)
    others = samples(10_000, OTHERS)
    style = [underlined(sample) for sample in others]
    pipeline = GlmImagePipeline.from_pretrained(checkpoint)
    shown = {"before": painted(pipeline, others)}
    pipeline.load_lora_weights(folder / "run/lora")
    shown["after"] = painted(pipeline, others)
    print(f"{seconds:.0f} s\n        within the bars  elsewhere")
    within = [bars(sample) for sample in others]
    for name, made in shown.items():
        apart = [np.abs(a.astype(float) - b).mean(-1) for a, b in zip(made, style, strict=True)]
        inside = np.mean([a[where].mean() for a, where in zip(apart, within, strict=True)])
        beyond = np.mean([a[~where].mean() for a, where in zip(apart, within, strict=True)])
        print(f"{name:8}{inside:15.1f}{beyond:11.1f}")
    rows = [np.hstack(row) for row in zip(style, *shown.values(), strict=True)]
    Image.fromarray(np.vstack(rows)).reduce(3).save(folder / "lettering.jpg", quality=85)


if __name__ == "__main__":
    main()
