"""Draws a layout: a sheet with its panels, texts and objects, and the sheet in its surroundings.

Everything is drawn flat on the sheet, which fills the image, lies on a plain ground or is seen at
an angle in a photograph. Where a character comes to lie follows through every warp on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from moyin.dataset.sample import Box, Line, Quad, Thing
from moyin.ocr.colours import COLOURS, RGB
from moyin.render import assets, backgrounds, effects, fonts, typesetting, warps
from moyin.render.fonts import Font
from moyin.render.layouts import Layout, Panel, Region
from moyin.render.phrases import Phrases
from moyin.render.text import pick, traditional

SURFACES = ("brick", "grass", "gravel")  # photographs of something that a sheet can lie against
BUBBLES = ("white", "green")
FLAT, TURN, ARCH = 0.94, (0.05, 0.22), (0.5, 1.3)  # share of the image; radians


class Missing(Exception):
    """A text has a character that its font has no glyph for."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What an image is to be. script: zh, hant, en or mixed. said: what its main text must say;
    empty for anything. The rest are shares of the images, or of their main texts."""

    size: int
    layout: Layout
    script: str
    said: str
    phrases: Phrases
    effects: float
    surfaces: float
    objects: float


@dataclass
class Composition:
    """An image under way; boxes are in the pixels of `image`."""

    image: Image.Image
    background: dict[str, str]
    lines: list[Line]
    things: list[Thing]


def compose(wish: Wish, known: Sequence[Font], random: np.random.Generator) -> Composition:
    """One image as wished, with fonts out of `known`. Raises Missing where a text has a
    character that its font lacks."""
    layout = wish.layout
    angled = layout.hangs and random.random() < wish.surfaces
    ratio = random.uniform(*layout.ratio)
    # What does not hang anywhere is a whole image if it is square.
    fills = not angled and layout.ratio[1] == 1.0 and (not layout.hangs or random.random() < 0.7)
    ratio = 1.0 if fills else ratio
    longest = wish.size * (1.0 if fills else FLAT)
    extent = (round(longest * min(1, ratio)), round(longest * min(1, 1 / ratio)))
    sheet = _Sheet(wish, extent, known, random).drawn()
    if fills:
        return sheet
    return _angled(sheet, wish, random) if angled else _upright(sheet, wish, random)


class _Sheet:
    """A flat sheet of `extent` pixels."""

    def __init__(
        self,
        wish: Wish,
        extent: tuple[int, int],
        known: Sequence[Font],
        random: np.random.Generator,
    ) -> None:
        self.wish, self.layout, self.extent, self.random = wish, wish.layout, extent, random
        self.unit = min(extent)
        kinds = list(self.layout.grounds)
        weights = np.array([self.layout.grounds[kind] for kind in kinds])
        kind = kinds[int(random.choice(len(kinds), p=weights / weights.sum()))]
        ground = backgrounds.draw(kind, max(extent), random, self.layout.colours)
        image, facts, colours = ground
        self.out = Composition(image.crop((0, 0, *extent)), facts, [], [])
        self.inks = tuple(c for c in colours if c in self.layout.inks) or colours
        self.ink: RGB = COLOURS[pick(self.inks, random)].rgb
        self.rows = int(random.integers(self.layout.rows[0], self.layout.rows[1] + 1))
        self.first_side = int(random.integers(2))
        self.fonts = self._fonts(known)
        self.colours: dict[str, str] = {}  # of the text, by role

    def _fonts(self, known: Sequence[Font]) -> tuple[Font, Font]:
        """One for the main text and one for the rest."""
        probe = {"hant": "國的", "en": "a"}.get(self.wish.script, "的")
        styles = self.layout.styles
        able = [font for font in known if fonts.covers(font, probe)]
        if not able:
            raise Missing
        fitting = [font for font in able if not styles or font.style in styles] or able
        leading = [font for font in fitting if fonts.covers(font, self.wish.said)]
        leading = leading or [font for font in able if fonts.covers(font, self.wish.said)]
        if not leading:
            raise Missing
        return pick(leading, self.random), pick(fitting, self.random)

    def drawn(self) -> Composition:
        for panel in self.layout.panels:
            for number, box in self._boxes(panel):
                self._panel(panel, number, box)
        for region in self.layout.regions:
            if region.share < 1 and self.random.random() >= region.share:
                continue
            for _, box in self._boxes(region):
                self._text(region, box)
        for room in self.layout.objects:
            if self.random.random() < self.wish.objects:
                self._object(room)
        if not self.out.lines:
            raise Missing
        return self.out

    def _boxes(self, part: Panel | Region) -> Iterator[tuple[int, Box]]:
        """The pixels of a part, of each of its rows if it has some."""
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

    def _panel(self, panel: Panel, number: int, box: Box) -> None:
        side = (number + self.first_side) % 2
        named = {"": None, "ink": self.ink, "bubble": COLOURS[BUBBLES[side]].rgb}
        fill, edge = (
            named[name] if name in named else COLOURS[name].rgb for name in (panel.fill, panel.edge)
        )
        ImageDraw.Draw(self.out.image).rounded_rectangle(
            box,
            radius=panel.round * self.unit,
            fill=fill,
            outline=edge,
            width=max(1, round(panel.width * self.unit)) if edge else 0,
        )

    def _text(self, region: Region, box: Box) -> None:
        """Write one text into its box, or nothing where none of a few fits."""
        vertical = self.random.random() < region.vertical
        sizes = (region.ems[0] * self.unit, region.ems[1] * self.unit)
        extent = (box[2] - box[0], box[3] - box[1])
        font = self.fonts[0 if region.main else 1]
        first = region.main and self.wish.said and self.wish.said not in self._said()
        for _ in range(1 if first else 8):
            said = self.wish.said if first else self._phrase(region)
            upright = vertical and not said.isascii()
            if not fonts.covers(font, said):
                raise Missing
            if said in self._said():
                continue
            found = typesetting.fit(
                said,
                font,
                extent,
                (0.0 if first else sizes[0], sizes[1]),
                vertical=upright,
                most=region.lines,
                align=region.align,
            )
            if found is not None:
                return self._write(region, said, font, found, box)
        return None

    def _said(self) -> set[str]:
        return {line.text for line in self.out.lines}

    def _phrase(self, region: Region) -> str:
        script = self.wish.script
        language = pick(("zh", "en"), self.random) if script == "mixed" else script
        made = self.wish.phrases(region.kind, "en" if language == "en" else "zh", self.random)
        return traditional(made) if language == "hant" else made

    def _write(
        self, region: Region, said: str, font: Font, found: typesetting.Setting, box: Box
    ) -> None:
        chosen = self._effects(region)
        block = typesetting.block(said, font, found)
        warp = self._warp(chosen, block, found)
        room = min((box[2] - box[0]) / warp.size[0], (box[3] - box[1]) / warp.size[1])
        if room < 1 and not isinstance(warp, warps.Straight):
            block = typesetting.block(said, font, replace(found, em=found.em * room * 0.98))
            warp = replace(warp, flat=block.ink.size)
        if isinstance(warp, warps.Straight):
            chosen = tuple(name for name in chosen if name not in ("turn", "arch"))
        ink = warp.image(block.ink)
        spare = (box[2] - box[0] - ink.width, box[3] - box[1] - ink.height)
        share = {"left": 0.0, "middle": 0.5, "right": 1.0}[region.align]
        x, y = round(box[0] + share * spare[0]), round(box[1] + spare[1] / 2)
        ground = self.out.image.crop((x, y, x + ink.width, y + ink.height))
        legible = backgrounds.legible(ground, self.inks)
        used = self.colours.get(region.role)
        colour = used if used in legible else pick(legible, self.random)
        self.colours[region.role] = colour
        wanted = effects.drawn(colour, legible, found.em, chosen, self.random)
        if wanted.second is None:
            chosen = tuple(name for name in chosen if name != "gradient")
        effects.paint(self.out.image, ink, (x, y), wanted)
        corner = np.array((x, y), float)
        quads = warp.points(warps.corners(block.boxes)) + corner
        whole = warp.points(warps.corners(np.array([[0.0, 0.0, *block.ink.size]]))) + corner
        if isinstance(warp, warps.Arched):
            whole = warps.corners(warps.bounds(quads.reshape(1, -1, 2)))
        squares = warps.bounds(warp.points(warps.corners(block.squares)) + corner)
        line = Line(
            text=said,
            box=_box(warps.bounds(whole)[0]),
            characters=tuple(map(_box, warps.bounds(quads))),
            squares=tuple(map(_box, squares)),
            colour=colour,
            font=font.name,
            place="",
            role=region.role,
            quad=_quad(whole[0]),
            quads=tuple(map(_quad, quads)),
            vertical=found.vertical,
            effects=chosen,
        )
        self.out.lines.append(line)

    def _effects(self, region: Region) -> tuple[str, ...]:
        if not region.effects or self.random.random() >= self.wish.effects:
            return ()
        count = min(len(region.effects), int(self.random.integers(1, 3)))
        order = self.random.permutation(len(region.effects))[:count]
        chosen = [region.effects[i] for i in sorted(order)]
        return tuple(name for name in chosen if name != "arch" or "turn" not in chosen)

    def _warp(
        self, chosen: tuple[str, ...], block: typesetting.Block, found: typesetting.Setting
    ) -> warps.Warp:
        sign = pick((-1, 1), self.random)
        if "turn" in chosen:
            return warps.Turned(block.ink.size, sign * self.random.uniform(*TURN))
        # Too short a row has nothing to bend, and columns do not.
        if "arch" in chosen and not found.vertical and block.ink.width > 2.5 * block.ink.height:
            return warps.Arched(block.ink.size, sign * self.random.uniform(*ARCH))
        return warps.Straight(block.ink.size)

    def _object(self, room: Box) -> None:
        (w, h), number = self.extent, int(self.random.integers(len(assets.object_names())))
        side = round(min((room[2] - room[0]) * w, (room[3] - room[1]) * h))
        x = round((room[0] + room[2]) / 2 * w - side / 2)
        y = round((room[1] + room[3]) / 2 * h - side / 2)
        box = (float(x), float(y), float(x + side), float(y + side))
        thing = assets.object_image(number).resize((side, side), Image.Resampling.BICUBIC)
        self.out.image.paste(thing, (x, y), thing)
        name = assets.object_names()[number]
        self.out.things.append(Thing(name.english, name.chinese, box, ""))


def _upright(sheet: Composition, wish: Wish, random: np.random.Generator) -> Composition:
    """The sheet upright on a plain ground, with a shadow."""
    kind = pick(("flat", "flat", "gradient", "texture"), random)
    others = tuple(name for name in COLOURS if name != sheet.background.get("colour"))
    image, facts, _ = backgrounds.draw(kind, wish.size, random, others)
    (w, h), spare = (
        sheet.image.size,
        (wish.size - sheet.image.width, wish.size - sheet.image.height),
    )
    x, y = (round(random.uniform(0.3, 0.7) * length) for length in spare)
    corners = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], float)
    _shade(image, corners, wish.size)
    image.paste(sheet.image, (x, y))
    if kind == "flat":
        sheet.background["behind"] = facts["colour"]
    offset = np.array((x, y), float)
    return _placed(sheet, image, lambda points: points + offset)


def _angled(sheet: Composition, wish: Wish, random: np.random.Generator) -> Composition:
    """The sheet in a photograph, seen from a side."""
    surface = pick(SURFACES, random)
    image = backgrounds.window(surface, wish.size, random)
    corners = _seen(sheet.image.size, wish.size, random)
    _shade(image, corners, wish.size)
    # Only what the sheet covers is warped.
    low = np.floor(corners.min(0))
    wide, high = np.ceil(corners.max(0) - low).astype(int).tolist()
    warp = warps.Projected(sheet.image.size, tuple(map(tuple, corners - low)), (wide, high))
    mask = Image.new("L", (2 * wide, 2 * high))
    ImageDraw.Draw(mask).polygon([(2 * x, 2 * y) for x, y in corners - low], fill=255)
    place = (int(low[0]), int(low[1]))
    image.paste(warp.image(sheet.image), place, mask.reduce(2))
    sheet.background["surface"] = surface
    return _placed(sheet, image, lambda points: warp.points(points) + low)


def _seen(extent: tuple[int, int], size: int, random: np.random.Generator) -> warps.Points:
    """Where the corners of a sheet come to lie [4, 2] that is turned in space about its middle and
    seen from twice its length away, as large as the image has room for."""
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
    """The shadow of a sheet, on what lies behind it. Drawn at a quarter of the size: it is soft."""
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
    """The boxes of `whole` around an upright box that lies within these corners [4, 2], clockwise
    from the top left: above, left, right and below of what a sheet covers."""
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


def _placed(
    sheet: Composition, image: Image.Image, points: Callable[[warps.Points], warps.Points]
) -> Composition:
    """The sheet's lines and things where `points` takes them."""

    # All corners at once: a call for each line takes longer than the sums.
    groups = [
        part
        for line in sheet.lines
        for part in (
            np.array(line.quads).reshape(-1, 4, 2),
            np.array(line.quad).reshape(1, 4, 2),
            warps.corners(np.array(line.squares, float)),
        )
    ]
    if sheet.things:
        groups.append(warps.corners(np.array([thing.box for thing in sheet.things], float)))
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
    things = [
        replace(thing, box=box) for thing, box in zip(sheet.things, boxes[start:], strict=True)
    ]
    return Composition(image, sheet.background, lines, things)


def _box(row: warps.Points) -> Box:
    left, top, right, bottom = row.tolist()
    return left, top, right, bottom


def _quad(corners: warps.Points) -> Quad:
    return tuple(corners.reshape(-1).tolist())
