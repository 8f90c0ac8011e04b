"""What a picture is called: several phrasings in Chinese and in English.

A caption names the background, then each line by its quoted text with its colour and place, then
the objects. What is written is always in quotes; no apostrophe stands outside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moyin.data.assets import PHOTOGRAPHS
from moyin.data.colours import COLOURS
from moyin.data.places import CHINESE, ENGLISH
from moyin.data.sample import Line, Thing
from moyin.data.text import pick

QUOTES = ("''", "“”", '""', "「」")


@dataclass(frozen=True, kw_only=True)
class Phrasing:
    """One way to say it.

    `line` may use {quote}, {place}, {noun} and {coloured}, which is `colour` filled in, or
    `plain` where the colour is left unsaid. `bare` says a lone line in the middle without its
    place; empty where the phrasing needs the place.
    """

    opening: str
    line: str
    thing: str
    colour: str
    plain: str = ""
    bare: str = ""
    link: str = ", "
    last: str = " and "
    end: str = ""


ENGLISH_PHRASINGS = (
    Phrasing(
        opening="{ground} with ",
        line="the {noun} {quote}{coloured} {place}",
        bare="the {noun} {quote}{coloured}",
        thing="{object} {place}",
        colour=" in {colour}",
    ),
    Phrasing(
        opening="{ground}. ",
        line="{quote} is written{coloured} {place}",
        thing="{object} is {place}",
        colour=" in {colour} letters",
        link="; ",
        last="; ",
        end=".",
    ),
    Phrasing(
        opening="design {ground} that says ",
        line="{quote}{coloured} {place}",
        bare="{quote}{coloured}",
        thing="and shows {object} {place}",
        colour=" in {colour}",
        last=", ",
        end=".",
    ),
    Phrasing(
        opening="{ground} showing ",
        line="the{coloured} {noun} {quote} {place}",
        bare="the{coloured} {noun} {quote}",
        thing="{object} {place}",
        colour=" {colour}",
    ),
    Phrasing(
        opening="text on {ground}: ",
        line="{place}, {quote}{coloured}",
        bare="{quote}{coloured}",
        thing="{place}, {object}",
        colour=" in {colour}",
        link="; ",
        last="; ",
    ),
    Phrasing(
        opening="{ground}, where ",
        line="the{coloured} {noun} {place} reads {quote}",
        thing="{object} can be seen {place}",
        colour=" {colour}",
        end=".",
    ),
    Phrasing(
        opening="please make {ground} and write ",
        line="{quote}{coloured} {place}",
        bare="{quote}{coloured}",
        thing="put {object} {place}",
        colour=" in {colour}",
        last=", and ",
        end=".",
    ),
)
CHINESE_PHRASINGS = (
    Phrasing(
        opening="一张{ground}，",
        line="{place}{coloured}写着{quote}",
        bare="{coloured}写着{quote}",
        thing="{place}有{object}",
        colour="用{colour}",
        link="，",
        last="，",
    ),
    Phrasing(
        opening="{ground}，",
        line="{coloured}文字{quote}在{place}",
        bare="{coloured}文字{quote}",
        thing="{object}在{place}",
        colour="{colour}",
        link="，",
        last="，",
        end="。",
    ),
    Phrasing(
        opening="画一张{ground}，",
        line="在{place}写上{coloured}{quote}",
        bare="写上{coloured}{quote}",
        thing="{place}画{object}",
        colour="{colour}的",
        link="，",
        last="，",
        end="。",
    ),
    Phrasing(
        opening="设计一张{ground}，",
        line="{place}是{coloured}{quote}",
        thing="{place}是{object}",
        colour="{colour}的",
        link="，",
        last="，",
    ),
    Phrasing(
        opening="一张{ground}，",
        line="{coloured}{noun}{quote}位于{place}",
        thing="{object}位于{place}",
        colour="{colour}的",
        link="，",
        last="，",
        end="。",
    ),
    Phrasing(
        opening="在{ground}上，",
        line="{place}印着{coloured}{noun}{quote}",
        bare="印着{coloured}{noun}{quote}",
        thing="{place}放着{object}",
        colour="{colour}",
        link="，",
        last="，",
    ),
    Phrasing(
        opening="请做一张{ground}：",
        line="{place}写{quote}{coloured}",
        thing="{place}有{object}",
        colour="，用{colour}",
        link="；",
        last="；",
        end="。",
    ),
)
NOUNS = {
    "en": ("poster", "poster", "card", "picture", "sign"),
    "zh": ("海报", "海报", "卡片", "图片"),
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
) -> tuple[str, ...]:
    """`each` captions in Chinese and as many in English, no two of the same phrasing."""
    said = []
    for language, phrasings in (("zh", CHINESE_PHRASINGS), ("en", ENGLISH_PHRASINGS)):
        for number in random.permutation(len(phrasings))[:each]:
            said.append(_caption(language, phrasings[number], background, lines, things, random))
    return tuple(said)


def _caption(
    language: str,
    phrasing: Phrasing,
    background: Mapping[str, str],
    lines: Sequence[Line],
    things: Sequence[Thing],
    random: np.random.Generator,
) -> str:
    places = CHINESE if language == "zh" else ENGLISH
    coloured = random.random() < 0.8
    alone = len(lines) == 1 and lines[0].place == "middle" and not things
    form = phrasing.bare if alone and phrasing.bare and random.random() < 0.4 else phrasing.line
    clauses = []
    for line in lines:
        colour = phrasing.colour.format(colour=_colour(language, line.colour))
        fields = {
            "quote": _quoted(line.text, random),
            "place": pick(places[line.place], random),
            "noun": _noun(language, line.text),
            "coloured": colour if coloured else phrasing.plain,
        }
        clauses.append(form.format(**fields))
    for thing in things:
        name = thing.chinese if language == "zh" else thing.name
        place = pick(places[thing.place], random)
        clauses.append(phrasing.thing.format(object=name, place=place))
    opening = phrasing.opening.format(ground=_ground(language, background, random))
    told = phrasing.link.join(clauses[:-1]) + phrasing.last * (len(clauses) > 1) + clauses[-1]
    text = opening + told + phrasing.end
    return text[0].upper() + text[1:]


def _colour(language: str, name: str) -> str:
    return COLOURS[name].chinese + "色" if language == "zh" else name


def _quoted(text: str, random: np.random.Generator) -> str:
    pair = pick(QUOTES, random)
    return pair[0] + text + pair[1]


def _noun(language: str, text: str) -> str:
    if language == "zh":
        return "字" if len(text) == 1 else "文字"
    if len(text) == 1:
        return "character"
    if text.isdigit():
        return "number"
    return "word" if text.isalpha() and len(text) <= 10 else "text"


def _ground(language: str, background: Mapping[str, str], random: np.random.Generator) -> str:
    """The background with what it is the background of: "a red poster", "红色海报"."""
    noun = pick(NOUNS[language], random)
    return _chinese(background, noun) if language == "zh" else _english(background, noun)


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
