"""What an image is called: several phrasings in Chinese and in English.

A caption names the background, then each line by its quoted text, often with its colour and place,
then the objects. What is written is always in quotes; no apostrophe stands outside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from moyin.dataset.sample import Line, Thing
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
FLAT_NOUNS = {  # of plain grounds, besides
    "en": ("a picture with a {} background", "a poster on a {} ground", "a {} background"),
    "zh": ("{}背景的图片", "{}底的海报", "背景是{}的图片"),
}
WORDS = {  # what a text without a role is called
    "letter": ("letter", "letter", "capital"),
    "sign": ("character", "character", "sign", "single character"),
    "number": ("number", "number", "figure"),
    "word": ("word", "word", "text", "single word", "lettering"),
    "text": ("text", "text", "lettering", "inscription"),
    "汉字": ("字", "字", "汉字", "单字", "大字"),
    "一字": ("字", "字", "字样"),
    "文字": ("文字", "文字", "字样", "字", "大字"),
}
FILLERS = {  # said of a text without a role, before its colour or its name: any, one that is large
    "en": (("", "", "", "simple ", "plain "), ("large ", "big ", "huge ")),
    "zh": (("", "", "", "一个", "几个"), ("大大的", "巨大的", "一个大大的", "特别大的")),
}
LARGE = 1 / 7  # of an image's side: the height of text from which on it may be called so
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
LOOKS = {
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
    things: Sequence[Thing],
    each: int,
    random: np.random.Generator,
    phrasings: str = "seen",
    layout: str = FREE,
    size: int = 512,
) -> tuple[str, ...]:
    """`each` captions in Chinese and as many in English, no two of the same phrasing, from one of
    the SETS of phrasings: of free lines, one that says their places, but of a lone one in the
    middle. size: of the image, in the pixels of the boxes."""
    said, placed = [], layout != FREE or _amid(lines, things)
    for language, every in SETS[phrasings].items():
        known = [phrasing for phrasing in every if placed or phrasing.placing]
        for number in random.permutation(len(known))[:each]:
            told = _Told(language, known[number], layout, size, random)
            said.append(told.caption(background, lines, things))
    return tuple(said)


class _Told:
    """One language, phrasing and layout, with what is drawn by lot about them."""

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
        self, background: Mapping[str, str], lines: Sequence[Line], things: Sequence[Thing]
    ) -> str:
        phrasing = self.phrasing
        amid = _amid(lines, things)
        clauses = [*self._lines(lines, amid), *map(self._thing, things)]
        told = phrasing.link.join(clauses[:-1]) + phrasing.last * (len(clauses) > 1) + clauses[-1]
        ground = self._ground(background)
        sheet = re.sub("^an? ", "", ground)
        theme = pick(THEMES[self.language], self.random)
        opening, end = (
            part.format(ground=ground, sheet=sheet, theme=theme)
            for part in (phrasing.opening, phrasing.end)
        )
        # What follows a full stop begins a sentence.
        text = opening + (_capital(told) if opening.endswith(". ") else told) + end
        if self.layout:
            text = text.replace("一张", self.layout.measure, 1) + self._detail(text, lines)
        return _capital(text)

    def _detail(self, text: str, lines: Sequence[Line]) -> str:
        """Now and then a sentence more about how the largest text is drawn."""
        largest = max(lines, key=lambda line: (line.box[3] - line.box[1]) * len(line.text))
        known = [LOOKS[name] for name in (style(largest.font), *largest.effects) if name]
        known += [LOOKS["vertical"]] if largest.vertical else []
        if not known or self.random.random() < 0.5:
            return ""
        chinese = self.language == "zh"
        looks = ("，" if chinese else ", ").join(look[chinese] for look in known)
        stop = "" if text[-1] in ".。" else "。" if chinese else "."
        return stop + pick(DETAILS[self.language], self.random).format(looks)

    def _lines(self, lines: Sequence[Line], amid: bool) -> Iterator[str]:
        phrasing = self.phrasing
        bare = amid and phrasing.bare and self.random.random() < 0.4
        for group in _grouped(lines) if phrasing.many else [[line] for line in lines]:
            form = phrasing.many if len(group) > 1 else phrasing.bare if bare else phrasing.line
            colour = phrasing.colour.format(colour=_colour(self.language, group[0].colour))
            if "{noun}" in form:
                form = self._filled(form, group)
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

    def _filled(self, form: str, group: Sequence[Line]) -> str:
        """With a word more before "{noun}", or before the colour that stands before it."""
        text, chinese = group[0].text, self.language == "zh"
        if group[0].role:
            return form
        neutral, large = FILLERS[self.language]
        known = (*neutral, *large) if self._large(group[0]) else neutral
        # One character is not several, several are not one.
        wrong = "几个" if len(text) == 1 else "一个"
        word = pick([word for word in known if wrong not in word], self.random)
        if chinese:
            at = "{coloured}{noun}" if "{coloured}{noun}" in form else "{noun}"
            return form.replace(at, word + at)
        if "{coloured} {noun}" in form:
            return form.replace("{coloured} {noun}", f" {word}".rstrip() + "{coloured} {noun}")
        return form.replace("{noun}", word + "{noun}")

    def _large(self, line: Line) -> bool:
        return line.box[3] - line.box[1] > LARGE * self.size

    def _thing(self, thing: Thing) -> str:
        name = thing.chinese if self.language == "zh" else thing.name
        return self.phrasing.thing.format(
            object=name, place=pick(self.places[thing.place], self.random)
        )

    def _ground(self, background: Mapping[str, str]) -> str:
        """The background with what it is the background of: "a red poster", "红色海报"."""
        chinese = self.language == "zh"
        known: Sequence[str] = NOUNS[self.language]
        if background["kind"] == "flat":
            known = (*known, *FLAT_NOUNS[self.language])
        if self.layout:
            known = self.layout.chinese if chinese else self.layout.english
        # Not "an image of an image".
        shown = [word for word in ("picture", "图片") if word in self.phrasing.opening]
        fresh = [form for form in known if not any(word in form for word in shown)]
        form = pick(fresh or known, self.random)
        return (_chinese if chinese else _english)(background, form)

    def _quoted(self, texts: Sequence[str]) -> str:
        """The texts in quotes, with the language's commas between."""
        quotes = [self.pair[0] + text + self.pair[1] for text in texts]
        comma, last = ("、", "和") if self.language == "zh" else (", ", " and ")
        return comma.join(quotes[:-1]) + last * (len(quotes) > 1) + quotes[-1]


def _amid(lines: Sequence[Line], things: Sequence[Thing]) -> bool:
    """Whether there is one line and no more, in the middle: where it stands may be left unsaid."""
    return len(lines) == 1 and lines[0].place == "middle" and not things


def _grouped(lines: Sequence[Line]) -> list[list[Line]]:
    """Neighbours that have role, colour and place in common are said at once."""
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
        said = form.format("") + f" on a photograph of {shown}"
    elif background["kind"] == "gradient":
        ends = f"from {background['colour']} to {background['second']}"
        said = form.format("") + f" with a gradient {ends}"
    else:
        texture = background.get("texture")
        said = form.format((TEXTURES[texture][0] if texture else "{}").format(background["colour"]))
    if "surface" in background:
        said += f" against {PHOTOGRAPHS[background['surface']].english}"
    elif "behind" in background:
        said += f" on a {background['behind']} background"
    return re.sub(r"\ba (?=[aeiou])", "an ", said.replace("  ", " "))


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
