"""Rotate, bend or project flat images, and transform points in the same way.

Each warp has `flat`, the width and height of its input, and `size`, those of its output. `points`
transforms arrays [..., 2] of x and y in pixels; `image` transforms an image, empty outside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

Points = np.ndarray[Any, np.dtype[np.float64]]
MESH = 32  # pixels between the points at which a bend is exact, interpolated in between


@dataclass(frozen=True)
class Straight:
    """Unchanged."""

    flat: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        return self.flat

    def points(self, flat: Points) -> Points:
        return flat

    def image(self, flat: Image.Image) -> Image.Image:
        return flat


@dataclass(frozen=True)
class Rotated:
    """Rotated counterclockwise about its middle, by `angle` radians, in its bounding box."""

    flat: tuple[int, int]
    angle: float

    @property
    def size(self) -> tuple[int, int]:
        (w, h), c, s = self.flat, abs(math.cos(self.angle)), abs(math.sin(self.angle))
        return math.ceil(w * c + h * s), math.ceil(w * s + h * c)

    def points(self, flat: Points) -> Points:
        c, s = math.cos(self.angle), math.sin(self.angle)
        rotated: Points = (flat - np.array(self.flat) / 2) @ np.array([[c, -s], [s, c]])
        return rotated + np.array(self.size) / 2

    def image(self, flat: Image.Image) -> Image.Image:
        c, s = math.cos(self.angle), math.sin(self.angle)
        (w, h), (wide, high) = self.flat, self.size
        across = (c, -s, w / 2 - (c * wide - s * high) / 2)
        down = (s, c, h / 2 - (s * wide + c * high) / 2)
        matrix = (*across, *down)
        return flat.transform(self.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Arched:
    """Bent along a circle over an angle of `bend` radians: the middle is raised, or lowered if the
    bend is negative. The horizontal line at half height keeps its length."""

    flat: tuple[int, int]
    bend: float

    @property
    def _radius(self) -> float:
        return self.flat[0] / self.bend

    def _bent(self, flat: Points) -> Points:
        """Transformed points, relative to the circle's centre."""
        w, h = self.flat
        angle = (flat[..., 0] - w / 2) / self._radius
        radius = self._radius + h / 2 - flat[..., 1]
        return np.stack([radius * np.sin(angle), -radius * np.cos(angle)], -1)

    @cached_property
    def _corner(self) -> Points:
        w, h = self.flat
        edge = np.linspace(0, w, 65)
        ends: Points = self._bent(np.array([(x, y) for y in (0, h) for x in edge], float))
        return np.stack([ends.min(0), ends.max(0)])

    @property
    def size(self) -> tuple[int, int]:
        low, high = self._corner
        return math.ceil(high[0] - low[0]), math.ceil(high[1] - low[1])

    def points(self, flat: Points) -> Points:
        bent: Points = self._bent(flat) - self._corner[0]
        return bent

    def image(self, flat: Image.Image) -> Image.Image:
        wide, high = self.size
        xs = np.unique([*range(0, wide, MESH), wide])
        ys = np.unique([*range(0, high, MESH), high])
        grid = np.stack(np.meshgrid(xs, ys), -1) + self._corner[0]
        sign = math.copysign(1, self.bend)
        angle = np.arctan2(sign * grid[..., 0], -sign * grid[..., 1])
        x = self.flat[0] / 2 + self._radius * angle
        y = self._radius + self.flat[1] / 2 - sign * np.hypot(grid[..., 0], grid[..., 1])
        back = np.stack([x, y], -1)
        mesh = [
            (
                (int(xs[c]), int(ys[r]), int(xs[c + 1]), int(ys[r + 1])),
                (*back[r, c], *back[r + 1, c], *back[r + 1, c + 1], *back[r, c + 1]),
            )
            for r in range(len(ys) - 1)
            for c in range(len(xs) - 1)
        ]
        return flat.transform(self.size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Projected:
    """Seen in perspective: the corners of the flat image, clockwise from the top left, are
    transformed to `corners` [4, 2] of an image of `size`."""

    flat: tuple[int, int]
    corners: tuple[tuple[float, float], ...]
    size: tuple[int, int]

    @cached_property
    def _matrix(self) -> Points:
        """The [3, 3] matrix of the projection from the flat image's corners to `corners`."""
        w, h = self.flat
        source = ((0, 0), (w, 0), (w, h), (0, h))
        target = self.corners
        rows, values = [], []
        for (x, y), (u, v) in zip(source, target, strict=True):
            rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
            values += [u, v]
        solved = np.linalg.solve(np.array(rows, float), np.array(values, float))
        return np.append(solved, 1).reshape(3, 3)

    def points(self, flat: Points) -> Points:
        seen = np.concatenate([flat, np.ones_like(flat[..., :1])], -1) @ self._matrix.T
        projected: Points = seen[..., :2] / seen[..., 2:]
        return projected

    def image(self, flat: Image.Image) -> Image.Image:
        back = np.linalg.inv(self._matrix)
        matrix = (back / back[2, 2]).reshape(-1)[:8].tolist()
        kind = Image.Transform.PERSPECTIVE
        return flat.transform(self.size, kind, matrix, Image.Resampling.BILINEAR)


Warp = Straight | Rotated | Arched  # of a text on a sheet


def corners(boxes: Points) -> Points:
    """The corners [n, 4, 2] of boxes [n, 4], clockwise from the top left."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def bounds(points: Points) -> Points:
    """The bounding boxes [n, 4] of groups of points [n, k, 2]."""
    return np.concatenate([points.min(1), points.max(1)], 1)
