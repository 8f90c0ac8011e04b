"""gates: which of the five networks is at fault, for whoever trains them.

Rendered images, of which everything is known, go through the chain from its end to its start.
Each gate uses networks that the gates before it have shown, and one more:

- autoencoder: text read from reconstructions of the images themselves
- glyph: each character's states find its own rendered glyph among all (a linear map from states to
  bitmaps, learned from the other characters)
- semantic: the tokenizer's ids of text that are the true ones, where a token layout defines these
- decoder: text read from images painted from true ids
- generator: text read from images painted from generated ids: the whole chain

The first gate whose score falls far below its ceiling names the network to look at.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from moyin.dataset.sample import Sample
from moyin.evaluate import image_files, report
from moyin.evaluate.ocr_cache import Kept
from moyin.evaluate.options import Options
from moyin.evaluate.pipeline_probe import FONT, Array, Chain, encoder_states, glyph_retrieval
from moyin.evaluate.task import Found, Item, Suite
from moyin.evaluate.token_layouts import KnownTokens
from moyin.inference.observer import Progress, no_progress
from moyin.inference.pipeline import GlmImagePipeline
from moyin.ocr import scores
from moyin.ocr.detectors import foreground_box
from moyin.ocr.engine import OCREngine, crop, read_boxes
from moyin.ocr.result import Pixels
from moyin.render.renderer import Renderer

COUNT = 16  # images unless told
SHOWN = ("original", "autoencoder", "decoder", "generator")  # from left to right
SIDE = 240  # pixels of each of them in the report
NOTE = (
    "Each row shows the original, its reconstruction, what is painted from true ids, and the "
    "whole chain's image, from left to right. The first gate, from the autoencoder on, that "
    "falls far below its ceiling names the network to look at."
)


def suite(size: int, count: int, options: Mapping[str, Any]) -> Suite:
    """Rendered images of one text each, with its caption as prompt. size: pixels a side; options:
    of the renderer (`Chain.renderer_options`)."""
    words, letters = (options.get(f"square_{name}", ()) for name in ("words", "letters"))
    longest = max((w * (n + 1) for w, n in zip(words, letters, strict=True)), default=4)
    render = Renderer.Config(
        size=size,
        characters=1000,
        fonts=(FONT,),
        prominent=1.0,
        prominent_characters=longest,
        **options,
        object_share=0.0,
        backgrounds={"flat": 1.0},
        phrasings="plain",
    ).build()
    return Suite(
        name="gates",
        items=tuple(_item(number, render(0, number)) for number in range(count)),
        scorer=scores.characters,
        headline="characters",
        look=boxed,
        perfect=lambda item: item.truth.image,
        note=NOTE,
    )


def _item(number: int, sample: Sample) -> Item:
    return Item(
        number=number,
        id=f"{number:03d}",
        prompt=sample.captions[0],
        texts=tuple(line.text for line in sample.lines),
        truth=sample,
    )


def boxed(engine: OCREngine, image_hwc: Pixels, item: Item) -> Found:
    """What stands at the known place of each line."""
    boxes = [line.box for line in item.truth.lines]
    said = [reading.text for reading in read_boxes(engine, image_hwc, boxes)]
    return Found(lines=tuple(text for text in said if text))


def judge(
    chain: Chain,
    engine: OCREngine,
    item: Item,
    shown: Mapping[str, Pixels],
    glyphs: Mapping[str, bool],
) -> Found:
    """How much of an item passes each gate. What the generator placed is read where it stands."""
    known = {
        gate: scores.characters.of([(item.texts, boxed(engine, shown[gate], item).lines)])
        for gate in ("autoencoder", "decoder")
    }
    box = foreground_box(shown["generator"])
    said = engine.recognise(crop(shown["generator"], box)).text if box else ""
    lines = (said,) if said else ()
    right = {gate: found["characters"] for gate, found in known.items()}
    right["generator"] = scores.characters.of([(item.texts, lines)])["characters"]
    characters = [c for text in item.texts for c in text if c in glyphs]
    if characters:
        right["glyph"] = sum(glyphs[c] for c in characters) / len(characters)
    if chain.layout:
        right["semantic"] = named(chain.layout, item.truth, chain.tokenized(item.truth.image))
    return Found(lines=lines, right=right, seen={k: f"{v:.0%}" for k, v in right.items()})


def named(layout: KnownTokens, sample: Sample, ids: Array) -> float:
    """The share of the true ids of text that the tokenizer names."""
    true = layout.ids(sample)
    text = true < layout.grounds
    return float((ids[text] == true[text]).mean()) if text.any() else 1.0


def ceiling(item: Item, lines: Sequence[str], glyphs: Mapping[str, bool], layout: bool) -> Found:
    """The best that each gate can reach: the text as it is read from the original."""
    read = scores.characters.of([(item.texts, lines)])["characters"]
    right = dict.fromkeys(("autoencoder", "decoder", "generator"), read)
    right |= {"glyph": 1.0} if any(c in glyphs for text in item.texts for c in text) else {}
    right |= {"semantic": 1.0} if layout else {}
    return Found(lines=tuple(lines), right=right)


def run(
    place: str | None,
    options: Options,
    limit: int | None,
    engine: OCREngine,
    out: Path,
    progress: Progress = no_progress,
) -> Path:
    """Lead `limit` images, 16 unless told, through the gates of a checkpoint, and report.

    Starts again with the next image where it stopped. Returns the path of report.json. Raises
    ValueError as `Chain.of` does.
    """
    pipeline = GlmImagePipeline.from_pretrained(place)
    chain = Chain.of(pipeline, options.settings(pipeline.defaults))
    gates = suite(chain.settings.height, limit or COUNT, chain.renderer_options)
    kept = Kept(out / "gates.jsonl")
    glyphs = glyph_retrieval(encoder_states(pipeline))
    judged, best = [], []

    def through(item: Item) -> None:
        seed = options.seed + item.number
        key = _key(chain, engine, item, "original")
        lines = kept(key, lambda: boxed(engine, item.truth.image, item)).lines
        key = _key(chain, engine, item, f"gates {seed}")
        found = kept(key, lambda: _led(chain, engine, item, seed, glyphs, out))
        top = ceiling(item, lines, glyphs, chain.layout is not None)
        judged.append(report.Judged(item=item, repeat=0, found=found))
        best.append(report.Judged(item=item, repeat=0, found=top))

    for number, item in enumerate(gates.items, 1):
        through(item)
        progress("gates", number, len(gates.items))
    facts: dict[str, Any] = {"n": len(judged), "prompts": len(judged), "seeds": 1}
    facts |= {"source": _facts(chain, glyphs, options.seed), "without_text": []}
    facts |= {"unwritten": "", "missing": [], "unreadable": {}}
    content = report.content(gates, engine.name, facts, judged, best, options.resamples)
    report.write(out, content)
    return out / "report.json"


def _led(
    chain: Chain,
    engine: OCREngine,
    item: Item,
    seed: int,
    glyphs: Mapping[str, bool],
    out: Path,
) -> Found:
    """Lead one image through, and keep what is behind each gate side by side."""
    sample: Sample = item.truth
    shown = {
        "original": sample.image,
        "autoencoder": chain.reconstructed(sample.image),
        "decoder": _fitted(chain.painted(chain.true_ids(sample), item.prompt, seed), sample),
        "generator": chain.generated(item.prompt, seed),
    }
    strip = np.concatenate([shown[gate] for gate in SHOWN], axis=1)
    image_files.save_thumbnail(strip, out / report.thumbnail(item, 0), len(SHOWN) * SIDE)
    return judge(chain, engine, item, shown, glyphs)


def _fitted(image_hwc: Pixels, sample: Sample) -> Pixels:
    """At the sample's size: a tokenizer's ids are of an image of 512 pixels at least."""
    side = len(sample.image)
    if len(image_hwc) == side:
        return image_hwc
    return np.array(Image.fromarray(image_hwc).resize((side, side), Image.Resampling.BICUBIC))


def _key(chain: Chain, engine: OCREngine, item: Item, what: str) -> str:
    asked = f"{chain.pipeline.digest} {chain.settings} {engine.name} {item.number} {item.prompt}"
    return hashlib.sha256(f"{what} {asked}".encode()).hexdigest()


def _facts(chain: Chain, glyphs: Mapping[str, bool], seed: int) -> dict[str, Any]:
    return {
        "checkpoint": chain.pipeline.digest,
        "settings": dataclasses.asdict(chain.settings),
        "seed": seed,
        "glyphs_found": round(sum(glyphs.values()) / len(glyphs), 6),
    }
