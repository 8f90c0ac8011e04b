"""The ways to say what a picture shows: some 300 phrasings in each language.

The first seven of a language are written out; the rest are openings and clauses that go together,
each opening with each clause of its kind. Of those that are whole sentences every tenth is held
out, so that a model can be asked in words that it was not taught.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product


@dataclass(frozen=True, kw_only=True)
class Phrasing:
    """One way to say it.

    `opening` and `end` may use {ground}, and {sheet}, which is that without an article, or a
    {theme}, of which nothing is shown. `line` may use {quote}, {place}, {spot}, which is that
    without a preposition, {noun}, {size}, which may call large text so, and {coloured}, which is
    `colour` filled in, or `plain` where the colour is left unsaid; `many` says several lines of one
    kind at once, and where it is empty each is said by itself. `bare` says a lone line in the
    middle without its place; empty where the phrasing needs the place. Chinese phrasings say 一张,
    which becomes the measure word of what is shown.
    """

    opening: str
    line: str
    thing: str
    colour: str
    plain: str = ""
    bare: str = ""
    many: str = ""
    link: str = ", "
    last: str = " and "
    end: str = ""

    @property
    def placing(self) -> bool:
        """Whether it says where a line stands."""
        return "{place}" in self.line or "{spot}" in self.line


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


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Openings and clauses that go together; a clause is a phrasing without its opening."""

    openings: tuple[str, ...]
    clauses: tuple[Phrasing, ...]
    end: str = ""

    def phrasings(self) -> Iterator[Phrasing]:
        for opening, clause in product(self.openings, self.clauses):
            yield replace(clause, opening=opening, end=clause.end or self.end)


def _clause(
    line: str, many: str, thing: str, colour: str, plain: str = "", **rest: str
) -> Phrasing:
    return Phrasing(
        opening="", line=line, many=many or line, thing=thing, colour=colour, plain=plain, **rest
    )


def _named(line: str, colour: str = " in {colour}", plain: str = "") -> Phrasing:
    """A clause that is a noun: … with the word "X" in red at the top."""
    bare = re.sub(r",? \{(place|spot)\}$", "", line).replace(" {place}", "")
    return _clause(line, "", "{object} {place}", colour, plain, bare=bare)


def _told(line: str, many: str, thing: str, colour: str = " in {colour}") -> Phrasing:
    """A clause that is a sentence: "X" is written in red at the top."""
    return _clause(line, many, thing, colour, link="; ", last="; ", end=".")


def _asked(line: str, thing: str, colour: str = " in {colour}") -> Phrasing:
    """A clause that asks for something: write "X" in red at the top."""
    return _clause(line, "", thing, colour, last=", and ", end=".")


