"""nano-50: fifty fixed prompts of one to four characters, what each asks for, and its perfect
image. wording-50 asks for the same fifty in words that are kept out of all captions; lines-50, in
such words too, asks for five to eight Chinese characters, or two or three English words. brief-50
asks for texts of both kinds, for nothing else but in some their colour: as people do.

The texts are of the thousand most frequent Chinese characters and of plain English words. Nothing
is drawn by lot: colours, places and phrasings follow from a prompt's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from PIL import Image

from moyin.evaluate.task import Found, Item, Suite
from moyin.ocr import scores
from moyin.ocr.colours import COLOURS, RGB, readable
from moyin.ocr.detectors import DetectedText, detect_text
from moyin.ocr.engine import OCREngine
from moyin.ocr.places import CHINESE, ENGLISH, PLACES
from moyin.ocr.result import OCRLine, Pixels
from moyin.render import captions, fonts, places, squares
from moyin.render.phrasings import HELD_OUT, PLAIN, SETS, THEMES
from moyin.render.phrasings.phrasing import Phrasing
from moyin.render.text_shape import TextShape

T = TypeVar("T")

# By number of characters. I and O are left out: alone they are l and 0 as well.
TEXTS = {
    "zh": (
        ("和", "能", "文", "加", "至", "远", "兄"),
        ("部分", "世纪", "学校", "突然", "开发", "女人"),
        ("全世界", "直辖市", "有没有", "总产量", "经济学", "不得不"),
        ("自然资源", "经济特区", "成千上万", "自然科学", "千方百计", "现实主义"),
    ),
    "en": (
        ("A", "E", "G", "K", "N", "R", "S"),
        ("NO", "Go", "UP", "on", "WE", "My"),
        ("May", "ANT", "sea", "BUS", "Art", "TWO"),
        ("OPEN", "bird", "LONG", "Wise", "ROOF", "Show"),
    ),
}
LINES = {
    "zh": (
        (
            "请把门关上",
            "有话好好说",
            "世上无难事",
            "走自己的路",
            "我爱我的家",
            "国际电影展",
            "请排队上车",
        ),
        (
            "北京欢迎你们",
            "春天已经来了",
            "大家都来学习",
            "路上注意安全",
            "知识就是力量",
            "时间就是金钱",
        ),
        (
            "新的一年开始了",
            "每天进步一点点",
            "明天我们去公园",
            "为了更好的明天",
            "青年文化艺术节",
            "大家一起来运动",
        ),
        (
            "请不要在这里停车",
            "欢迎来到我们学校",
            "前方三百米有医院",
            "保护环境从我做起",
            "从这里走进大自然",
            "热爱祖国热爱人民",
        ),
    ),
    "en": (
        (
            "Good Luck",
            "Night Market",
            "OPEN LATE",
            "Blue Sky",
            "Free Coffee",
            "Save Water",
            "Hello World",
        ),
        ("Spring Sale", "Thank You", "BOOK FAIR", "Slow Down", "Summer Party", "Fresh Bread"),
        (
            "Keep Door Shut",
            "Have Some Fun",
            "WE ARE HERE",
            "Live Music Tonight",
            "Home Sweet Home",
            "Stop Look Listen",
        ),
        (
            "Best New Band",
            "Never Give Up",
            "MIND THE STEP",
            "Wash Your Hands",
            "Do Your Best",
            "Grand Opening Friday",
        ),
    ),
}
COUNT = 50
ANYWHERE = tuple(place for row in PLACES for place in row)
# Three characters and more have room to be large in the middle column alone.
MIDDLE_COLUMN = ("top", "middle", "bottom")

FONT, EM, MARGIN = "NotoSansSC-Bold", 200, 14 / 512  # of the perfect images
SQUARE = 96  # that a character of several lines gets
PERFECT = 512  # pixels a side of them
PARTS = ("background", "colour", "place")


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One prompt and what its image must show. background and colour are names of COLOURS, empty
    where any will do, place is one of the nine PLACES."""

    id: str
    prompt: str
    language: str
    text: str
    background: str
    colour: str
    place: str


def suite(name: str = "nano-50") -> Suite:
    """The fifty prompts with their texts, colours and places: nano-50, wording-50, lines-50 or
    brief-50."""
    known = {
        "nano-50": nano_50,
        "wording-50": wording_50,
        "lines-50": lines_50,
        "brief-50": brief_50,
    }
    return Suite(
        name=name,
        items=tuple(_item(number, one) for number, one in enumerate(known[name]())),
        scorer=scores.characters,
        headline="ordered_ned",
        look=_look,
        perfect=_perfect,
    )


