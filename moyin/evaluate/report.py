"""What a run says: scores by group as JSON and as a table, and all pictures on one sheet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from moyin.data import faces
from moyin.evaluate.judge import Seen
from moyin.evaluate.suite import FACE, Expectation
from moyin.recognise import scores

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Scores = dict[str, float]

COLUMNS = {
    "characters": "characters",
    "exact": "exact",
    "ned": "NED",
    "background": "background",
    "colour": "text colour",
    "place": "place",
}
THUMBNAIL, CAPTION, ACROSS = 150, 44, 10  # of the sheet, in pixels; pictures a row


@dataclass(frozen=True)
class Judged:
    """One picture: what was asked for and what is seen."""

    asked: Expectation
    seen: Seen

    @property
    def right(self) -> dict[str, bool]:
        """Which of the parts are as asked for."""
        names = ("background", "colour", "place")
        parts = {n: bool(getattr(self.seen, n) == getattr(self.asked, n)) for n in names}
        return {"exact": scores.exact(self.asked.text, self.seen.text), **parts}


def score(judged: Sequence[Judged]) -> Scores:
    """Shares in [0, 1]; the number of pictures stands with them."""
    pairs = [([j.asked.text], [j.seen.text]) for j in judged]
    strict = scores.strict.of(pairs)
    shares = {
        **scores.characters.of(pairs),
        "ned": strict["ordered_ned"],
        "precision": strict["precision"],
        "f1": strict["f1"],
    }
    rights = [j.right for j in judged]
    return {
        "pictures": len(judged),
        **shares,
        **{part: float(np.mean([r[part] for r in rights])) for part in rights[0]},
    }


GROUPS: dict[str, Callable[[Expectation], bool]] = {
    "all": lambda asked: True,
    "Chinese": lambda asked: asked.language == "zh",
    "English": lambda asked: asked.language == "en",
    "1 character": lambda asked: len(asked.text) == 1,
    "2 characters": lambda asked: len(asked.text) == 2,
    "3 characters": lambda asked: len(asked.text) == 3,
    "4 characters": lambda asked: len(asked.text) == 4,
}


def by_group(judged: Sequence[Judged]) -> dict[str, Scores]:
    """The scores of each group that has pictures."""
    members = {name: [j for j in judged if within(j.asked)] for name, within in GROUPS.items()}
    return {name: score(some) for name, some in members.items() if some}


def row(judged: Judged) -> dict[str, Any]:
    """One picture in JSON's types."""
    return {"asked": asdict(judged.asked), "seen": asdict(judged.seen), "right": judged.right}


def write(path: Path, content: dict[str, Any]) -> None:
    """JSON, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
    part.replace(path)


def show(title: str, groups: dict[str, Scores], ceiling: dict[str, Scores]) -> None:
    """The table on stdout, a row a group; the last is the same judge's on perfect pictures."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in ("n", *COLUMNS.values()):
        table.add_column(name, justify="right")
    for name, group in [*groups.items(), ("perfect pictures", ceiling["all"])]:
        shares = [f"{group[column]:.0%}" for column in COLUMNS]
        table.add_row(name, str(int(group["pictures"])), *shares, end_section=name == [*groups][-1])
    Console().print(table)


def sheet(pictures: Sequence[Pixels], judged: Sequence[Judged]) -> Image.Image:
    """Every picture with what was asked for and read; in red what is wrong."""
    rows = -(-len(pictures) // ACROSS)
    high = THUMBNAIL + CAPTION
    image = Image.new("RGB", (min(ACROSS, len(pictures)) * THUMBNAIL, rows * high), "white")
    drawing, small = ImageDraw.Draw(image), faces.font(faces.shipped()[FACE], 11)
    for number, (picture, one) in enumerate(zip(pictures, judged, strict=True)):
        left, top = number % ACROSS * THUMBNAIL, number // ACROSS * high
        side = THUMBNAIL - 4
        image.paste(Image.fromarray(picture).resize((side, side)), (left, top))
        wrong = [part for part, right in one.right.items() if not right]
        drawing.text(
            (left + 2, top + side + 2), f"{one.asked.text} > {one.seen.text}", "black", small
        )
        faults = " ".join(part for part in wrong if part != "exact")
        ink = "red" if wrong else "green"
        told = faults or ("misread" if wrong else "right")
        drawing.text((left + 2, top + side + 20), told, ink, small)
    return image
