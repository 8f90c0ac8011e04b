"""The captions that stand beside an image, in whatever form people keep them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from moyin.data.readers import walk

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm")
FIELDS = ("caption", "captions", "text", "texts", "prompt", "title", "description")
MOST = 64  # captions of one image


def of_fields(fields: Any) -> tuple[str, ...]:
    """The captions in a row of a table or a JSON object: strings or lists of them, under one of
    `FIELDS` or a name such as `caption_zh`; empty where there are none."""
    if not isinstance(fields, Mapping):
        return ()
    named = (name for name in fields if isinstance(name, str) and is_field(name))
    return tuple(text for name in named for text in _strings(fields[name]))[:MOST]


def is_field(name: str) -> bool:
    """Whether a column of this name holds captions."""
    return name.lower().partition("_")[0] in FIELDS


def of_text(content: bytes, is_json: bool) -> tuple[str, ...]:
    """The captions in a file's bytes: one text, or JSON's fields. ValueError for broken JSON."""
    text = _decoded(content)
    if not is_json:
        return (text,) if text.strip() else ()
    try:
        return of_fields(json.loads(text))
    except (ValueError, RecursionError):
        raise ValueError("captions are no JSON") from None


def beside(image: Path, suffixes: Sequence[str], largest: int) -> tuple[str, ...]:
    """The captions in the files of this image's name with other endings.

    ValueError where one of them cannot be read.
    """
    paths = (image.with_suffix(suffix) for suffix in suffixes)
    there = (walk.inside(path.parent, path.name) for path in paths if path.is_file())
    return tuple(t for p in there for t in of_text(walk.load(p, largest), p.suffix == ".json"))


def belongs(path: Path, suffixes: Sequence[str]) -> bool:
    """Whether this file holds the captions of an image that stands beside it."""
    if path.suffix not in suffixes:
        return False
    return any(path.with_suffix(end).is_file() for s in IMAGES for end in (s, s.upper()))


def _strings(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [text for text in values if isinstance(text, str) and text.strip()]


def _decoded(content: bytes) -> str:
    """UTF-8, or the older encoding of Chinese text; what is neither has marks in it."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("utf-8", "replace")