ENGLISH_TOLD = (
    _told(
        "{quote} is written{coloured} {place}",
        "{quote} are written{coloured} {place}",
        "{object} is {place}",
    ),
    _told(
        "the {noun} {place} reads {quote}{coloured}",
        "the {noun} {place} read {quote}{coloured}",
        "there is {object} {place}",
    ),
    _told(
        "{place} stands {quote}{coloured}", "{place} stand {quote}{coloured}", "{place} is {object}"
    ),
    _told(
        "the{coloured} {noun} {quote} appears {place}",
        "the{coloured} {noun} {quote} appear {place}",
        "{object} appears {place}",
        " {colour}",
    ),
    _told("{quote} can be read {place}{coloured}", "", "{object} can be seen {place}"),
    _told(
        "the {noun} {place} says {quote}{coloured}",
        "the {noun} {place} say {quote}{coloured}",
        "one sees {object} {place}",
    ),
    _told("{place} it says {quote}{coloured}", "", "{place} there is {object}"),
    _told(
        "{quote} is printed{coloured} {place}",
        "{quote} are printed{coloured} {place}",
        "{object} is shown {place}",
    ),
)
ENGLISH_KINDS = (
    Kind(
        openings=(
            "{ground} with ",
            "{ground} featuring ",
            "{ground} bearing ",
            "{ground} displaying ",
            "an image of {ground} with ",
            "a picture of {ground} carrying ",
            "create {ground} with ",
            "draw {ground} with ",
            "generate {ground} featuring ",
            "I would like {ground} with ",
            "this is {ground} with ",
            "show me {ground} bearing ",
        ),
        clauses=(
            _named("the {noun} {quote}{coloured} {place}"),
            _named("the{coloured} {noun} {quote} {place}", " {colour}"),
            _named("{quote}{coloured} {place}"),
            _named("{quote} written{coloured} {place}"),
            _named("{quote} printed {place}{coloured}"),
            _named("{coloured} that says {quote} {place}", "{colour} lettering", "lettering"),
            _named("the {noun} {quote} set{coloured} {place}"),
            _named("{quote} {place}{coloured}", ", in {colour}"),
        ),
    ),
    Kind(
        openings=(
            "{ground}. ",
            "this is {ground}. ",
            "an image of {ground}. ",
            "imagine {ground}. ",
            "here is {ground}. ",
            "the image shows {ground}. ",
            "we see {ground}. ",
            "draw {ground}. ",
        ),
        clauses=ENGLISH_TOLD,
    ),
    Kind(
        openings=(
            "{ground}, where ",
            "{ground} on which ",
            "an image of {ground} where ",
            "I want {ground} where ",
        ),
        clauses=ENGLISH_TOLD,
    ),
    Kind(
        openings=(
            "make {ground}: ",
            "please make {ground} and ",
            "design {ground} and ",
            "create {ground}, then ",
            "draw {ground} and ",
            "I need {ground}; ",
            "lay out {ground} and ",
            "compose {ground}: ",
        ),
        clauses=(
            _asked("write {quote}{coloured} {place}", "draw {object} {place}"),
            _asked("put {quote} {place}{coloured}", "put {object} {place}"),
            _asked(
                "place the{coloured} {noun} {quote} {place}", "place {object} {place}", " {colour}"
            ),
            _asked("set {quote}{coloured} {place}", "show {object} {place}"),
            _asked("{place} write {quote}{coloured}", "{place} draw {object}"),
            _asked("add the {noun} {quote}{coloured} {place}", "add {object} {place}"),
            _asked(
                "let the {noun} {place} read {quote}{coloured}", "let there be {object} {place}"
            ),
            _asked("print {quote} {place}{coloured}", "draw {object} {place}", ", in {colour}"),
        ),
    ),
    Kind(
        openings=(
            "{ground} that says ",
            "{ground} reading ",
            "{ground} saying ",
            "text on {ground}: ",
            "words on {ground}: ",
            "the text of {ground}: ",
        ),
        clauses=(
            _clause("{quote}", "", "with {object}", "", last=", "),
            _clause("{quote}{coloured}", "", "with {object}", " in {colour}", last=", "),
        ),
    ),
    Kind(
        openings=("", "show ", "put ", "an image with "),
        clauses=(
            _clause("{quote}{coloured}", "", "{object}", " in {colour}"),
            _clause("the {noun} {quote}{coloured}", "", "{object} {place}", " in {colour}"),
            _clause("{quote} {place}", "", "{object} {place}", ""),
        ),
        end=" on {ground}",
    ),
)


def _says(line: str, thing: str, colour: str = "{colour}的", end: str = "") -> Phrasing:
    return _clause(line, "", thing, colour, link="，", last="，", end=end)


