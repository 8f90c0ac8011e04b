"""What a picture is called: several phrasings in Chinese and in English.

A caption names the background, then each line by its quoted text, often with its colour and place,
then the objects. What is written is always in quotes; no apostrophe stands outside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from moyin.data.assets import PHOTOGRAPHS
from moyin.data.colours import COLOURS
from moyin.data.phrasings import CHINESE_PHRASINGS as CHINESE_PHRASINGS  # the suite's
from moyin.data.phrasings import ENGLISH_PHRASINGS as ENGLISH_PHRASINGS
from moyin.data.phrasings import SETS, Phrasing
from moyin.data.places import CHINESE, ENGLISH
from moyin.data.sample import Line, Thing
from moyin.data.text import pick

QUOTES = ("''", "“”", '""', "「」")
NOUNS = {
    "en": ("poster", "poster", "card", "picture", "sign"),
    "zh": ("海报", "海报", "卡片", "图片"),
}
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
) -> tuple[str, ...]:
    """`each` captions in Chinese and as many in English, no two of the same phrasing, from one of
    the SETS of phrasings."""
    said = []
    for language, known in SETS[phrasings].items():
        for number in random.permutation(len(known))[:each]:
            told = _Told(language, known[number], random)
            said.append(told.caption(background, lines, things))
    return tuple(said)


class _Told:
    """One language and phrasing, with what is drawn by lot about them."""

    def __init__(self, language: str, phrasing: Phrasing, random: np.random.Generator) -> None:
        self.language, self.phrasing, self.random = language, phrasing, random
        self.places = CHINESE if language == "zh" else ENGLISH
        self.coloured, self.pair = random.random() < 0.8, pick(QUOTES, random)

    def caption(
        self, background: Mapping[str, str], lines: Sequence[Line], things: Sequence[Thing]
    ) -> str:
        phrasing = self.phrasing
        clauses = [*self._lines(lines, bool(things)), *map(self._thing, things)]
        told = phrasing.link.join(clauses[:-1]) + phrasing.last * (len(clauses) > 1) + clauses[-1]
        ground = self._ground(background)
        opening, end = (part.format(ground=ground) for part in (phrasing.opening, phrasing.end))
        # What follows a full stop begins a sentence.
        text = opening + (_capital(told) if opening.endswith(". ") else told) + end
        return _capital(text)

    def _lines(self, lines: Sequence[Line], things: bool) -> Iterator[str]:
        phrasing = self.phrasing
        alone = len(lines) == 1 and lines[0].place == "middle" and not things
        bare = alone and phrasing.bare and self.random.random() < 0.4
        for group in _grouped(lines) if phrasing.many else [[line] for line in lines]:
            form = phrasing.many if len(group) > 1 else phrasing.bare if bare else phrasing.line
            colour = phrasing.colour.format(colour=_colour(self.language, group[0].colour))
            yield form.format(
                quote=self._quoted([line.text for line in group]),
                place=pick(self.places[group[0].place], self.random),
                noun=_noun(self.language, group),
                coloured=colour if self.coloured else phrasing.plain,
            )

    def _thing(self, thing: Thing) -> str:
        name = thing.chinese if self.language == "zh" else thing.name
        return self.phrasing.thing.format(
            object=name, place=pick(self.places[thing.place], self.random)
        )

    def _ground(self, background: Mapping[str, str]) -> str:
        """The background with what it is the background of: "a red poster", "红色海报"."""
        known = NOUNS[self.language]
        noun = pick([noun for noun in known if noun not in self.phrasing.opening], self.random)
        return (_chinese if self.language == "zh" else _english)(background, noun)

    def _quoted(self, texts: Sequence[str]) -> str:
        """The texts in quotes, with the language's commas between."""
        quotes = [self.pair[0] + text + self.pair[1] for text in texts]
        comma, last = ("、", "和") if self.language == "zh" else (", ", " and ")
        return comma.join(quotes[:-1]) + last * (len(quotes) > 1) + quotes[-1]


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


def _noun(language: str, lines: Sequence[Line]) -> str:
    text = lines[0].text
    if lines[0].role:
        one, many, chinese = ROLES[lines[0].role]
        return chinese if language == "zh" else many if len(lines) > 1 else one
    if language == "zh":
        return "字" if len(text) == 1 else "文字"
    if len(text) == 1:
        return "character"
    if text.isdigit():
        return "number"
    return "word" if text.isalpha() and len(text) <= 10 else "text"


def _english(background: Mapping[str, str], noun: str) -> str:
    if background["kind"] == "photograph":
        shown = PHOTOGRAPHS[background["photograph"]].english
        return f"a {noun} on a photograph of {shown}"
    if background["kind"] == "gradient":
        return f"a {noun} with a gradient from {background['colour']} to {background['second']}"
    form = TEXTURES[background["texture"]][0] if background["kind"] == "texture" else "{}"
    said = form.format(background["colour"])
    return f"{'an' if said[0] in 'aeiou' else 'a'} {said} {noun}"


def _chinese(background: Mapping[str, str], noun: str) -> str:
    if background["kind"] == "photograph":
        return f"以{PHOTOGRAPHS[background['photograph']].chinese}照片为背景的{noun}"
    colour = _colour("zh", background["colour"])
    if background["kind"] == "gradient":
        return f"从{colour}渐变到{_colour('zh', background['second'])}的{noun}"
    form = TEXTURES[background["texture"]][1] if background["kind"] == "texture" else "{}"
    return form.format(colour) + noun
