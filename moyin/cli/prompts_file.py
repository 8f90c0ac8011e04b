"""Read the file of `moyin generate --prompts`: JSON lines, one image each."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from pathlib import Path
from typing import Any

from moyin.inference.batch import DIGESTS, REWRITING, ImageFile, Row
from moyin.inference.config import GenerationConfig
from moyin.prompt.grid import Grid, parse_size

# A plain file name: no separator, no leading dot.
_ID = re.compile(r"\w[\w.-]{0,199}")
_SETTINGS = {f.name for f in dataclasses.fields(GenerationConfig)}
# Similarity from which an unknown field counts as a misspelt one: "stpes" for "steps".
_SIMILAR = 0.8


def read_rows(path: Path, defaults: GenerationConfig, seed: int, sized: bool = False) -> list[Row]:
    """All rows of a .jsonl file.

    A row has "id" and "prompt", and may have "seed", "size" ("WIDTHxHEIGHT"), "images" (paths
    inside the file's folder) and any field of GenerationConfig; other fields are copied to the
    manifest. A row with images has the size of its first image, unless the row names a size or
    `sized` says that the defaults do. Raises ValueError with the number of the first invalid line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"{path} cannot be read: {e}") from None
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _row(json.loads(line), defaults, seed, path.parent, sized)
            if row.id in rows:
                raise ValueError(f"duplicate id {row.id}")
        except ValueError as e:
            raise ValueError(f"{path} line {number}: {e}") from None
        rows[row.id] = row
    if not rows:
        raise ValueError(f"{path} has no rows")
    return list(rows.values())


def _row(fields: Any, defaults: GenerationConfig, seed: int, folder: Path, sized: bool) -> Row:
    if not isinstance(fields, dict):
        raise ValueError('a row is an object: {"id": …, "prompt": …}')
    name, prompt = fields.pop("id", None), fields.pop("prompt", None)
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(f"id {name!r} must be letters, digits, - _ and . without a leading dot")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("the prompt is missing or empty")
    seed = fields.pop("seed", seed)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(f"seed {seed!r} must be a whole number")
    images = _images(fields.pop("images", []), folder)
    settings = {k: fields.pop(k) for k in list(fields) if k in _SETTINGS}
    if "size" in fields and settings.keys() & {"height", "width"}:
        raise ValueError("give either size or height and width, not both")
    if images and not sized:
        settings = _sides(images[0].grid) | settings
    if "size" in fields:
        settings |= _sides(parse_size(str(fields.pop("size"))))
    more = {k: v for k, v in fields.items() if k not in (*REWRITING, DIGESTS)}
    _check_names(more)
    return Row(name, prompt, dataclasses.replace(defaults, **settings), seed, more, images)


def _images(paths: Any, folder: Path) -> tuple[ImageFile, ...]:
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ValueError('images must be a list of paths: "images": ["a.png"]')
    return tuple(ImageFile.open(path, folder) for path in paths)


def _sides(grid: Grid) -> dict[str, Any]:
    return {"height": grid.height, "width": grid.width}


def _check_names(more: dict[str, Any]) -> None:
    """ValueError for an unknown field whose name resembles a known one."""
    if "image" in more:
        raise ValueError('unknown field image: write "images": [paths]')
    for name in more:
        near = difflib.get_close_matches(name, {*_SETTINGS, "seed", "size", "images"}, 1, _SIMILAR)
        if near:
            raise ValueError(f"unknown field {name}: did you mean {near[0]}? If not, rename it")