CHINESE_KINDS = (
    Kind(
        openings=(
            "一张{ground}，",
            "{ground}，",
            "这是一张{ground}，",
            "图中是一张{ground}，",
            "画面是一张{ground}，",
            "眼前是一张{ground}，",
            "图片展示了一张{ground}，",
            "照片里是一张{ground}：",
            "看，一张{ground}，",
        ),
        clauses=(
            _says("{place}{coloured}写着{quote}", "{place}有{object}", "用{colour}"),
            _says("{coloured}{noun}{quote}在{place}", "{object}在{place}", "{colour}", "。"),
            _says("{place}是{coloured}{noun}{quote}", "{place}是{object}", end="。"),
            _says("{coloured}{noun}{quote}位于{place}", "{object}位于{place}"),
            _says("{place}印着{coloured}{noun}{quote}", "{place}放着{object}", "{colour}", "。"),
            _says("{place}有{coloured}{noun}{quote}", "{place}有{object}"),
            _says("{place}{coloured}写有{quote}", "{place}画着{object}", "以{colour}", "。"),
            _says("{place}的{noun}是{quote}{coloured}", "{place}是{object}", "，{colour}", "。"),
            _says("{quote}{coloured}写在{place}", "{object}画在{place}", "用{colour}"),
            _says("{place}可以看到{coloured}{quote}", "{place}可以看到{object}", end="。"),
            _says("{place}显示着{coloured}{noun}{quote}", "{place}出现了{object}", "{colour}"),
        ),
    ),
    Kind(
        openings=(
            "画一张{ground}，",
            "设计一张{ground}，",
            "请画一张{ground}，",
            "请做一张{ground}：",
            "请生成一张{ground}，",
            "帮我做一张{ground}，",
            "我想要一张{ground}，",
            "制作一张{ground}：",
            "绘制一张{ground}，",
            "来一张{ground}，",
            "给我画一张{ground}，",
            "需要一张{ground}，",
        ),
        clauses=(
            _says("在{place}写上{coloured}{quote}", "{place}画{object}", end="。"),
            _says("{place}写{quote}{coloured}", "{place}画上{object}", "，用{colour}"),
            _says("{place}放上{coloured}{noun}{quote}", "{place}放上{object}", end="。"),
            _says("{place}加上{coloured}{noun}{quote}", "{place}加上{object}"),
            _says("把{coloured}{quote}写在{place}", "把{object}画在{place}", end="。"),
            _says("{place}要有{coloured}{noun}{quote}", "{place}要有{object}"),
            _says("{place}{coloured}印上{quote}", "{place}配上{object}", "用{colour}", "。"),
            _says(
                "{noun}{quote}{coloured}放在{place}", "{object}放在{place}", "用{colour}，", "。"
            ),
        ),
    ),
    Kind(
        openings=("在{ground}上，", "{ground}上，", "就在{ground}上，"),
        clauses=(
            _says("{place}印着{coloured}{noun}{quote}", "{place}放着{object}", "{colour}"),
            _says("{place}{coloured}写着{quote}", "{place}有{object}", "用{colour}", "。"),
            _says("能看到{coloured}{quote}在{place}", "{object}在{place}"),
            _says("{place}题着{coloured}{quote}", "{place}画着{object}", end="。"),
        ),
    ),
    Kind(
        openings=("一张写着", "一张印有", "画一张写着", "请做一张写有", "设计一张带有"),
        clauses=(
            _clause("{quote}", "", "画着{object}", "", link="、", last="、"),
            _clause("{coloured}{quote}", "", "画着{object}", "{colour}的", link="、", last="、"),
            _clause(
                "{coloured}{noun}{quote}", "", "画着{object}", "{colour}", link="、", last="、"
            ),
        ),
        end="的{ground}",
    ),
    Kind(
        openings=("{ground}：", "{ground}，文字是", "{ground}，上面写着", "一张{ground}，写的是"),
        clauses=(
            _clause("{quote}", "", "还有{object}", "", link="，", last="，"),
            _clause("{quote}{coloured}", "", "还有{object}", "（{colour}）", link="，", last="，"),
        ),
    ),
)


