"""Captions of rendered images, from templates in Chinese and English (`phrasings`).

A caption names the background, then each text in quotes, often with its colour and place, then the
objects. Text of the image is always in quotes; there are no apostrophes outside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from moyin.dataset.sample import DrawnObject, Line
from moyin.ocr.colours import COLOURS
from moyin.ocr.places import CHINESE, ENGLISH
from moyin.render.assets import PHOTOGRAPHS
from moyin.render.fonts import style
from moyin.render.layouts import FREE, shipped
from moyin.render.phrasings import SETS, THEMES
from moyin.render.phrasings.phrasing import Phrasing
from moyin.render.text import pick

QUOTES = ("''", "“”", '""', "「」")
NOUNS = {
    "en": ("a {} poster", "a {} poster", "a {} card", "a {} picture", "a {} sign"),
    "zh": ("{}海报", "{}海报", "{}卡片", "{}图片"),
}
FLAT_NOUNS = {  # more nouns for flat backgrounds
    "en": ("a picture with a {} background", "a poster on a {} ground", "a {} background"),
    "zh": ("{}背景的图片", "{}底的海报", "背景是{}的图片"),
}
WORDS = {  # nouns for a text without a role
    "letter": ("letter", "letter", "capital"),
    "sign": ("character", "character", "sign", "single character"),
    "number": ("number", "number", "figure"),
    "word": ("word", "word", "text", "single word", "lettering"),
    "text": ("text", "text", "lettering", "inscription"),
    "汉字": ("字", "字", "汉字", "单字", "大字"),
    "一字": ("字", "字", "字样"),
    "文字": ("文字", "文字", "字样", "字", "大字"),
}
FILLERS = {  # words before the colour or noun of a text without a role: for any, for a large one
    "en": (("", "", "", "simple ", "plain "), ("large ", "big ", "huge ")),
    "zh": (("", "", "", "一个", "几个"), ("大大的", "巨大的", "一个大大的", "特别大的")),
}
LARGE = 1 / 7  # share of the image's side above which a text's height may be called large
ROLES = {
    "title": ("title", "titles", "标题"),
    "subtitle": ("subtitle", "subtitles", "副标题"),
    "name": ("name", "names", "名字"),
    "item": ("line", "lines", "条目"),
    "price": ("price", "prices", "价格"),
    "date": ("date", "dates", "日期"),
    "number": ("number", "numbers", "号码"),
    "note": ("small print", "small print", "小字"),
    "message": ("message", "messages", "消息"),
    "place": ("place name", "place names", "地名"),
    "verse": ("verse", "verses", "联语"),
    "scroll": ("horizontal scroll", "horizontal scrolls", "横批"),
    "author": ("author", "authors", "作者"),
}
STYLES = {
    "hei": ("in a sans-serif face", "黑体"),
    "song": ("in a serif face", "宋体"),
    "kai": ("in a regular script face", "楷体"),
    "brush": ("in brush script", "毛笔字体"),
    "rounded": ("in a rounded face", "圆体"),
    "outline": ("with an outline", "带描边"),
    "shadow": ("with a drop shadow", "带阴影"),
    "gradient": ("filled with a gradient", "渐变填充"),
    "turn": ("at a slant", "略微倾斜"),
    "arch": ("along an arc", "沿弧线排列"),
    "vertical": ("from top to bottom", "竖排"),
}
DETAILS = {
    "en": (
        " The largest text is set {}.",
        " The main lettering is {}.",
        " The most prominent text is drawn {}.",
    ),
    "zh": ("最大的文字：{}。", "主要文字是{}。", "其中最醒目的文字为{}。"),
}
TEXTURES = {
    "stripes": ("striped {}", "{}条纹"),
    "noise": ("grainy {}", "{}颗粒质感"),
    "paper": ("{} paper", "{}纸纹"),
    "dots": ("dotted {}", "{}圆点"),
}


def captions(
    background: Mapping[str, str],
    lines: Sequence[Line],
    objects: Sequence[DrawnObject],
    each: int,
    random: np.random.Generator,
    phrasings: str = "seen",
    layout: str = FREE,
    size: int = 512,
) -> tuple[str, ...]:
    """`each` captions in Chinese and as many in English, each from a different phrasing.

    phrasings: name of a set in SETS. Captions of freely placed lines name the places, except that
    of a single line in the middle. size: of the image, in pixels.
    """
    results, place_optional = [], layout != FREE or _single_in_middle(lines, objects)
    for language, every in SETS[phrasings].items():
        usable = [phrasing for phrasing in every if place_optional or phrasing.placing]
        for number in random.permutation(len(usable))[:each]:
            writer = _CaptionWriter(language, usable[number], layout, size, random)
            results.append(writer.caption(background, lines, objects))
    return tuple(results)


class _CaptionWriter:
    """Writes captions in one language, phrasing and layout, with random details."""

    def __init__(
        self,
        language: str,
        phrasing: Phrasing,
        layout: str,
        size: int,
        random: np.random.Generator,
    ) -> None:
        self.language, self.phrasing, self.size, self.random = language, phrasing, size, random
        self.layout = None if layout == FREE else shipped()[layout]
        self.places = CHINESE if language == "zh" else ENGLISH
        self.coloured, self.pair = random.random() < 0.8, pick(QUOTES, random)

    def caption(
        self, background: Mapping[str, str], lines: Sequence[Line], objects: Sequence[DrawnObject]
    ) -> str:
        phrasing = self.phrasing
        alone = _single_in_middle(lines, objects)
        clauses = [*self._lines(lines, alone), *map(self._object, objects)]
        body = phrasing.link.join(clauses[:-1]) + phrasing.last * (len(clauses) > 1) + clauses[-1]
        ground = self._background(background)
        sheet = re.sub("^an? ", "", ground)
        theme = pick(THEMES[self.language], self.random)
        opening, end = (
            part.format(ground=ground, sheet=sheet, theme=theme)
            for part in (phrasing.opening, phrasing.end)
        )
        # A sentence begins after a full stop.
        text = opening + (_capital(body) if opening.endswith(". ") else body) + end
        if self.layout:
            text = text.replace("一张", self.layout.measure, 1) + self._detail(text, lines)
        return _capital(text)

    def _detail(self, text: str, lines: Sequence[Line]) -> str:
        """In half of the captions, a sentence about the style of the largest text."""
        largest = max(lines, key=lambda line: (line.box[3] - line.box[1]) * len(line.text))
        styles = [STYLES[name] for name in (style(largest.font), *largest.effects) if name]
        styles += [STYLES["vertical"]] if largest.vertical else []
        if not styles or self.random.random() < 0.5:
            return ""
        chinese = self.language == "zh"
        listed = ("，" if chinese else ", ").join(names[chinese] for names in styles)
        stop = "" if text[-1] in ".。" else "。" if chinese else "."
        return stop + pick(DETAILS[self.language], self.random).format(listed)

    def _lines(self, lines: Sequence[Line], alone: bool) -> Iterator[str]:
        phrasing = self.phrasing
        bare = alone and phrasing.bare and self.random.random() < 0.4
        for group in _groups(lines) if phrasing.many else [[line] for line in lines]:
            form = phrasing.many if len(group) > 1 else phrasing.bare if bare else phrasing.line
            colour = phrasing.colour.format(colour=_colour(self.language, group[0].colour))
            if "{noun}" in form:
                form = self._with_filler(form, group)
            coloured = colour if self.coloured else phrasing.plain
            if "{size}" in form:
                sizes = ("", " big", " large") if self._large(group[0]) else ("",)
                form = form.replace("{size}", pick(sizes, self.random))
            if re.match(" [aeiou]", coloured):
                form = re.sub(r"\ba{coloured}", "an{coloured}", form)
            place = pick(self.places[group[0].place], self.random)
            yield form.format(
                quote=self._quoted([line.text for line in group]),
                place=place,
                spot=re.sub("^(at|in|on) the ", "", place),
                noun=_noun(self.language, group, self.random),
                coloured=coloured,
            )

    def _with_filler(self, form: str, group: Sequence[Line]) -> str:
        """The form with a filler word before "{noun}", or before the colour in front of it."""
        text, chinese = group[0].text, self.language == "zh"
        if group[0].role:
            return form
        neutral, large = FILLERS[self.language]
        fillers = (*neutral, *large) if self._large(group[0]) else neutral
        # 几个 means several and 一个 means one: the number must be right.
        wrong = "几个" if len(text) == 1 else "一个"
        word = pick([word for word in fillers if wrong not in word], self.random)
        if chinese:
            at = "{coloured}{noun}" if "{coloured}{noun}" in form else "{noun}"
            return form.replace(at, word + at)
        if "{coloured} {noun}" in form:
            return form.replace("{coloured} {noun}", f" {word}".rstrip() + "{coloured} {noun}")
        return form.replace("{noun}", word + "{noun}")

    def _large(self, line: Line) -> bool:
        return line.box[3] - line.box[1] > LARGE * self.size

    def _object(self, drawn: DrawnObject) -> str:
        name = drawn.chinese if self.language == "zh" else drawn.name
        return self.phrasing.thing.format(
            object=name, place=pick(self.places[drawn.place], self.random)
        )

    def _background(self, background: Mapping[str, str]) -> str:
        """The background and the kind of image: "a red poster", "红色海报"."""
        chinese = self.language == "zh"
        forms: Sequence[str] = NOUNS[self.language]
        if background["kind"] == "flat":
            forms = (*forms, *FLAT_NOUNS[self.language])
        if self.layout:
            forms = self.layout.chinese if chinese else self.layout.english
        # Avoids "a picture of a picture".
        used = [word for word in ("picture", "图片") if word in self.phrasing.opening]
        unused = [form for form in forms if not any(word in form for word in used)]
        form = pick(unused or forms, self.random)
        return (_chinese if chinese else _english)(background, form)

    def _quoted(self, texts: Sequence[str]) -> str:
        """The texts in quotes, joined by the language's commas."""
        quotes = [self.pair[0] + text + self.pair[1] for text in texts]
        comma, last = ("、", "和") if self.language == "zh" else (", ", " and ")
        return comma.join(quotes[:-1]) + last * (len(quotes) > 1) + quotes[-1]


