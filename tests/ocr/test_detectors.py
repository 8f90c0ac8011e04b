from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from moyin.evaluate.nano import nano_50, perfect
from moyin.ocr import detectors
from moyin.ocr.detectors import DetectedText, detect_text
from moyin.ocr.engine import crop

pytest.importorskip("cv2", reason="needs moyin[ocr]")


def blind(crop: np.ndarray) -> str:
    return f"{crop.shape[1]}x{crop.shape[0]}"


def test_perfect_images_are_seen_as_asked() -> None:
    for one in nano_50()[::5]:
        seen = detect_text(perfect(one, 256), blind)
        assert (seen.background, seen.colour, seen.place) == (
            one.background,
            one.colour,
            one.place,
        )


def block(noise: float = 0) -> np.ndarray:
    """A blue image with a yellow block, 60x40, at the lower right."""
    image = np.full((240, 240, 3), (30, 78, 200), float)
    image[180:220, 170:230] = (250, 214, 36)
    image += noise * np.random.default_rng(0).standard_normal(image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("noise", [0, 12, 25])
def test_a_block_by_hand(noise: float) -> None:
    seen = detect_text(block(noise), blind)
    assert (seen.background, seen.colour, seen.place) == ("blue", "yellow", "bottom right")
    assert seen.box is not None
    assert np.abs(np.array(seen.box) - (170, 180, 230, 220)).max() <= 2
    assert crop(block(noise), seen.box).shape[0] > 40


def test_soft_edges_do_not_change_the_colour() -> None:
    for one in nano_50()[1::6]:
        soft = Image.fromarray(perfect(one, 256)).filter(ImageFilter.GaussianBlur(2))
        assert detect_text(np.array(soft), blind).colour == one.colour


def test_specks_are_passed_over() -> None:
    image = block()
    image[20:30, 20:30] = 255  # a speck of a twenty-fourth of the block
    image[60, 10:200] = 255  # a hair
    assert detect_text(image, blind) == detect_text(block(), blind)


def test_a_second_large_part_counts() -> None:
    image = block()
    image[20:60, 10:70] = (250, 214, 36)
    seen = detect_text(image, blind)
    assert seen.box == (10, 20, 230, 220)
    assert seen.place == "middle"


def test_an_empty_image() -> None:
    image = np.full((64, 64, 3), (246, 150, 186), np.uint8)
    assert detect_text(image, blind) == DetectedText(background="pink")


def test_what_fills_the_image_is_nowhere() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (16, 16, 1), np.uint8) * np.uint8(255)
    image = noise.repeat(3, axis=2).repeat(16, axis=0).repeat(16, axis=1)
    assert detect_text(image, blind).place == ""


def test_the_colour_inside_a_box() -> None:
    image, ground = block(), np.array([30.0, 78, 200])
    assert detectors.colour_in(image, (165, 175, 235, 225), ground) == "yellow"
    assert detectors.colour_in(image, (10, 10, 60, 60), ground) == ""


def test_regions_by_hand() -> None:
    image = block()
    image[20:60, 20:100] = (18, 18, 20)
    image[20:60, 104:140] = (245, 245, 243)  # a gap of one cell joins
    image[120:122, 20:22] = 255  # a speck
    boxes = detectors.regions(image)
    assert len(boxes) == 2
    assert np.abs(np.array(boxes) - [(20, 20, 140, 60), (170, 180, 230, 220)]).max() <= 4
    assert detectors.regions(np.full((64, 64, 3), 200, np.uint8)) == []
    assert detectors.foreground_box(np.full((64, 64, 3), 200, np.uint8)) is None


def reference_groups(cells: np.ndarray) -> list[set[tuple[int, int]]]:
    """Groups of cells at most two apart, grown one by one."""
    left = {(int(r), int(c)) for r, c in np.argwhere(cells)}
    groups = []
    while left:
        group, edge = set(), {left.pop()}
        while edge:
            group |= edge
            edge = {
                b for b in left if any(max(abs(b[0] - a[0]), abs(b[1] - a[1])) < 3 for a in edge)
            }
            left -= edge
        groups.append(group)
    return groups


@pytest.mark.parametrize("seed", range(8))
def test_regions_agree_with_a_search_cell_by_cell(seed: int) -> None:
    """An image of 64x64 pixels has one pixel a cell; no group here is a speck."""
    random = np.random.default_rng(seed)
    cells = np.zeros((64, 64), bool)
    cells[4:-4, 4:-4] = random.random((56, 56)) < 0.06
    image = np.where(cells[..., None], np.uint8(0), np.uint8(255)).repeat(3, axis=2)
    groups = reference_groups(cells)
    largest = max(map(len, groups))
    expected = []
    for group in groups:
        if len(group) >= detectors.SPECK * largest:
            rows, columns = zip(*group, strict=True)
            expected.append((min(columns), min(rows), max(columns) + 1, max(rows) + 1))
    assert sorted(detectors.regions(image)) == sorted(expected)
