"""edits-50: fifty posters as nano draws them, and for each another text or another colour.

The posters hold the texts of nano-50, in squares; two in three get another text of any length that
has room in the old one's place, the rest a colour. All is asked for in phrasings that no training
pair has. What is not asked for must stay: a colour where the text changes, the ground always.
"""

from __future__ import annotations

from dataclasses import replace

from moyin.evaluate.nano import (
    MIDDLE_COLUMN,
    PERFECT,
    TEXTS,
    Expectation,
    in_squares,
    nano_50,
    pick,
    seen,
)
from moyin.evaluate.task import Item, Suite
from moyin.ocr import scores
from moyin.ocr.colours import COLOURS, readable
from moyin.ocr.places import CHINESE, ENGLISH
from moyin.render.captions import QUOTES
from moyin.render.edits import HELD_OUT_RECOLOURED, HELD_OUT_WRITTEN

SIDE = 128  # that a character of the posters gets


def suite() -> Suite:
    """The fifty edits, each with its poster as the reference."""
    before = nano_50()
    return Suite(
        name="edits-50",
        items=tuple(_item(number, one) for number, one in enumerate(edits_50())),
        scorer=scores.characters,
        headline="ordered_ned",
        look=seen,
        perfect=lambda item: in_squares(item.truth, PERFECT, SIDE),
        reference=lambda item: in_squares(before[item.number], PERFECT, SIDE),
    )


def _item(number: int, asked: Expectation) -> Item:
    return Item(
        number=number,
        id=asked.id,
        prompt=asked.prompt,
        texts=(asked.text,),
        groups=(
            {"zh": "Chinese", "en": "English"}[asked.language],
            "colour" if _recoloured(number) else "text",
        ),
        truth=asked,
    )


def edits_50() -> tuple[Expectation, ...]:
    """What each poster of nano-50 is to show after its edit; the prompts ask for it."""
    return tuple(_edited(number, one) for number, one in enumerate(nano_50()))


def _recoloured(number: int) -> bool:
    return number // 2 % 3 == 2


def _edited(number: int, before: Expectation) -> Expectation:
    """The n-th poster's edit, by its number alone."""
    n, chinese = number // 2, before.language == "zh"
    pair = pick(QUOTES, n)
    if _recoloured(number):
        colours = [c for c in readable(before.background) if c != before.colour]
        after = replace(before, colour=pick(colours, n))
        phrase = pick(HELD_OUT_RECOLOURED[before.language], n // 3)
    else:
        # Corners have room for two characters.
        longest = 4 if before.place in MIDDLE_COLUMN else 2
        texts = [t for some in TEXTS[before.language][:longest] for t in some if t != before.text]
        after = replace(before, text=pick(texts, 7 * n + 3))
        phrase = pick(HELD_OUT_WRITTEN[before.language], n // 2)
    colour = COLOURS[after.colour]
    prompt = phrase.format(
        text=pair[0] + after.text + pair[1],
        place=pick((CHINESE if chinese else ENGLISH)[after.place], n),
        colour=colour.chinese if chinese else colour.name,
    )
    return replace(after, prompt=prompt)