def _single_in_middle(lines: Sequence[Line], objects: Sequence[DrawnObject]) -> bool:
    """Whether the image has one line in the middle and nothing else, so the place is optional."""
    return len(lines) == 1 and lines[0].place == "middle" and not objects


def _groups(lines: Sequence[Line]) -> list[list[Line]]:
    """Runs of lines with the same role, colour and place, which one clause names together."""
    return [
        list(group)
        for _, group in groupby(
            lines, lambda line: (line.role or id(line), line.colour, line.place)
        )
    ]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _colour(language: str, name: str) -> str:
    return COLOURS[name].chinese + "色" if language == "zh" else name


def _noun(language: str, lines: Sequence[Line], random: np.random.Generator) -> str:
    text = lines[0].text
    if lines[0].role:
        one, many, chinese = ROLES[lines[0].role]
        return chinese if language == "zh" else many if len(lines) > 1 else one
    return pick(WORDS[(_chinese_kind if language == "zh" else _english_kind)(text)], random)


def _chinese_kind(text: str) -> str:
    if len(text) > 1:
        return "文字"
    return "一字" if text.isascii() else "汉字"


def _english_kind(text: str) -> str:
    if text.isdigit():
        return "number" if len(text) > 1 else "sign"
    if len(text) == 1:
        return "letter" if text.isascii() and text.isupper() else "sign"
    return "word" if text.isalpha() and len(text) <= 10 else "text"


