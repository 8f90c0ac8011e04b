"""Wording: captions are cleaned, and those that are too short or in another language go."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from moyin.data.item import Item
from moyin.prompt.quotes import quoted
from moyin.render import assets

# Control characters but blanks, halves of surrogate pairs, marks that turn the direction of
# writing, and what stands for bytes that were no text.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff\ufffd]"
)
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af]")


class Wording:
    """Adds `language` ("zh", "en" or "en zh"), `caption_length`, the longest caption's characters,
    and of the text in the image `characters`, their number, and `level`, the highest in the
    Table of General Standard Chinese Characters: 0 without Chinese, 4 for what is not in it."""

    name = "wording"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """languages: those of captions that stay. shortest, longest: characters of a caption; a
        longer one is cut."""

        languages: tuple[str, ...] = ("en", "zh")
        shortest: int = 2
        longest: int = 1000

        def __post_init__(self) -> None:
            if not self.languages or not {"en", "zh"}.issuperset(self.languages):
                raise ValueError(f"languages are en and zh, not {', '.join(self.languages)}")
            if not 0 < self.shortest <= self.longest:
                raise ValueError("shortest is above 0 and at most longest")

        def build(self) -> Wording:
            return Wording(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._worded(item) for item in items]

    def _worded(self, item: Item) -> Item:
        said = item.sample.captions
        clean = cleaned(said, self.config.longest)
        long = [caption for caption in clean if len(caption) >= self.config.shortest]
        known = {caption: language(caption) for caption in long}
        left = tuple(c for c, spoken in known.items() if spoken in self.config.languages)
        languages = " ".join(sorted({known[caption] for caption in left}))
        worded = item.with_sample(captions=left).noted(*notes(said, clean))
        text = "".join(line.text for line in item.sample.lines)
        worded = worded.with_values(
            language=languages,
            caption_length=max(map(len, left), default=0),
            characters=len("".join(text.split())),
            level=level(text),
        )
        if left:
            return worded
        reason = "caption in another language" if long else "no caption"
        return worded.drop(self.name, reason, clean[0][:80] if clean else "")


def cleaned(captions: Sequence[str], longest: int) -> tuple[str, ...]:
    """Captions in composed characters, without what cannot be printed, one blank for many, cut
    after `longest` characters at a blank if there is one; none empty, none twice."""
    found = (_clean(caption, longest) for caption in captions)
    return tuple(dict.fromkeys(caption for caption in found if caption))


def notes(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """What `cleaned` mended."""
    told = []
    if any(_UNPRINTABLE.search(caption) for caption in before):
        told.append("unprintable characters taken out of a caption")
    if sum(map(len, before)) > 2 * sum(map(len, after)) + 100:
        told.append("captions cut")
    return told


def language(caption: str) -> str:
    """`zh` where a sixth of the letters outside quotes is Chinese, which says as much as the rest;
    `en` where the others are Latin, of whichever language; else `other`."""
    for text in quoted(caption):
        caption = caption.replace(text, "")
    letters = [c for c in caption if c.isalpha()]
    if not letters:
        return "other"
    chinese = len(_HAN.findall(caption))
    latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
    if 6 * chinese >= len(letters):
        return "zh" if 2 * (chinese + latin) >= len(letters) else "other"
    return "en" if 2 * latin >= len(letters) else "other"


def level(text: str) -> int:
    """The highest level of a text's Chinese characters; 0 without any, 4 beyond the table."""
    return max((_levels().get(c, 4) for c in _HAN.findall(text)), default=0)


@cache
def _levels() -> dict[str, int]:
    return {c: number for number in (1, 2, 3) for c in assets.characters(number)}


def _clean(caption: str, longest: int) -> str:
    # Cut before anything else is done: a caption may be a megabyte long.
    bounded = _UNPRINTABLE.sub("", caption[: 8 * longest])
    text = " ".join(unicodedata.normalize("NFC", bounded).split())
    if len(text) <= longest:
        return text
    return text[:longest].rpartition(" ")[0] or text[:longest]
