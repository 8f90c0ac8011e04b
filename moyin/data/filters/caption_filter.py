"""Clean captions, and drop those that are too short or in an unwanted language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from moyin.data.item import Item
from moyin.prompt.quotes import quoted
from moyin.render import assets

# Control characters except white space, halves of surrogate pairs, marks that change the writing
# direction, the byte order mark and the replacement character.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff\ufffd]"
)
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af]")


class CaptionFilter:
    """Cleans captions and drops images without a usable one.

    Adds `language` ("zh", "en" or "en zh") and `caption_length`, the characters of the longest
    caption; of the text in the image, `characters`, their number, and `level`, the highest level
    in the Table of General Standard Chinese Characters: 0 without Chinese characters, 4 for
    characters that are not in the table.
    """

    name = "caption_filter"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """languages: of the captions to keep. shortest, longest: length of a caption in
        characters; a longer one is truncated."""

        languages: tuple[str, ...] = ("en", "zh")
        shortest: int = 2
        longest: int = 1000

        def __post_init__(self) -> None:
            if not self.languages or not {"en", "zh"}.issuperset(self.languages):
                raise ValueError(f"languages must be en and zh, not {', '.join(self.languages)}")
            if not 0 < self.shortest <= self.longest:
                raise ValueError("shortest must be above 0 and at most longest")

        def build(self) -> CaptionFilter:
            return CaptionFilter(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._filter(item) for item in items]

    def _filter(self, item: Item) -> Item:
        original = item.sample.captions
        clean = clean_captions(original, self.config.longest)
        long_enough = [caption for caption in clean if len(caption) >= self.config.shortest]
        languages = {caption: language(caption) for caption in long_enough}
        kept = tuple(c for c in languages if languages[c] in self.config.languages)
        text = "".join(line.text for line in item.sample.lines)
        item = item.with_sample(captions=kept).with_notes(*repairs(original, clean))
        item = item.with_values(
            language=" ".join(sorted({languages[caption] for caption in kept})),
            caption_length=max(map(len, kept), default=0),
            characters=len("".join(text.split())),
            level=level(text),
        )
        if kept:
            return item
        reason = "caption in another language" if long_enough else "no caption"
        return item.drop(self.name, reason, clean[0][:80] if clean else "")


def clean_captions(captions: Sequence[str], max_length: int) -> tuple[str, ...]:
    """The distinct captions that are not empty, in composed Unicode form, without unprintable
    characters and repeated white space, truncated to `max_length` at a space if there is one."""
    cleaned = (_clean(caption, max_length) for caption in captions)
    return tuple(dict.fromkeys(caption for caption in cleaned if caption))


def repairs(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """What `clean_captions` repaired."""
    notes = []
    if any(_UNPRINTABLE.search(caption) for caption in before):
        notes.append("unprintable characters removed from a caption")
    if sum(map(len, before)) > 2 * sum(map(len, after)) + 100:
        notes.append("captions truncated")
    return notes


def language(caption: str) -> str:
    """The language of the text outside quotes: `zh`, `en` or `other`.

    `zh`: at least one sixth of the letters is Chinese, since one character says as much as
    several letters. `en`: most other letters are Latin, whichever language it is.
    """
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


def _clean(caption: str, max_length: int) -> str:
    # Truncated first: a caption may be a megabyte long.
    bounded = _UNPRINTABLE.sub("", caption[: 8 * max_length])
    text = " ".join(unicodedata.normalize("NFC", bounded).split())
    if len(text) <= max_length:
        return text
    return text[:max_length].rpartition(" ")[0] or text[:max_length]
