"""Rendered images per second on one core: Moyin, SynthTIGER, TextRecognitionDataGenerator.

    python benchmarks/rendering.py --font FILE.ttf [--synthtiger PYTHON] [--trdg PYTHON]

Each peer runs in its own environment, given by its Python, since both need older packages than
Moyin (`pip install synthtiger 'pillow<10' 'numpy<2'`; `pip install trdg 'pillow<10'`). All use the
same font, which must cover Chinese. There are two tasks:

- line: one to four Chinese characters, 90 to 120 pixels per em, in one colour on a flat background
  of 512x512. The image of TextRecognitionDataGenerator is as high as its line, 512x128, and counts
  as a quarter;
- scene: four lines of different sizes and colours, half of them with an outline or a shadow, on a
  sheet in perspective over a textured background. TextRecognitionDataGenerator draws one line per
  image, so it does not take part.

Moyin also records the box of every character and writes six captions. Results are processor time,
the median of ROUNDS rounds in which the programs alternate.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE, COUNT, WARM, ROUNDS = 512, 200, 5, 3
FIRST, HANZI = 0x4E00, 1000  # so many hanzi from this code on are drawn evenly
Draw = Callable[[int], Any]


def hanzi(lot: random.Random, count: int) -> str:
    return "".join(chr(FIRST + lot.randrange(HANZI)) for _ in range(count))


def moyin(work: str, font: str) -> Draw:
    from moyin.render.renderer import Renderer

    folder = Path(tempfile.mkdtemp())
    shutil.copy(font, folder / "Bench.ttf")
    common = {"size": SIZE, "fonts": ("Bench",), "font_folder": str(folder), "chinese": 1.0}
    common |= {"characters": HANZI, "object_share": 0.0, "captions": 3, "words": 0.0}
    if work == "line":
        plain = {"prominent": 1.0, "backgrounds": {"flat": 1.0}, "large": (90, 120)}
        config = Renderer.Config(**common, **plain)
    else:
        config = Renderer.Config(**common, layouts={"poster": 1.0}, effects=0.5, surfaces=1.0)
    drawer = config.build()
    return lambda index: drawer(0, index).image


def synthtiger(work: str, font: str) -> Draw:
    import numpy as np
    from synthtiger import components, layers

    lot = random.Random(0)
    border = components.TextBorder(size=(2, 6))
    shadow = components.TextShadow(distance=(2, 8))
    perspective = components.Perspective(percents=((0.75, 1),) * 4)
    noise = np.random.default_rng(0).integers(90, 160, (SIZE, SIZE, 4)).astype(float)

    def line(index: int) -> Any:
        text = layers.TextLayer(
            hanzi(lot, lot.randint(1, 4)), font, lot.randint(90, 120), _colour(lot)
        )
        ground = layers.RectLayer((SIZE, SIZE), _colour(lot))
        text.center = ground.center
        return (text + ground).output(bbox=ground.bbox)

    def scene(index: int) -> Any:
        sheet = layers.RectLayer((360, 480), _colour(lot))
        texts = []
        for size, y in ((80, 80), (40, 220), (26, 320), (26, 400)):
            text = layers.TextLayer(hanzi(lot, 4), font, size, _colour(lot))
            if lot.random() < 0.5:
                lot.choice((border, shadow)).apply([text])
            text.center = (sheet.center[0], y)
            texts.append(text)
        sheet.center = (sheet.center[0], 240)
        group = layers.Group([*texts, sheet])
        perspective.apply([group])
        ground = layers.Layer(noise)
        group.center = ground.center
        return (group + ground).output(bbox=ground.bbox)

    return line if work == "line" else scene


def _colour(lot: random.Random) -> tuple[int, int, int, int]:
    return lot.randrange(256), lot.randrange(256), lot.randrange(256), 255


def trdg(work: str, font: str) -> Draw:
    from trdg.generators import GeneratorFromStrings

    lot = random.Random(0)
    texts = [hanzi(lot, lot.randint(1, 4)) for _ in range(COUNT + WARM)]
    size = SIZE // 4
    made = GeneratorFromStrings(
        texts, fonts=[font], size=size, width=SIZE, background_type=1, language="cn", alignment=1
    )
    return lambda index: next(made)


PEERS = {"moyin": moyin, "synthtiger": synthtiger, "trdg": trdg}


def measure(peer: str, work: str, font: str) -> None:
    """Print the processor's milliseconds an image, and its pixels."""
    draw = PEERS[peer](work, font)
    images = [draw(index) for index in range(WARM)]
    start = time.process_time()
    images = [draw(index) for index in range(WARM, WARM + COUNT)]
    taken = (time.process_time() - start) / COUNT
    pixels = [_pixels(image) for image in images]
    print(1000 * taken, statistics.mean(pixels))


def _pixels(image: Any) -> int:
    if isinstance(image, tuple):  # TextRecognitionDataGenerator's (image, text)
        return int(image[0].width * image[0].height)
    return int(image.shape[0] * image.shape[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--font", required=True)
    parser.add_argument("--synthtiger", metavar="PYTHON")
    parser.add_argument("--trdg", metavar="PYTHON")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        return measure(*asked.measure, asked.font)
    pythons = {"moyin": sys.executable, "synthtiger": asked.synthtiger, "trdg": asked.trdg}
    for work, peers in (
        ("line", ("moyin", "synthtiger", "trdg")),
        ("scene", ("moyin", "synthtiger")),
    ):
        rows: dict[str, list[tuple[float, float]]] = {peer: [] for peer in peers if pythons[peer]}
        for _ in range(ROUNDS):
            for peer, row in rows.items():
                command = [pythons[peer], __file__, "--font", asked.font, "--measure", peer, work]
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                taken, pixels = map(float, said.split()[-2:])
                row.append((taken, pixels))
        for peer, row in rows.items():
            # Milliseconds for as many pixels as 512x512 has.
            taken = statistics.median(ms * SIZE**2 / pixels for ms, pixels in row)
            own = statistics.median(ms * SIZE**2 / pixels for ms, pixels in rows["moyin"])
            print(
                f"{work:6} {peer:11} {taken:7.1f} ms an image {1000 / taken:6.0f} images/s"
                f" {taken / own:6.2f} x Moyin's time"
            )
    return None


if __name__ == "__main__":
    main()
