"""Captions for images that have none: from a vision-language model, or from templates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from moyin.clients.captioner import Captioner
from moyin.clients.http import Denied
from moyin.data.filters.caption_filter import clean_captions
from moyin.data.item import Item
from moyin.dataset.sample import Pixels
from moyin.ocr.colours import COLOURS, nearest

_WORD = re.compile("[^\\W\\d_]{2,}")
# Words of file names that say nothing about the image, such as those of cameras: IMG_1234.
_MEANINGLESS = {
    "img",
    "dsc",
    "dscn",
    "image",
    "picture",
    "photo",
    "pic",
    "scan",
    "untitled",
    "file",
}

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
    """Captions images that have no caption, or all that are not rendered if `always`.

    An image whose caption the model does not deliver is dropped; the run goes on. It ends with
    ValueError if the server refuses every request, as it does for a wrong key.
    """

    name = "caption"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """url, model: a server with OpenAI's chat completions and image input, such as
        http://127.0.0.1:8000/v1. Without one, templates are filled with the words of the file
        name, or else the main colour, and with the text read by OCR."""

        url: str = ""
        model: str = ""
        always: bool = False

        def build(self) -> Caption:
            return Caption(self)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._captioner = Captioner(url=config.url, model=config.model) if config.url else None

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        if self._captioner is None:
            return [self._caption(item) for item in items]
        with ThreadPoolExecutor(max(1, len(items))) as pool:
            return list(pool.map(self._caption, items))

    def _caption(self, item: Item) -> Item:
        captioned = bool(clean_captions(item.sample.captions, 100))
        if item.rendered or (captioned and not self.config.always):
            return item
        if self._captioner is None:
            return item.with_sample(captions=fill_templates(item)).with_notes("template captions")
        try:
            return item.with_sample(captions=self._captioner(item.sample.image))
        except Denied:
            raise
        except ValueError as error:
            return item.drop(self.name, "captioner failed", str(error))


def fill_templates(item: Item) -> tuple[str, str]:
    """An English and a Chinese caption, from the file's name or the main colour, and the text
    read by OCR. The choice of the template depends on the item's key alone."""
    name = subject(item.key)
    colour = COLOURS[main_colour(item.sample.image)]
    text = str(item.values.get("ocr_text", "")).replace('"', "")
    lines = [line for line in text.split("\n") if line]
    number = int.from_bytes(hashlib.sha256(item.key.encode()).digest()[:4], "big")
    english = ENGLISH[number % len(ENGLISH)].format(
        subject=name or f"something mostly {colour.name}",
        text=" with the words " + ", ".join(f'"{line}"' for line in lines) if lines else "",
    )
    chinese = CHINESE[number % len(CHINESE)].format(
        subject=f" {name} " if name else f"以{colour.chinese}色为主的画面",
        text="，上面写着" + "、".join(f"“{line}”" for line in lines) if lines else "",
    )
    return english, " ".join(chinese.split())


def subject(key: str) -> str:
    """The meaningful words of a file's name: "red fox" for photos/red-fox_02.jpg."""
    words = [word.lower() for word in _WORD.findall(PurePosixPath(key).stem)]
    return " ".join(word for word in words if word not in _MEANINGLESS)


def main_colour(image: Pixels) -> str:
    """The named colour that covers most of the image."""
    small = Image.fromarray(image).resize((8, 8), Image.Resampling.BOX)
    names = [nearest((int(r), int(g), int(b))) for r, g, b in np.asarray(small).reshape(-1, 3)]
    return max(sorted(set(names)), key=names.count)
