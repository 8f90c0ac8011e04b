from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from moyin.dataset.sample import DrawnObject, Line
from moyin.ocr.places import CHINESE, ENGLISH
from moyin.prompt.quotes import quoted
from moyin.render.captions import captions
from moyin.render.phrasings import SETS

BOX = (0.0, 0.0, 1.0, 1.0)
RED = {"kind": "flat", "colour": "red"}
GROUNDS = [
    (RED, "red", "红色"),
    (
        {"kind": "gradient", "colour": "red", "second": "blue"},
        "from red to blue",
        "从红色渐变到蓝色",
    ),
    ({"kind": "texture", "colour": "red", "texture": "dots"}, "dotted red", "红色圆点"),
    ({"kind": "photograph", "photograph": "coffee"}, "a cup of coffee", "咖啡照片"),
]


def line(text: str, place: str, colour: str = "white") -> Line:
    return Line(text, BOX, (BOX,) * len(text), (BOX,) * len(text), colour, "Face", place)


def said(
    lines: list[Line],
    things: list[DrawnObject],
    ground: dict[str, str],
    key: int,
    each: int = 6,
    phrasings: str = "plain",
) -> tuple[str, ...]:
    random = np.random.Generator(np.random.Philox(key=key))
    return captions(ground, lines, things, each, random, phrasings)


@pytest.mark.parametrize(("ground", "english", "chinese"), GROUNDS)
def test_a_caption_quotes_every_line_and_names_ground_places_and_objects(
    ground: dict[str, str], english: str, chinese: str
) -> None:
    lines = [line("春天", "top left"), line("OPEN LATE", "middle", "yellow")]
    cat = DrawnObject("a cat", "猫", BOX, "bottom")
    for key in range(20):
        texts = said(lines, [cat], ground, key)
        assert len(set(texts)) == 12
        for number, text in enumerate(texts):
            assert sorted(quoted(text)) == ["OPEN LATE", "春天"]
            assert quoted(text, exact=True) == quoted(text)
            names = CHINESE if number < 6 else ENGLISH
            for place in ("top left", "middle", "bottom"):
                assert any(name in text.lower() for name in names[place])
            assert (chinese if number < 6 else english) in text
            assert ("猫" if number < 6 else "a cat") in text.lower()


def test_no_apostrophe_stands_outside_quotes() -> None:
    for key in range(50):
        for text in said([line("It", "right")], [], RED, key):
            assert re.sub(r"'It'|[“\"「]It[”\"」]", "", text).isprintable()
            assert "'" not in re.sub(r"'It'", "", text)


def test_the_colour_is_either_said_of_every_line_or_left_out() -> None:
    texts = [t for key in range(40) for t in said([line("春", "left", "yellow")], [], RED, key)]
    share = sum("黄色" in text or "yellow" in text for text in texts) / len(texts)
    assert 0.7 < share < 0.9


def test_a_lone_line_in_the_middle_may_go_without_its_place() -> None:
    texts = [t for key in range(40) for t in said([line("春", "middle")], [], RED, key)]
    named = [any(n in t.lower() for n in CHINESE["middle"] + ENGLISH["middle"]) for t in texts]
    assert 0.5 < sum(named) / len(named) < 1


def test_only_of_a_lone_line_in_the_middle_the_place_is_left_unsaid() -> None:
    for lines in ([line("春", "left")], [line("春", "left"), line("夏", "middle")]):
        for text in said(lines, [], RED, 5, each=999, phrasings="all"):
            for one in lines:
                spots = [re.sub("^(at|in|on) the ", "", name) for name in ENGLISH[one.place]]
                assert any(name in text.lower() for name in [*CHINESE[one.place], *spots])


def test_brief_captions_quote_the_text_and_name_neither_ground_nor_place() -> None:
    for name in ("brief", "brief-held-out"):
        texts = said([line("春天", "middle", "yellow")], [], RED, 5, each=999, phrasings=name)
        assert len(texts) > 15
        for text in texts:
            assert quoted(text, exact=True) == ["春天"]
            assert not re.search("红|中间|中央|正中|red|middle|center|[{}]", text)
        assert not said([line("春天", "left")], [], RED, 5, phrasings=name)
    assert not set(SETS["brief"]["en"]) & set(SETS["brief-held-out"]["en"])