def _look(engine: OCREngine, image_hwc: Pixels, item: Item) -> Found:
    return (_seen_in_lines if _long(item.truth) else seen)(engine, image_hwc, item)


def _perfect(item: Item) -> Pixels:
    if _long(item.truth):
        return in_squares(item.truth, PERFECT, SQUARE)
    return perfect(item.truth, PERFECT)


def _long(asked: Expectation) -> bool:
    """Whether the text may take several rows."""
    return len(asked.text) > 4


def _item(number: int, asked: Expectation) -> Item:
    language = {"zh": "Chinese", "en": "English"}[asked.language]
    words = " " in asked.text
    count = len(asked.text.split()) if words else len(asked.text)
    return Item(
        number=number,
        id=asked.id,
        prompt=asked.prompt,
        texts=(asked.text,),
        groups=(language, f"{count} {'word' if words else 'character'}{'s' if count > 1 else ''}"),
        truth=asked,
    )


def seen(engine: OCREngine, image_hwc: Pixels, item: Item) -> Found:
    """The one line of an image, cut out and read, its colours and its place."""
    return _found(detect_text(image_hwc, lambda crop: engine.recognise(crop).text), item)


def _seen_in_lines(engine: OCREngine, image_hwc: Pixels, item: Item) -> Found:
    """Its text is what is read line by line from the top, as engines without boxes do."""
    lines = sorted(
        engine.read(image_hwc),
        key=lambda line: line.box[1] + line.box[3] if isinstance(line, OCRLine) else 0,
    )
    text = ("" if item.truth.language == "zh" else " ").join(line.text for line in lines)
    return _found(detect_text(image_hwc, lambda crop: text), item)


def _found(seen: DetectedText, item: Item) -> Found:
    shown = {part: getattr(seen, part) for part in PARTS}
    return Found(
        lines=(seen.text,) if seen.text else (),
        right={part: float(shown[part] == told) for part, told in _told(item.truth)},
        seen=shown,
    )


def _told(asked: Expectation) -> list[tuple[str, str]]:
    parts = [(part, getattr(asked, part)) for part in PARTS]
    return [(part, value) for part, value in parts if value]


def nano_50() -> tuple[Expectation, ...]:
    """All fifty, Chinese and English in turn, their lengths going round."""
    return tuple(_expectation(number, PLAIN) for number in range(COUNT))


def wording_50() -> tuple[Expectation, ...]:
    """The same in held-out phrasings, those that say place and colour."""
    telling = _telling()
    return tuple(_expectation(number, telling) for number in range(COUNT))


def lines_50() -> tuple[Expectation, ...]:
    """Longer texts, in the phrasings of `wording_50`."""
    telling = _telling()
    return tuple(_expectation(number, telling, LINES) for number in range(COUNT))


def brief_50() -> tuple[Expectation, ...]:
    """Texts of `nano_50` and `lines_50` in turn, in held-out phrasings that leave the ground open
    and the place, which is the middle then, and two thirds of them the colour."""
    phrasings = SETS["brief-held-out"]
    coloured = {
        (language, wanted): [p for p in known if ("{coloured}" in p.line) == wanted]
        for language, known in phrasings.items()
        for wanted in (False, True)
    }
    return tuple(_brief(number, coloured) for number in range(COUNT))


