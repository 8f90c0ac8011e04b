"""Readings kept as they are made: an evaluation that was stopped goes on with the next image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moyin.evaluate.task import Found, Item, Suite
from moyin.ocr.engine import OCREngine
from moyin.ocr.result import Pixels

VERSION = 2  # goes up whenever the same engine may find something else in the same image


class Kept:
    """What was found, by key, in JSON lines that are added to as it is found; a line cut short
    by a crash is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = dict(_read(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = "".join(_line(key, found) for key, found in self._known.items())
        part = path.with_suffix(".part")
        part.write_text(whole, "utf-8")
        part.replace(path)

    def __call__(self, key: str, find: Callable[[], Found]) -> Found:
        """What is kept under a key; found now where nothing is."""
        if key not in self._known:
            self._known[key] = find()
            with self.path.open("a", encoding="utf-8") as f:
                f.write(_line(key, self._known[key]))
        return self._known[key]


class Reader:
    """Looks at images as a suite says; what was found before is not looked for again."""

    def __init__(self, suite: Suite, engine: OCREngine, path: Path) -> None:
        """path: where it is kept."""
        self.suite, self.engine, self.kept = suite, engine, Kept(path)

    def __call__(self, item: Item, image_hwc: Pixels) -> Found:
        """What the image of an item shows."""
        key = self._key(item, image_hwc)
        return self.kept(key, lambda: self.suite.look(self.engine, image_hwc, item))

    def _key(self, item: Item, image_hwc: Pixels) -> str:
        """Of all that a reading depends on."""
        asked = f"{VERSION}\n{self.engine.name}\n{self.suite.name}\n{item!r}\n{image_hwc.shape}"
        return hashlib.sha256(asked.encode() + image_hwc.tobytes()).hexdigest()


def _line(key: str, found: Found) -> str:
    fields = {"key": key, "lines": list(found.lines), "right": dict(found.right)}
    return json.dumps({**fields, "seen": dict(found.seen)}, ensure_ascii=False) + "\n"


def _read(path: Path) -> list[tuple[str, Found]]:
    found = []
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            fields: dict[str, Any] = json.loads(line)
            kept = Found(lines=tuple(fields["lines"]), right=fields["right"], seen=fields["seen"])
            found.append((str(fields["key"]), kept))
        except (ValueError, TypeError, KeyError):
            continue
    return found
