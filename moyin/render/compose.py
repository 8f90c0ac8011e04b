"""Draw a layout: a sheet with panels, texts and objects, and the sheet in its surroundings.

Everything is drawn flat on the sheet. The sheet fills the image, lies on a plain background, or is
seen in perspective in a photograph. Every warp also transforms the boxes of the characters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from moyin.dataset.sample import Box, DrawnObject, Line, Quad
from moyin.ocr.colours import COLOURS, RGB
from moyin.render import assets, backgrounds, effects, fonts, typesetting, warps
from moyin.render.fonts import Font
from moyin.render.layouts import Layout, Panel, Region
from moyin.render.phrases import Phrases
from moyin.render.text import pick, traditional

SURFACES = ("brick", "grass", "gravel")  # photographs in which a sheet can be
BUBBLES = ("white", "green")
FLAT = 0.94  # share of the image that an upright sheet takes
TURN, ARCH = (0.05, 0.22), (0.5, 1.3)  # ranges of angles, in radians


class MissingGlyph(Exception):
    """A font has no glyph for a character of a text."""


@dataclass(frozen=True, kw_only=True)
class LayoutRequest:
    """What to draw.

    script: zh, hant, en or mixed. required: the main text; empty for any text. effects, surfaces,
    objects: probabilities of effects on a main text, of perspective, and of an object.
    """

    size: int
    layout: Layout
    script: str
    required: str
    phrases: Phrases
    effects: float
    surfaces: float
    objects: float


@dataclass
class Composition:
    """An image with its metadata; boxes are in pixels of `image`."""

    image: Image.Image
    background: dict[str, str]
    lines: list[Line]
    objects: list[DrawnObject]


def compose(
    request: LayoutRequest, available: Sequence[Font], random: np.random.Generator
) -> Composition:
    """Draw one image, with fonts from `available`. Raises MissingGlyph if a font lacks
    a character of its text."""
    layout = request.layout
    angled = layout.hangs and random.random() < request.surfaces
    ratio = random.uniform(*layout.ratio)
    # A square layout that does not hang anywhere always fills the image.
    fills = not angled and layout.ratio[1] == 1.0 and (not layout.hangs or random.random() < 0.7)
    ratio = 1.0 if fills else ratio
    longest = request.size * (1.0 if fills else FLAT)
    extent = (round(longest * min(1, ratio)), round(longest * min(1, 1 / ratio)))
    sheet = _Sheet(request, extent, available, random).draw()
    if fills:
        return sheet
    return _angled(sheet, request, random) if angled else _upright(sheet, request, random)


class _Sheet:
    """A flat sheet of `extent` pixels."""

    def __init__(
        self,
        request: LayoutRequest,
        extent: tuple[int, int],
        available: Sequence[Font],
        random: np.random.Generator,
    ) -> None:
        self.request, self.layout, self.extent, self.random = (
            request,
            request.layout,
            extent,
            random,
        )
        self.unit = min(extent)
        kinds = list(self.layout.grounds)
        weights = np.array([self.layout.grounds[kind] for kind in kinds])
        kind = kinds[int(random.choice(len(kinds), p=weights / weights.sum()))]
        image, background, colours = backgrounds.draw(
            kind, max(extent), random, self.layout.colours
        )
        self.result = Composition(image.crop((0, 0, *extent)), background, [], [])
        self.inks = tuple(c for c in colours if c in self.layout.inks) or colours
        self.ink: RGB = COLOURS[pick(self.inks, random)].rgb
        self.rows = int(random.integers(self.layout.rows[0], self.layout.rows[1] + 1))
        self.first_side = int(random.integers(2))
        self.fonts = self._fonts(available)
        self.colours: dict[str, str] = {}  # of texts, by role

    def _fonts(self, available: Sequence[Font]) -> tuple[Font, Font]:
        """The font of the main text and that of the others."""
        probe = {"hant": "國的", "en": "a"}.get(self.request.script, "的")
        styles = self.layout.styles
        usable = [font for font in available if fonts.covers(font, probe)]
        if not usable:
            raise MissingGlyph
        styled = [font for font in usable if not styles or font.style in styles] or usable
        main = [font for font in styled if fonts.covers(font, self.request.required)]
        main = main or [font for font in usable if fonts.covers(font, self.request.required)]
        if not main:
            raise MissingGlyph
        return pick(main, self.random), pick(styled, self.random)

    def draw(self) -> Composition:
        for panel in self.layout.panels:
            for number, box in self._boxes(panel):
                self._draw_panel(panel, number, box)
        for region in self.layout.regions:
            if region.share < 1 and self.random.random() >= region.share:
                continue
            for _, box in self._boxes(region):
                self._place_text(region, box)
        for room in self.layout.objects:
            if self.random.random() < self.request.objects:
                self._draw_object(room)
        if not self.result.lines:
            raise MissingGlyph
        return self.result

    def _boxes(self, part: Panel | Region) -> Iterator[tuple[int, Box]]:
        """The box of a part in pixels, or those of its rows, numbered."""
        (w, h), (left, top, right, bottom) = self.extent, part.box
        count = self.rows if part.rows else 1
        high, gap = (bottom - top) / count, 0.14 * (bottom - top) / count * part.rows
        for i in range(count):
            x, end = left, right
            if part.sides:
                wide = 0.66 * (right - left)
                x = left if (i + self.first_side) % 2 == 0 else right - wide
                end = x + wide
            y, inset = top + i * high + gap / 2, part.inset * self.unit
            box = (x * w + inset, y * h + inset, end * w - inset, (y + high - gap) * h - inset)
            yield i, box

    def _draw_panel(self, panel: Panel, number: int, box: Box) -> None:
        side = (number + self.first_side) % 2
        named = {"": None, "ink": self.ink, "bubble": COLOURS[BUBBLES[side]].rgb}
        fill, edge = (
            named[name] if name in named else COLOURS[name].rgb for name in (panel.fill, panel.edge)
        )
        ImageDraw.Draw(self.result.image).rounded_rectangle(
            box,
            radius=panel.round * self.unit,
            fill=fill,
            outline=edge,
            width=max(1, round(panel.width * self.unit)) if edge else 0,
        )

    def _place_text(self, region: Region, box: Box) -> None:
        """Draw one text into the box, or nothing if none of a few random ones fits."""
        vertical = self.random.random() < region.vertical
        sizes = (region.ems[0] * self.unit, region.ems[1] * self.unit)
        extent = (box[2] - box[0], box[3] - box[1])
        font = self.fonts[0 if region.main else 1]
        required = self.request.required
        use_required = region.main and required and required not in self._texts()
        for _ in range(1 if use_required else 8):
            text = required if use_required else self._phrase(region)
            in_columns = vertical and not text.isascii()
            if not fonts.covers(font, text):
                raise MissingGlyph
            if text in self._texts():
                continue
            layout = typesetting.fit_text(
                text,
                font,
                extent,
                (0.0 if use_required else sizes[0], sizes[1]),
                vertical=in_columns,
                most=region.lines,
                align=region.align,
            )
            if layout is not None:
                return self._draw_text(region, text, font, layout, box)
        return None

    def _texts(self) -> set[str]:
        return {line.text for line in self.result.lines}

    def _phrase(self, region: Region) -> str:
        script = self.request.script
        language = pick(("zh", "en"), self.random) if script == "mixed" else script
        phrase = self.request.phrases(region.kind, "en" if language == "en" else "zh", self.random)
        return traditional(phrase) if language == "hant" else phrase

    def _draw_text(
        self, region: Region, text: str, font: Font, layout: typesetting.TextLayout, box: Box
    ) -> None:
        chosen = self._effects(region)
        block = typesetting.block(text, font, layout)
        warp = self._warp(chosen, block, layout)
        room = min((box[2] - box[0]) / warp.size[0], (box[3] - box[1]) / warp.size[1])
        if room < 1 and not isinstance(warp, warps.Straight):
            block = typesetting.block(text, font, replace(layout, em=layout.em * room * 0.98))
            warp = replace(warp, flat=block.ink.size)
        if isinstance(warp, warps.Straight):
            chosen = tuple(name for name in chosen if name not in ("turn", "arch"))
        ink = warp.image(block.ink)
        spare = (box[2] - box[0] - ink.width, box[3] - box[1] - ink.height)
        share = {"left": 0.0, "middle": 0.5, "right": 1.0}[region.align]
        x, y = round(box[0] + share * spare[0]), round(box[1] + spare[1] / 2)
        colour, legible = self._colour(region, (x, y, x + ink.width, y + ink.height))
        style = effects.random_paint(colour, legible, layout.em, chosen, self.random)
        if style.second is None:
            chosen = tuple(name for name in chosen if name != "gradient")
        effects.paint(self.result.image, ink, (x, y), style)
        line = _line(text, block, warp, (x, y))
        self.result.lines.append(
            replace(
                line,
                colour=colour,
                font=font.name,
                role=region.role,
                vertical=layout.vertical,
                effects=chosen,
            )
        )

    def _colour(
        self, region: Region, box: tuple[int, int, int, int]
    ) -> tuple[str, tuple[str, ...]]:
        """The colour of a text in the box, that of its role if it is legible, and all legible
        colours."""
        legible = backgrounds.legible(self.result.image.crop(box), self.inks)
        of_role = self.colours.get(region.role)
        colour = of_role if of_role in legible else pick(legible, self.random)
        self.colours[region.role] = colour
        return colour, legible

    def _effects(self, region: Region) -> tuple[str, ...]:
        if not region.effects or self.random.random() >= self.request.effects:
            return ()
        count = min(len(region.effects), int(self.random.integers(1, 3)))
        order = self.random.permutation(len(region.effects))[:count]
        chosen = [region.effects[i] for i in sorted(order)]
        return tuple(name for name in chosen if name != "arch" or "turn" not in chosen)

    def _warp(
        self, chosen: tuple[str, ...], block: typesetting.Block, layout: typesetting.TextLayout
    ) -> warps.Warp:
        sign = pick((-1, 1), self.random)
        if "turn" in chosen:
            return warps.Rotated(block.ink.size, sign * self.random.uniform(*TURN))
        # Short rows and columns are not bent.
        if "arch" in chosen and not layout.vertical and block.ink.width > 2.5 * block.ink.height:
            return warps.Arched(block.ink.size, sign * self.random.uniform(*ARCH))
        return warps.Straight(block.ink.size)

    def _draw_object(self, room: Box) -> None:
        (w, h), number = self.extent, int(self.random.integers(len(assets.object_names())))
        side = round(min((room[2] - room[0]) * w, (room[3] - room[1]) * h))
        x = round((room[0] + room[2]) / 2 * w - side / 2)
        y = round((room[1] + room[3]) / 2 * h - side / 2)
        box = (float(x), float(y), float(x + side), float(y + side))
        picture = assets.object_image(number).resize((side, side), Image.Resampling.BICUBIC)
        self.result.image.paste(picture, (x, y), picture)
        name = assets.object_names()[number]
        self.result.objects.append(DrawnObject(name.english, name.chinese, box, ""))


def _upright(
    sheet: Composition, request: LayoutRequest, random: np.random.Generator
) -> Composition:
    """The sheet upright on a plain background, with a shadow."""
    kind = pick(("flat", "flat", "gradient", "texture"), random)
    others = tuple(name for name in COLOURS if name != sheet.background.get("colour"))
    image, background, _ = backgrounds.draw(kind, request.size, random, others)
    (w, h), spare = (
        sheet.image.size,
        (request.size - sheet.image.width, request.size - sheet.image.height),
    )
    x, y = (round(random.uniform(0.3, 0.7) * length) for length in spare)
    corners = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], float)
    _shade(image, corners, request.size)
    image.paste(sheet.image, (x, y))
    if kind == "flat":
        sheet.background["behind"] = background["colour"]
    offset = np.array((x, y), float)
    return _transformed(sheet, image, lambda points: points + offset)


def _angled(sheet: Composition, request: LayoutRequest, random: np.random.Generator) -> Composition:
    """The sheet in a photograph, seen in perspective."""
    surface = pick(SURFACES, random)
    image = backgrounds.window(surface, request.size, random)
    corners = _perspective(sheet.image.size, request.size, random)
    _shade(image, corners, request.size)
    # Only what the sheet covers is warped.
    low = np.floor(corners.min(0))
    wide, high = np.ceil(corners.max(0) - low).astype(int).tolist()
    warp = warps.Projected(sheet.image.size, tuple(map(tuple, corners - low)), (wide, high))
    mask = Image.new("L", (2 * wide, 2 * high))
    ImageDraw.Draw(mask).polygon([(2 * x, 2 * y) for x, y in corners - low], fill=255)
    place = (int(low[0]), int(low[1]))
    image.paste(warp.image(sheet.image), place, mask.reduce(2))
    sheet.background["surface"] = surface
    return _transformed(sheet, image, lambda points: warp.points(points) + low)


def _perspective(extent: tuple[int, int], size: int, random: np.random.Generator) -> warps.Points:
    """The corners [4, 2] of a sheet that is rotated in space about its middle and seen from twice
    its length away, scaled to fit the image."""
    half = np.array(extent) / max(extent)
    flat = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]) * [*half, 0]
    yaw, pitch, roll = (random.uniform(-most, most) for most in (0.7, 0.5, 0.14))
    c, s = math.cos(roll), math.sin(roll)
    turned = flat @ np.array([(c, -s, 0), (s, c, 0), (0, 0, 1)])
    c, s = math.cos(yaw), math.sin(yaw)
    turned = turned @ np.array([(c, 0, -s), (0, 1, 0), (s, 0, c)])
    c, s = math.cos(pitch), math.sin(pitch)
    turned = turned @ np.array([(1, 0, 0), (0, c, -s), (0, s, c)])
    seen = turned[:, :2] / (4 + turned[:, 2:])
    low, high = seen.min(0), seen.max(0)
    scale = size * random.uniform(0.84, 0.95) / (high - low).max()
    spare = size - (high - low) * scale
    corners: warps.Points = (seen - low) * scale + spare * random.uniform(0.3, 0.7, 2)
    return corners


def _shade(image: Image.Image, corners: warps.Points, size: int) -> None:
    """Draw the shadow of a sheet. It is soft, so it is drawn at a quarter of the size."""
    depth = size / 90
    low = np.floor(np.clip(corners.min(0) - 2 * depth, 0, size)).astype(int)
    high = np.ceil(np.clip(corners.max(0) + 3 * depth, 0, size)).astype(int)
    wide, tall = (high - low).tolist()
    mask = Image.new("L", (wide // 4 + 1, tall // 4 + 1))
    inside = (corners + depth - low) / 4
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in inside], fill=140)
    soft = mask.filter(ImageFilter.GaussianBlur(depth / 4))
    scale = (soft.width / wide, soft.height / tall) * 2
    for box in _around((0, 0, wide, tall), corners - low):
        left, top, right, bottom = box
        part = tuple(end * by for end, by in zip(box, scale, strict=True))
        strip = soft.resize((right - left, bottom - top), Image.Resampling.BILINEAR, part)
        image.paste(effects.BLACK, (int(low[0]) + left, int(low[1]) + top), strip)


def _around(
    whole: tuple[int, int, int, int], corners: warps.Points
) -> Iterator[tuple[int, int, int, int]]:
    """The parts of `whole` above, left, right and below of an upright box within these corners
    [4, 2], which are clockwise from the top left."""
    x, y = np.clip(corners, whole[:2], whole[2:]).T
    left, top = math.ceil(max(x[0], x[3])), math.ceil(max(y[0], y[1]))
    right, bottom = max(left, int(min(x[1], x[2]))), max(top, int(min(y[2], y[3])))
    for box in (
        (whole[0], whole[1], whole[2], top),
        (whole[0], top, left, bottom),
        (right, top, whole[2], bottom),
        (whole[0], bottom, whole[2], whole[3]),
    ):
        if box[0] < box[2] and box[1] < box[3]:
            yield box


def _transformed(
    sheet: Composition, image: Image.Image, points: Callable[[warps.Points], warps.Points]
) -> Composition:
    """The sheet's lines and objects, with all corners transformed by `points`."""
    # All corners at once: a call per line is slower than the arithmetic.
    groups = [
        part
        for line in sheet.lines
        for part in (
            np.array(line.quads).reshape(-1, 4, 2),
            np.array(line.quad).reshape(1, 4, 2),
            warps.corners(np.array(line.squares, float)),
        )
    ]
    if sheet.objects:
        groups.append(warps.corners(np.array([drawn.box for drawn in sheet.objects], float)))
    moved = points(np.concatenate(groups))
    boxes = [_box(row) for row in warps.bounds(moved)]
    lines, start = [], 0
    for line in sheet.lines:
        count = len(line.quads)
        whole, squares = start + count, start + count + 1
        lines.append(
            replace(
                line,
                box=boxes[whole],
                characters=tuple(boxes[start:whole]),
                squares=tuple(boxes[squares : squares + count]),
                quad=_quad(moved[whole]),
                quads=tuple(map(_quad, moved[start:whole])),
            )
        )
        start = squares + count
    objects = [
        replace(drawn, box=box) for drawn, box in zip(sheet.objects, boxes[start:], strict=True)
    ]
    return Composition(image, sheet.background, lines, objects)


def _line(text: str, block: typesetting.Block, warp: warps.Warp, corner: tuple[int, int]) -> Line:
    """The line of a warped block whose top left is at `corner`, without colour and font."""
    offset = np.array(corner, float)
    quads = warp.points(warps.corners(block.boxes)) + offset
    outline = warp.points(warps.corners(np.array([[0.0, 0.0, *block.ink.size]]))) + offset
    if isinstance(warp, warps.Arched):
        outline = warps.corners(warps.bounds(quads.reshape(1, -1, 2)))
    squares = warps.bounds(warp.points(warps.corners(block.squares)) + offset)
    return Line(
        text=text,
        box=_box(warps.bounds(outline)[0]),
        characters=tuple(map(_box, warps.bounds(quads))),
        squares=tuple(map(_box, squares)),
        colour="",
        font="",
        place="",
        quad=_quad(outline[0]),
        quads=tuple(map(_quad, quads)),
    )


def _box(row: warps.Points) -> Box:
    left, top, right, bottom = row.tolist()
    return left, top, right, bottom


def _quad(corners: warps.Points) -> Quad:
    return tuple(corners.reshape(-1).tolist())