def test_the_reference_phrasings_are_among_the_plain_ones() -> None:
    texts = {t for key in range(300) for t in said([line("春天", "middle")], [], RED, key)}
    assert "一张红色海报，中间用白色写着“春天”" in texts
    assert 'A red poster with the word "春天" in white in the middle' in texts


def test_there_are_two_hundred_phrasings_a_language_and_some_are_held_out() -> None:
    every = SETS["all"]
    for language in ("zh", "en"):
        seen, held = (set(SETS[name][language]) for name in ("seen", "held-out"))
        assert len(seen) >= 200
        assert len(held) >= 20
        assert not seen & held
        assert seen | held == set(every[language])
        assert set(SETS["plain"][language]) <= seen


@pytest.mark.parametrize("number", range(3))
def test_no_two_phrasings_say_the_same_words(number: int) -> None:
    """Blind to place, colour and noun, whose words are drawn by lot."""
    lines = [line("春天", "top left"), line("OPEN", "middle", "yellow")][: 1 + number % 2]
    things = [DrawnObject("a cat", "猫", BOX, "bottom")][:number]
    for key, many in (("zh", "海报|卡片|图片"), ("en", "poster|card|picture|sign")):
        texts = said(lines, things, RED, number, each=999, phrasings="all")
        texts = tuple(t for t in texts if ("红" in t) == (key == "zh"))
        assert len(texts) == sum(phrasing.placing for phrasing in SETS["all"][key])
        blind = {re.sub(f"{many}|'|\"|[“”「」]| in (white|yellow)", "", text) for text in texts}
        assert len(blind) >= 200
        for text in texts:
            assert sorted(quoted(text)) == sorted(line.text for line in lines)
            assert quoted(text, exact=True) == quoted(text)


def test_lines_of_one_role_colour_and_place_are_said_at_once() -> None:
    def item(text: str, place: str) -> Line:
        return replace(line(text, place), role="item")

    lines = [item("茶", "middle"), item("米饭", "middle"), item("鱼", "bottom")]
    texts = said(lines, [], RED, 3, each=999, phrasings="all")
    assert all(quoted(text) == ["茶", "米饭", "鱼"] for text in texts)
    assert any("“茶”和“米饭”" in text for text in texts)
    assert any('the lines "茶" and "米饭"' in text for text in texts)
    assert any("are written" in text and "is written" in text for text in texts)


def test_only_large_text_is_called_so() -> None:
    """And one character is not several, nor several one."""
    large = line("海", "middle")
    tall = replace(large, box=(0.0, 0.0, 90.0, 90.0))
    several = replace(tall, text="大海", squares=tall.squares * 2, quads=tall.quads * 2)
    found: dict[str, str] = {}
    for name, one in (("small", large), ("large", tall), ("several", several)):
        found[name] = " ".join(
            re.sub("“.*?”|「.*?」|'.*?'|\".*?\"", "", text)
            for key in range(60)
            for text in said([one], [], RED, key, phrasings="seen")
        )
    for word in ("huge", "big", "大大的", "巨大的"):
        assert word not in found["small"]
        assert word in found["large"]
        assert word in found["several"]
    assert "几个" not in found["large"]
    assert "一个" in found["large"]
    assert "几个" in found["several"]
    assert "一个" not in found["several"]


def test_a_plain_ground_may_be_called_a_background_and_no_image_is_one_of_a_image() -> None:
    texts = [t for key in range(80) for t in said([line("海", "top")], [], RED, key)]
    more = [t for key in range(80) for t in said([line("海", "top")], [], RED, key, 6, "seen")]
    assert any("red background" in t for t in texts)
    assert any("红色背景" in t for t in texts)
    assert not [t for t in more if "picture of a" in t and "picture with" in t]