# What people type who write no sentence; and "a big yellow 'X'", which names no kind of text.
ENGLISH_FRAGMENTS = (
    Kind(
        openings=("{sheet}, ", "{sheet}: ", "{sheet} with ", "{sheet}. ", "{sheet}; "),
        clauses=(
            _named("{quote}{coloured} {place}"),
            _named("{coloured}{quote} {place}", "{colour} "),
            _named("{coloured}{quote}, {spot}", "{colour} "),
            _named("{quote}{coloured}, {spot}"),
            _named("{quote} {place}{coloured}", ", {colour}"),
            _named("{coloured}{noun} {quote} {place}", "{colour} "),
            _named("{spot} {quote}{coloured}"),
            _named("{quote}{coloured}, {place}", " in {colour} letters"),
        ),
    ),
    Kind(
        openings=("{ground} with ", "make me {ground} with ", "draw {ground} with ", "{ground}, "),
        clauses=(
            _named("a{size}{coloured} {quote} {place}", " {colour}"),
            _named("{coloured}{quote} {place}", "{colour} "),
            _named("{quote}{coloured} {place}", " in {colour} letters"),
        ),
    ),
    Kind(
        openings=("", "text: ", "please write "),
        clauses=(
            _named("{quote}, {spot}{coloured}", ", {colour}"),
            _named("{coloured}{quote} {place}", "{colour} "),
        ),
        end=", {ground}",
    ),
)
CHINESE_FRAGMENTS = (
    Kind(
        openings=("{ground}，", "{ground}：", "{ground} ", "要{ground}，", "{ground}。"),
        clauses=(
            _says("{place}{coloured}{quote}", "{place}{object}", "{colour}"),
            _says("{coloured}{quote}，{place}", "{object}，{place}", "{colour}"),
            _says("{coloured}{noun}{quote}，{place}", "{object}，{place}", "{colour}"),
            _says("{quote}{coloured}，{place}", "{object}，{place}", "，{colour}"),
            _says("{place}：{quote}{coloured}", "{place}：{object}", "，{colour}"),
            _says("{quote}在{place}{coloured}", "{object}在{place}", "，{colour}"),
            _says("{place}要有{quote}{coloured}", "{place}要有{object}", "，{colour}字"),
            _says("写{quote}，{place}{coloured}", "{object}，{place}", "，{colour}"),
        ),
    ),
    Kind(
        openings=("", "写", "文字"),
        clauses=(
            _says("{quote}{coloured}，{place}", "{object}，{place}", "，{colour}"),
            _says("{quote}，{place}{coloured}", "{object}，{place}", "，{colour}"),
        ),
        end="，{ground}",
    ),
)


# What people type who leave the ground open, or the colour, and the place.
THEMES = {
    "en": (
        "bakery",
        "birthday",
        "book fair",
        "class",
        "coffee shop",
        "concert",
        "film",
        "football",
        "garden",
        "gallery",
        "holiday",
        "library",
        "market",
        "music night",
        "New Year",
        "party",
        "restaurant",
        "school",
        "shop",
        "summer sale",
        "travel",
        "wedding",
        "winter",
    ),
    "zh": (
        "班会",
        "婚礼",
        "春节",
        "电影",
        "饭店",
        "公园",
        "店铺",
        "会议",
        "教室",
        "开业",
        "旅行",
        "面包店",
        "咖啡店",
        "生日",
        "市集",
        "书店",
        "图书馆",
        "夏天",
        "新年",
        "学校",
        "音乐会",
        "运动会",
        "中秋",
    ),
}


def _open(line: str, colour: str = "") -> Phrasing:
    return _clause(line, "", "{object}", colour)


