"""Captions that accompany an image, in the common formats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from moyin.data.readers import listing

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm")
FIELDS = ("caption", "captions", "text", "texts", "prompt", "title", "description")
MAX_CAPTIONS = 64  # of one image


def from_fields(fields: Any) -> tuple[str, ...]:
    """The captions in a table row or a JSON object: strings, or lists of them, in a field of
    `FIELDS` or one with a suffix such as `caption_zh`; empty without such fields."""
    if not isinstance(fields, Mapping):
        return ()
    names = (name for name in fields if isinstance(name, str) and is_caption_field(name))
    return tuple(text for name in names for text in _strings(fields[name]))[:MAX_CAPTIONS]


def is_caption_field(name: str) -> bool:
    """Whether a field of this name holds captions."""
    return name.lower().partition("_")[0] in FIELDS


def from_file(content: bytes, is_json: bool) -> tuple[str, ...]:
    """The captions in a file's bytes: one text, or JSON fields. ValueError for invalid JSON."""
    text = _decode(content)
    if not is_json:
        return (text,) if text.strip() else ()
    try:
        return from_fields(json.loads(text))
    except (ValueError, RecursionError):
        raise ValueError("captions are not JSON") from None


def sidecar_captions(image: Path, suffixes: Sequence[str], max_bytes: int) -> tuple[str, ...]:
    """The captions in files with the image's name and one of these suffixes.

    ValueError if such a file cannot be read.
    """
    paths = (image.with_suffix(suffix) for suffix in suffixes)
    existing = (listing.inside(path.parent, path.name) for path in paths if path.is_file())
    return tuple(
        caption
        for path in existing
        for caption in from_file(listing.load(path, max_bytes), path.suffix == ".json")
    )


def is_sidecar(path: Path, suffixes: Sequence[str]) -> bool:
    """Whether this file holds the captions of an image in the same folder."""
    if path.suffix not in suffixes:
        return False
    return any(path.with_suffix(end).is_file() for s in IMAGES for end in (s, s.upper()))


def _strings(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [text for text in values if isinstance(text, str) and text.strip()]


def _decode(content: bytes) -> str:
    """Text in UTF-8 or in the older Chinese encoding; other bytes become replacement characters."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("utf-8", "replace")
