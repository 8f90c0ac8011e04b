"""A training sample: an image, its captions, and the position of its text and objects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels
Quad = tuple[float, ...]  # x, y of four corners, clockwise from the text's top left
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Line:
    """One text of an image, as drawn.

    box: bounding box of the ink. characters: that of every character of `text`, white space
    included (its advance, as high as the line). squares: the areas that the glyph encoder's
    bitmaps of the characters cover (`render.text_shape`). place: one of `ocr.places`.
    role: the text's function in a layout, such as "title"; such a text may have several rows, or
    columns if `vertical`. quad, quads: corners of the text and of its characters if it is rotated,
    bent or seen in perspective; then the boxes enclose them. Empty for upright text.
    effects: names of the effects it is drawn with.
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
class DrawnObject:
    """One object as drawn: English and Chinese name, box and place."""

    name: str
    chinese: str
    box: Box
    place: str


@dataclass(frozen=True)
class Edit:
    """The edit that turns another image into this one.

    of: row of the other image relative to this one, such as -1. captions: instructions, which
    quote the new text.
    """

    of: int
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """An image with its captions and metadata.

    image: [height, width, 3] uint8 RGB. background: "kind" (flat, gradient, texture, photograph;
    "found" if unknown) and its parameters: "colour", "second" (end of a gradient), "texture",
    "photograph"; for a sheet that does not fill the image also "behind", a colour, or "surface", a
    photograph. layout: its name; empty for lines placed freely. dropped: number of drafts of this
    image that were dropped because a font lacked a glyph. edit: set if the image is an edit of
    another one in the dataset.
    """

    image: Pixels
    captions: tuple[str, ...]
    lines: tuple[Line, ...]
    background: dict[str, str]
    objects: tuple[DrawnObject, ...]
    seed: int
    index: int
    layout: str = ""
    dropped: int = 0
    edit: Edit | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything but the image, as JSON types."""
        named = ("captions", "background", "seed", "index", "layout", "dropped")
        fields = {name: getattr(self, name) for name in named}
        if self.edit is not None:
            fields |= {"edit": asdict(self.edit)}
        lines = [asdict(line) for line in self.lines]
        return fields | {"lines": lines, "objects": [asdict(thing) for thing in self.objects]}

    @classmethod
    def from_json(cls, fields: dict[str, Any], image: Pixels) -> Sample:
        """The inverse of `to_json`, also after a round trip through JSON."""
        return cls(
            image=image,
            captions=tuple(fields["captions"]),
            lines=tuple(_line(line) for line in fields["lines"]),
            background=dict(fields["background"]),
            objects=tuple(DrawnObject(**_boxed(thing)) for thing in fields["objects"]),
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
