"""Captions for images that have none: a model is asked, or simple sentences are made."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from moyin.clients.captioner import Captioner
from moyin.data.filters.caption_filter import cleaned
from moyin.data.item import Item
from moyin.dataset.sample import Pixels
from moyin.ocr.colours import COLOURS, nearest

# A word of a file's name: camera names and numbers (IMG_1234, dsc) say nothing.
_WORD = re.compile("[^\\W\\d_]{2,}")
_NAMELESS = {"img", "dsc", "dscn", "image", "picture", "photo", "pic", "scan", "untitled", "file"}

ENGLISH = (
    "a picture of {subject}{text}",
    "{subject}{text}",
    "an image that shows {subject}{text}",
    "this picture shows {subject}{text}",
)
CHINESE = (
    "一张关于{subject}的图片{text}",
    "{subject}{text}",
    "图中是{subject}{text}",
    "这张图片的内容是{subject}{text}",
)


class Caption:
    """Gives captions to what has none, and to everything if `always`."""

    name = "caption"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """url, model: a server with OpenAI's chat completions that takes images, such as
        http://127.0.0.1:8000/v1; without one, sentences are made of file name, colour and text."""

        url: str = ""
        model: str = ""
        always: bool = False

        def build(self) -> Caption:
            return Caption(self)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._captioner = Captioner(url=config.url, model=config.model) if config.url else None

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._captioned(item) for item in items]

    def _captioned(self, item: Item) -> Item:
        has = bool(cleaned(item.sample.captions, 100))
        if item.rendered or (has and not self.config.always):
            return item
        if self._captioner is not None:
            return item.with_sample(captions=self._captioner(item.sample.image))
        return item.with_sample(captions=sentences(item)).noted("captions made from its name")


def sentences(item: Item) -> tuple[str, str]:
    """An English and a Chinese caption, from the file's name or the main colour, and the text
    that was read. Which sentence it is depends on the image's name alone."""
    name = subject(item.key)
    colour = COLOURS[main_colour(item.sample.image)]
    lines = str(item.values.get("read", "")).replace('"', "").split("\n")
    said = [line for line in lines if line]
    number = int.from_bytes(hashlib.sha256(item.key.encode()).digest()[:4], "big")
    english = ENGLISH[number % len(ENGLISH)].format(
        subject=name or f"something mostly {colour.name}",
        text=" with the words " + ", ".join(f'"{line}"' for line in said) if said else "",
    )
    chinese = CHINESE[number % len(CHINESE)].format(
        subject=f" {name} " if name else f"以{colour.chinese}色为主的画面",
        text="，上面写着" + "、".join(f"“{line}”" for line in said) if said else "",
    )
    return english, " ".join(chinese.split())


def subject(key: str) -> str:
    """The words of a file's name, if they say anything: photos/red-fox_02.jpg is red fox."""
    words = [word.lower() for word in _WORD.findall(PurePosixPath(key).stem)]
    return " ".join(word for word in words if word not in _NAMELESS)


def main_colour(image: Pixels) -> str:
    """The named colour that covers most of the image."""
    small = Image.fromarray(image).resize((8, 8), Image.Resampling.BOX)
    names = [nearest((int(r), int(g), int(b))) for r, g, b in np.asarray(small).reshape(-1, 3)]
    return max(sorted(set(names)), key=names.count)