ENGLISH_BRIEF = (
    Kind(
        openings=(
            "",
            "write ",
            "please write ",
            "draw ",
            "show me ",
            "I want ",
            "just ",
            "text: ",
            "it says ",
            "only the text ",
            "could you paint ",
        ),
        clauses=(
            _open("{quote}"),
            _open("{quote}{coloured}", " in {colour}"),
            _open("{coloured}{quote}", "{colour} "),
        ),
    ),
    Kind(
        openings=(
            "a poster ",
            "make a poster ",
            "please make me a poster ",
            "a sign ",
            "I need a sign ",
            "a card ",
            "draw a picture ",
            "a {theme} poster ",
            "make a {theme} sign ",
            "a poster for the {theme} ",
            "design a {theme} card ",
        ),
        clauses=(
            _open("that says {quote}"),
            _open("saying {quote}"),
            _open("with {quote} on it"),
            _open("with the {noun} {quote}"),
            _open("reading {quote}{coloured}", " in {colour}"),
            _open("with {coloured}{quote}", "{colour} "),
            _open("with the {noun} {quote}{coloured}", " in {colour}"),
        ),
    ),
    Kind(
        openings=("poster: ", "a simple sign: ", "{theme} poster, ", "make me a card: "),
        clauses=(
            _open("{quote}"),
            _open("{quote}{coloured}", ", {colour}"),
            _open("{coloured}{noun} {quote}", "{colour} "),
        ),
    ),
)
CHINESE_BRIEF = (
    Kind(
        openings=(
            "",
            "写",
            "请写",
            "写上",
            "帮我写",
            "就写",
            "画",
            "只要",
            "内容：",
            "文字是",
            "我想写",
        ),
        clauses=(
            _open("{quote}"),
            _open("{coloured}{quote}", "{colour}的"),
            _open("{quote}{coloured}", "，{colour}"),
        ),
    ),
    Kind(
        openings=(
            "海报，",
            "一张海报，",
            "请帮我做一张海报，",
            "生成一张图片，",
            "画一张卡片，",
            "来一张{theme}海报，",
            "一张{theme}的海报，",
            "设计一张{theme}卡片，",
            "我要一张{theme}的图片，",
        ),
        clauses=(
            _open("写着{quote}"),
            _open("上面写{quote}"),
            _open("内容是{quote}"),
            _open("上面的{noun}是{quote}"),
            _open("写上{coloured}{quote}", "{colour}的"),
            _open("印着{coloured}{noun}{quote}", "{colour}"),
            _open("文字是{quote}{coloured}", "，{colour}"),
        ),
    ),
    Kind(
        openings=("画一张写着", "做一张带有", "我要一张写了", "生成一张印着", "来一张有"),
        clauses=tuple(
            replace(_open(line, colour), end=end)
            for line, colour in (("{quote}", ""), ("{coloured}{quote}", "{colour}的"))
            for end in ("的海报", "字样的图片", "的{theme}卡片")
        ),
    ),
    Kind(openings=("帮我写个", "来个", "画个"), clauses=(_open("{quote}"),), end="字"),
)


def _all(plain: tuple[Phrasing, ...], kinds: tuple[Kind, ...]) -> tuple[Phrasing, ...]:
    made = [phrasing for kind in kinds for phrasing in kind.phrasings()]
    return (*plain, *(phrasing for phrasing in dict.fromkeys(made) if phrasing not in plain))


PLAIN: Mapping[str, tuple[Phrasing, ...]] = {"zh": CHINESE_PHRASINGS, "en": ENGLISH_PHRASINGS}
TOLD = {"zh": _all(CHINESE_PHRASINGS, CHINESE_KINDS), "en": _all(ENGLISH_PHRASINGS, ENGLISH_KINDS)}
FRAGMENTS = {"zh": _all((), CHINESE_FRAGMENTS), "en": _all((), ENGLISH_FRAGMENTS)}
HELD_OUT = {language: every[9::10] for language, every in TOLD.items()}
BRIEF = {"zh": _all((), CHINESE_BRIEF), "en": _all((), ENGLISH_BRIEF)}
SEEN = {
    language: (*(p for number, p in enumerate(every) if number % 10 != 9), *FRAGMENTS[language])
    for language, every in TOLD.items()
}
ALL = {language: (*every, *FRAGMENTS[language]) for language, every in TOLD.items()}
SETS = {
    "plain": PLAIN,
    "fragments": FRAGMENTS,
    "seen": SEEN,
    "held-out": HELD_OUT,
    "all": ALL,
    "brief": {
        language: tuple(p for number, p in enumerate(every) if number % 10 != 9)
        for language, every in BRIEF.items()
    },
    "brief-held-out": {language: every[9::10] for language, every in BRIEF.items()},
}