def _english(background: Mapping[str, str], form: str) -> str:
    if background["kind"] == "photograph":
        shown = PHOTOGRAPHS[background["photograph"]].english
        text = form.format("") + f" on a photograph of {shown}"
    elif background["kind"] == "gradient":
        ends = f"from {background['colour']} to {background['second']}"
        text = form.format("") + f" with a gradient {ends}"
    else:
        texture = background.get("texture")
        text = form.format((TEXTURES[texture][0] if texture else "{}").format(background["colour"]))
    if "surface" in background:
        text += f" against {PHOTOGRAPHS[background['surface']].english}"
    elif "behind" in background:
        text += f" on a {background['behind']} background"
    return re.sub(r"\ba (?=[aeiou])", "an ", text.replace("  ", " "))


def _chinese(background: Mapping[str, str], form: str) -> str:
    around = ""
    if "surface" in background:
        around = f"{PHOTOGRAPHS[background['surface']].chinese}前的"
    elif "behind" in background:
        around = f"{_colour('zh', background['behind'])}背景上的"
    if background["kind"] == "photograph":
        shown = PHOTOGRAPHS[background["photograph"]].chinese
        return around + f"以{shown}照片为背景的" + form.format("")
    colour = _colour("zh", background["colour"])
    if background["kind"] == "gradient":
        second = _colour("zh", background["second"])
        return around + f"从{colour}渐变到{second}的" + form.format("")
    texture = background.get("texture")
    return around + form.format((TEXTURES[texture][1] if texture else "{}").format(colour))
