"""What a suite is: prompts, what their images must say, how these are read and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moyin.evaluate import reference_render
from moyin.ocr import scores
from moyin.ocr.detectors import foreground_box
from moyin.ocr.engine import OCREngine, read_character
from moyin.ocr.result import Pixels
from moyin.ocr.scores import Scorer, Scores, Sums

RIGHT, OF = " right", " of"  # of the keys under which parts that are right are summed


@dataclass(frozen=True, kw_only=True)
class Item:
    """One prompt.

    number: its place in the whole suite. texts: the strings to be written. asked: what the scorer
    takes for them, the same unless a benchmark's file says it otherwise. groups: those whose scores
    it counts in. stem: path, without suffix, at which the benchmark's own layout of folders has its
    image. truth: what else is known of it.
    """

    number: int
    id: str
    prompt: str
    texts: tuple[str, ...]
    asked: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    stem: str = ""
    truth: Any = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one image says, line by line; which other parts of it are as asked for, as shares in
    [0, 1]; and what is seen of these, in words."""

    lines: tuple[str, ...]
    right: Mapping[str, float] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)


Look = Callable[[OCREngine, Pixels, Item], Found]


@dataclass(frozen=True, kw_only=True)
class Suite:
    """scorer: of what was read, beside `scores.strict`. headline: the score by which images are
    ranked. repeats: images a prompt, unless told. perfect: a render of an item's texts by which
    the engine's ceiling is measured. reference: the image that an item's prompt edits, where it
    edits one. note: what a reader of the scores must know."""

    name: str
    items: tuple[Item, ...]
    scorer: Scorer
    headline: str
    look: Look
    perfect: Callable[[Item], Pixels]
    reference: Callable[[Item], Pixels] | None = None
    repeats: int = 1
    note: str = ""

    def some(self, limit: int | None) -> tuple[Item, ...]:
        """All items, or so many of them drawn by lot, the same on every run; a larger limit holds
        those of a smaller one."""
        chosen = np.random.default_rng(0).permutation(len(self.items))[:limit]
        return tuple(self.items[i] for i in sorted(chosen))

    def count(self, item: Item, found: Found) -> Sums:
        """The sums of one image."""
        parts = {name + RIGHT: share for name, share in found.right.items()}
        parts |= dict.fromkeys((name + OF for name in found.right), 1.0)
        asked = item.asked or item.texts
        own = self.scorer.count(asked, found.lines)
        return {**own, **scores.count_strictly(item.texts, found.lines), **parts}

    def total(self, sums: Mapping[str, float]) -> Scores:
        """The scores of any images' sums."""
        return total(self.scorer, sums)


def total(scorer: Scorer, sums: Mapping[str, float]) -> Scores:
    """All scores of a suite with this scorer: its own, the strict ones, and other parts."""
    names = [key.removesuffix(OF) for key in sums if key.endswith(OF)]
    parts = {n: scores.share(sums[n + RIGHT], sums[n + OF]) for n in names}
    return {**scorer.total(sums), **scores.total_strictly(sums), **parts}


def read_whole(engine: OCREngine, image_hwc: Pixels, item: Item) -> Found:
    """All lines that the engine finds."""
    return Found(lines=tuple(line.text for line in engine.read(image_hwc)))


def read_ink(engine: OCREngine, image_hwc: Pixels, item: Item) -> Found:
    """What stands out from the background, cut out and read: for single characters, which a search
    for lines passes over."""
    box = foreground_box(image_hwc)
    said = read_character(engine, image_hwc, box) if box else ""
    return Found(lines=(said,) if said else ())


def perfect_page(item: Item) -> Pixels:
    return reference_render.page(item.texts)


def perfect_character(item: Item) -> Pixels:
    return reference_render.character(item.texts[0])


def without_text(items: Sequence[Item]) -> list[str]:
    """The ids of prompts that ask for no text."""
    return [item.id for item in items if not any(text.strip() for text in item.texts)]
