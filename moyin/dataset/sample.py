"""What one training image is: its pixels, what it says of itself, and what stands where."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels
Quad = tuple[float, ...]  # x, y of four corners, clockwise from the text's own top left
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Line:
    """One line of text as drawn.

    `box` is the line's ink; `characters` holds the ink of every character of `text`, in order,
    blanks included (a blank's box is its advance, as high as the line). `squares` are what the
    glyph encoder's bitmaps of them cover (`data.shape`). `role` is what the line is in a layout,
    a title for example; there a line may be set in several rows, or `vertical` in columns. Where it
    is turned, bent or seen at an angle, boxes are those around `quad` and the characters' `quads`,
    which follow the ink; they are empty where the boxes themselves do. `effects`: how it is drawn.
    """

    text: str
    box: Box
    characters: tuple[Box, ...]
    squares: tuple[Box, ...]
    colour: str
    font: str
    place: str
    role: str = ""
    quad: Quad = ()
    quads: tuple[Quad, ...] = ()
    vertical: bool = False
    effects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thing:
    """One pictured object as drawn: English and Chinese name, box and place."""

    name: str
    chinese: str
    box: Box
    place: str


@dataclass(frozen=True)
class Edit:
    """What makes an image of another one: `of` is how many rows of the dataset the other one is
    away, -1 for the one before; `captions` ask for it, and quote what is to be written."""

    of: int
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """An image [height, width, 3] uint8 with its captions and everything that is known of it.

    `background` holds "kind" (flat, gradient, texture, photograph) and what that kind needs:
    "colour", "second" (a gradient's other end), "texture", "photograph"; of a sheet also
    "behind", a colour, or "surface", a photograph, where it does not fill the image. `layout` is
    its name, empty for lines placed freely; `dropped` counts the drafts of this image that had a
    character without a glyph. `edit` is there where it is made of another image of its dataset.
    """

    image: Pixels
    captions: tuple[str, ...]
    lines: tuple[Line, ...]
    background: dict[str, str]
    objects: tuple[Thing, ...]
    seed: int
    index: int
    layout: str = ""
    dropped: int = 0
    edit: Edit | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything but the image, in JSON's own types."""
        named = ("captions", "background", "seed", "index", "layout", "dropped")
        fields = {name: getattr(self, name) for name in named}
        if self.edit is not None:
            fields |= {"edit": asdict(self.edit)}
        lines = [asdict(line) for line in self.lines]
        return fields | {"lines": lines, "objects": [asdict(thing) for thing in self.objects]}

    @classmethod
    def from_json(cls, fields: dict[str, Any], image: Pixels) -> Sample:
        """The inverse of `to_json`, also after a walk through JSON text."""
        return cls(
            image=image,
            captions=tuple(fields["captions"]),
            lines=tuple(_line(line) for line in fields["lines"]),
            background=dict(fields["background"]),
            objects=tuple(Thing(**_boxed(thing)) for thing in fields["objects"]),
            seed=fields["seed"],
            index=fields["index"],
            layout=fields.get("layout", ""),
            dropped=fields.get("dropped", 0),
            edit=_edit(fields["edit"]) if "edit" in fields else None,
        )


def _boxed(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"box": tuple(fields["box"])}


def _edit(fields: dict[str, Any]) -> Edit:
    return Edit(fields["of"], tuple(fields["captions"]))


def _line(fields: dict[str, Any]) -> Line:
    boxes = {name: tuple(map(tuple, fields[name])) for name in ("characters", "squares")}
    quads = {"quad": tuple(fields.get("quad", ())), "effects": tuple(fields.get("effects", ()))}
    more = quads | {"quads": tuple(map(tuple, fields.get("quads", ())))}
    return Line(**_boxed(fields) | boxes | more)