def _brief(number: int, phrasings: Mapping[tuple[str, bool], Sequence[Phrasing]]) -> Expectation:
    n, language = number // 2, "zh" if number % 2 == 0 else "en"
    length, turn, told = n % 4, n // 4, n % 3 == 0
    known = phrasings[language, told]
    phrasing = pick(known, n // 3 if told else n - n // 3)
    theme = pick(THEMES[language], n)
    phrasing = replace(
        phrasing,
        opening=phrasing.opening.replace("{theme}", theme),
        end=phrasing.end.replace("{theme}", theme),
    )
    text = (TEXTS if turn % 2 == 0 else LINES)[language][length][turn]
    colour = pick(tuple(COLOURS), 3 * turn + length) if told else ""
    return Expectation(
        id=f"{number:02d}",
        prompt=_prompt(n, [phrasing], language, text, "white", colour or "black", "middle"),
        language=language,
        text=text,
        background="",
        colour=colour,
        place="middle",
    )


def _telling() -> dict[str, tuple[Phrasing, ...]]:
    # Of those kept out one is a plain one but for a noun.
    plain = {(p.opening, p.line) for known in PLAIN.values() for p in known}
    return {
        language: tuple(
            p
            for p in known
            if "{place}" in p.line and "{coloured}" in p.line
            if (p.opening, p.line.replace("{noun}", "文字")) not in plain
        )
        for language, known in HELD_OUT.items()
    }


def _expectation(
    number: int,
    phrasings: Mapping[str, Sequence[Phrasing]],
    texts: Mapping[str, Sequence[Sequence[str]]] = TEXTS,
) -> Expectation:
    n, language = number // 2, "zh" if number % 2 == 0 else "en"
    length, turn = n % 4, n // 4
    text = texts[language][length][turn]
    # Strides that walk through all colours and places within one length of one language.
    background = pick(tuple(COLOURS), 5 * length + 11 * turn + 3 * (number % 2))
    colour = pick(readable(background), 3 * turn + length + number % 2)
    free = ANYWHERE if len(text) < 3 else MIDDLE_COLUMN
    place = pick(free, 4 * (turn + 1) + 2 * length + 5 * (number % 2))
    return Expectation(
        id=f"{number:02d}",
        prompt=_prompt(n, phrasings[language], language, text, background, colour, place),
        language=language,
        text=text,
        background=background,
        colour=colour,
        place=place,
    )


def _prompt(
    n: int,
    phrasings: Sequence[Phrasing],
    language: str,
    text: str,
    background: str,
    colour: str,
    place: str,
) -> str:
    chinese = language == "zh"
    phrasing, pair = pick(phrasings, n), pick(captions.QUOTES, n)
    noun = pick(("海报", "卡片", "图片") if chinese else ("poster", "card", "sign"), n)
    names = {c.name: c.chinese + "色" if chinese else c.name for c in COLOURS.values()}
    ground = names[background] + noun if chinese else f"a {names[background]} {noun}"
    if ground.startswith("a orange"):
        ground = ground.replace("a ", "an ", 1)
    opening = phrasing.opening.format(ground=ground)
    line = phrasing.line.format(
        quote=pair[0] + text + pair[1],
        place=pick((CHINESE if chinese else ENGLISH)[place], n),
        noun=_noun(text, chinese),
        coloured=phrasing.colour.format(colour=names[colour]),
    )
    # What follows a full stop begins a sentence.
    told = opening + (line[0].upper() + line[1:] if opening.endswith(". ") else line)
    return told[0].upper() + told[1:] + phrasing.end.format(ground=ground)


def _noun(text: str, chinese: bool) -> str:
    if chinese:
        return "字" if len(text) == 1 else "文字"
    return "character" if len(text) == 1 else "text" if " " in text else "word"


def pick(items: Sequence[T], number: int) -> T:
    """The items in turn, round and round."""
    return items[number % len(items)]


def perfect(asked: Expectation, size: int) -> Pixels:
    """What is asked for, drawn with a font: uint8 [size, size, 3]."""
    image, rgb = _sheet(asked, size)
    largest = EM * size / 512
    shape = TextShape.of(asked.text, fonts.shipped()[FONT], largest)
    row, column = divmod(ANYWHERE.index(asked.place), 3)
    margin = MARGIN * size
    across = places.room(column, size, margin) / shape.ink.width
    down = places.room(row, size, margin) / shape.ink.height
    em = min(largest, 0.99 * shape.em * min(across, down))
    extent = shape.extent(em)
    corner = [
        round(_centre(third, length, size, margin) - length / 2)
        for third, length in ((column, extent[0]), (row, extent[1]))
    ]
    image.paste(rgb, (corner[0], corner[1]), shape.mask(em))
    return np.array(image)


def in_squares(asked: Expectation, size: int, square: int) -> Pixels:
    """What is asked for in squares of so many pixels of 512, broken into rows: uint8
    [size, size, 3]."""
    image, rgb = _sheet(asked, size)
    side = square * size // 512
    rows = squares.broken(asked.text, side, size)
    corner = places.row_in(
        divmod(ANYWHERE.index(asked.place), 3),
        squares.extent(asked.text, rows, side),
        size,
        1,
        np.random.default_rng(0),
        0.0,
    )
    assert corner is not None
    placed = squares.placed(asked.text, rows, fonts.shipped()[FONT], side, corner)
    image.paste(rgb, placed.corner, placed.ink)
    return np.array(image)


def _sheet(asked: Expectation, size: int) -> tuple[Image.Image, RGB]:
    """The ground, and the colour for the text; what is open goes well with what is not."""
    colour = asked.colour or readable(asked.background or "white")[0]
    background = asked.background or readable(colour)[0]
    return Image.new("RGB", (size, size), COLOURS[background].rgb), COLOURS[colour].rgb


def _centre(third: int, length: int, size: int, margin: float) -> float:
    """The middle of the range that keeps the text in its third and in the image."""
    span = places.span(length, third, size, margin)
    assert span is not None
    return sum(span) / 2
