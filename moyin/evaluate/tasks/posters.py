"""posters: images with one to three lines, each in a place and colour, and sometimes an object.

All of it is told by the prompt, so all of it can be checked: the background's colour; of each line
the text, its place and its colour; whether something that is no text stands where the object
belongs (what it is, no offline judge knows); how many separate things there are. Nothing is drawn
by lot: everything follows from a prompt's number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from moyin.evaluate.task import Found, Item, Suite
from moyin.ocr import detectors, scores
from moyin.ocr.colours import COLOURS, readable
from moyin.ocr.engine import OCREngine
from moyin.ocr.places import CHINESE, ENGLISH, PLACES, place_of
from moyin.ocr.result import OCRLine, OCRResult, Pixels
from moyin.render import assets, fonts
from moyin.render.text_shape import TextShape

T = TypeVar("T")

COUNT, SIDE = 48, 512  # prompts; pixels of the perfect images
FONT, EM, MARGIN, OBJECT = "NotoSansSC-Bold", 72, 16, 128
NEAR = 0.5  # a line is one asked for from this share of characters on, in order
# Places of lines and of the object in a layout: none beside another.
LAYOUTS = (
    (("middle",), "bottom right"),
    (("top", "bottom"), "middle"),
    (("top", "middle", "bottom"), ""),
    (("top",), "bottom left"),
    (("middle", "bottom"), "top right"),
    (("bottom",), "top"),
)
TEXTS = {
    "zh": (
        ("春天来了", "新书上市", "免费试听", "早安北京", "欢迎光临", "今日特价"),
        ("全场八折", "周末有雨", "小心地滑", "请勿拍照", "限时优惠", "下午三点"),
        ("感谢支持", "注意安全", "明天见", "扫码报名", "三号车站", "一路平安"),
    ),
    "en": (
        ("SPRING", "New Books", "FREE TEA", "Morning", "Welcome", "TODAY"),
        ("Half Price", "OPEN LATE", "Weekend", "Exit Left", "SUMMER", "Room 12"),
        ("Thank You", "MUSIC", "Be Kind", "Tickets", "PLATFORM 3", "Safe Trip"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Poster:
    """What one image must show. background, colours: names of COLOURS. texts, colours, spots: of
    each line. thing: number of the object among the shipped ones, or None, and its spot."""

    background: str
    texts: tuple[str, ...]
    colours: tuple[str, ...]
    spots: tuple[str, ...]
    thing: int | None
    thing_spot: str


def suite() -> Suite:
    """All 48, Chinese and English in turn."""
    return Suite(
        name="posters",
        items=tuple(_item(number) for number in range(COUNT)),
        scorer=scores.characters,
        headline="ordered_ned",
        look=look,
        perfect=lambda item: perfect(item.truth),
    )


def _item(number: int) -> Item:
    n, chinese = number // 2, number % 2 == 0
    spots, thing_spot = _pick(LAYOUTS, n)
    background = _pick(tuple(COLOURS), 5 * n + number % 2)
    colours = readable(background)
    texts = TEXTS["zh" if chinese else "en"]
    poster = Poster(
        background=background,
        texts=tuple(_pick(texts[i], n + n // 6) for i in range(len(spots))),
        colours=tuple(_pick(colours, n + 2 * i) for i in range(len(spots))),
        spots=spots,
        # Half of the layouts show one where they have a place for it.
        thing=(37 * n) % len(assets.object_names()) if thing_spot and n // 2 % 2 else None,
        thing_spot=thing_spot,
    )
    return Item(
        number=number,
        id=f"{number:02d}",
        prompt=_chinese(poster) if chinese else _english(poster),
        texts=poster.texts,
        groups=("Chinese" if chinese else "English", _lines(len(spots))),
        truth=poster,
    )


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _chinese(poster: Poster) -> str:
    parts = [
        f"{CHINESE[spot][0]}用{COLOURS[colour].chinese}色写着“{text}”"
        for text, colour, spot in zip(poster.texts, poster.colours, poster.spots, strict=True)
    ]
    if poster.thing is not None:
        thing = assets.object_names()[poster.thing].chinese
        parts.append(f"{CHINESE[poster.thing_spot][0]}画着{thing}")
    return f"一张纯{COLOURS[poster.background].chinese}色背景的海报，{'，'.join(parts)}"


def _english(poster: Poster) -> str:
    parts = [
        f'"{text}" in {colour} {ENGLISH[spot][0]}'
        for text, colour, spot in zip(poster.texts, poster.colours, poster.spots, strict=True)
    ]
    if poster.thing is not None:
        thing = assets.object_names()[poster.thing].english
        parts.append(f"{thing} {ENGLISH[poster.thing_spot][0]}")
    article = "An" if poster.background[0] in "aeiou" else "A"
    return f"{article} {poster.background} poster, plain background, with {', '.join(parts)}"


def _pick(items: Sequence[T], number: int) -> T:
    return items[number % len(items)]


def perfect(poster: Poster) -> Pixels:
    """What is asked for, drawn with a font: uint8 [512, 512, 3]."""
    image = Image.new("RGB", (SIDE, SIDE), COLOURS[poster.background].rgb)
    font = fonts.shipped()[FONT]
    for text, colour, spot in zip(poster.texts, poster.colours, poster.spots, strict=True):
        shape = TextShape.of(text, font, EM)
        corner = _corner(spot, shape.extent(EM))
        image.paste(COLOURS[colour].rgb, corner, shape.mask(EM))
    if poster.thing is not None:
        size = (OBJECT, OBJECT)
        thing = assets.object_image(poster.thing).resize(size, Image.Resampling.BICUBIC)
        image.paste(thing, _corner(poster.thing_spot, size), thing)
    return np.array(image)


def _corner(spot: str, extent: tuple[int, int]) -> tuple[int, int]:
    """Left and top: the centre in the middle of the spot, but inside the image."""
    number = [place for row in PLACES for place in row].index(spot)
    left, top = (
        round(min(max((2 * third + 1) * SIDE / 6 - length / 2, MARGIN), SIDE - MARGIN - length))
        for third, length in zip((number % 3, number // 3), extent, strict=True)
    )
    return left, top


def look(engine: OCREngine, image_hwc: Pixels, item: Item) -> Found:
    """Read the whole image, and check every part of it.

    Raises ValueError for an engine that gives no boxes.
    """
    poster: Poster = item.truth
    lines = _boxed(engine.read(image_hwc))
    ground = detectors.border_colour(image_hwc)
    matched = match(poster.texts, lines)
    high, wide = image_hwc.shape[:2]
    colours = ["" if m is None else detectors.colour_in(image_hwc, m.box, ground) for m in matched]
    spots = ["" if m is None else place_of(m.box, high, wide) for m in matched]
    boxes = detectors.regions(image_hwc)
    others = [b for b in boxes if not any(_overlap(b, line.box) for line in lines)]
    right = {
        "background": float(detectors.colour_name(ground) == poster.background),
        "colour": _share(colours, poster.colours),
        "place": _share(spots, poster.spots),
        "regions": float(len(boxes) == len(poster.texts) + (poster.thing is not None)),
    }
    if poster.thing is not None:
        right["object"] = float(poster.thing_spot in [place_of(b, high, wide) for b in others])
    seen = {
        "background": detectors.colour_name(ground),
        "colour": ", ".join(c or "none" for c in colours),
        "place": ", ".join(s or "none" for s in spots),
        "regions": str(len(boxes)),
    }
    return Found(lines=tuple(line.text for line in lines), right=right, seen=seen)


def match(texts: Sequence[str], lines: Sequence[OCRLine]) -> list[OCRLine | None]:
    """For each text the line that says it, each line used once, the closest pairs first; None
    where no line is near."""
    pairs = sorted(
        (
            (scores.ned(text, line.text), -t, -n)
            for t, text in enumerate(texts)
            for n, line in enumerate(lines)
        ),
        reverse=True,
    )
    found: list[OCRLine | None] = [None] * len(texts)
    used: set[int] = set()
    for near, t, n in pairs:
        if near >= NEAR and found[-t] is None and -n not in used:
            found[-t] = lines[-n]
            used.add(-n)
    return found


def _boxed(readings: Sequence[OCRResult]) -> list[OCRLine]:
    lines = [line for line in readings if isinstance(line, OCRLine)]
    if len(lines) < len(readings):
        raise ValueError("posters needs an engine that says where a line is: take another")
    return lines


def _share(found: Sequence[str], asked: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(found, asked, strict=True)) / len(asked)


def _overlap(first: Sequence[float], second: Sequence[float]) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )
