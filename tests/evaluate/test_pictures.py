from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moyin.evaluate import image_files
from moyin.evaluate.image_files import Folder, Unreadable, load
from moyin.evaluate.task import Item


def item(name: str, stem: str = "") -> Item:
    return Item(number=0, id=name, prompt="p", texts=("t",), stem=stem)


def test_every_kind_of_image(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 30), (200, 30, 40))
    for suffix in (".png", ".jpg", ".webp"):
        image.save(tmp_path / f"a{suffix}")
        pixels = load(tmp_path / f"a{suffix}")
        assert pixels.shape == (30, 40, 3)
        assert np.abs(pixels.astype(int) - (200, 30, 40)).max() < 8
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (load(tmp_path / "clear.png") == 255).all()
    Image.new("L", (8, 8), 90).save(tmp_path / "grey.png")
    assert (load(tmp_path / "grey.png") == 90).all()
    deep = np.full((8, 8), 90 * 257, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert (load(tmp_path / "deep.png") == 90).all()


def test_large_ones_are_scaled_down(tmp_path: Path) -> None:
    Image.new("RGB", (4096, 1024), "blue").save(tmp_path / "wide.png")
    assert load(tmp_path / "wide.png").shape == (512, 2048, 3)


def test_a_sheet_is_cut_row_by_row(tmp_path: Path) -> None:
    """What does not divide evenly is left over at the right and below; black is no image."""
    sheet = np.zeros((41, 63, 3), np.uint8)
    sheet[:20, :21], sheet[:20, 21:42], sheet[20:40, 21:42] = 10, 20, 50
    Image.fromarray(sheet).save(tmp_path / "a.png")
    found = image_files.tiles(tmp_path / "a.png", 3, 2)
    levels = [None if tile is None else set(tile.reshape(-1)) for tile in found]
    assert levels == [{10}, {20}, None, None, {50}, None]
    assert {tile.shape for tile in found if tile is not None} == {(20, 21, 3)}
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    with pytest.raises(Unreadable, match="too small to hold 9x9"):
        image_files.tiles(tmp_path / "b.png", 9, 9)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(Unreadable, match="no PNG, JPEG or WebP"):
        load(path)
    Image.effect_noise((64, 64), 90).save(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(Unreadable, match="broken"):
        load(path)
    for side in (9000, 30000):  # beyond our limit, and beyond Pillow's
        Image.new("1", (side, side)).save(path)
        with pytest.raises(Unreadable, match="more than the 64 million pixels that are read"):
            load(path)
    with path.open("wb") as f:
        f.truncate(200 * 2**20)
    with pytest.raises(Unreadable, match="200 MB, more than the 64 MB"):
        load(path)
    Image.new("RGB", (8, 8)).save(path, "BMP")
    with pytest.raises(Unreadable, match="no PNG, JPEG or WebP"):
        load(path)


def test_a_folder_is_looked_up_by_names(tmp_path: Path) -> None:
    for name in ("7_0.png", "7_1.webp", "8.png", "CVTG/2/0.png", "CVTG-Style/2/0.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    folder = Folder(tmp_path)
    assert folder.path(item("7"), 1) == tmp_path / "7_1.webp"
    assert folder.path(item("7"), 2) is None
    assert folder.path(item("8"), 0) == tmp_path / "8.png"
    assert folder.path(item("8"), 1) is None
    style = item("CVTG-Style-2-0", "CVTG-Style/2/0")
    assert folder.path(style, 0) == tmp_path / "CVTG-Style/2/0.png"
    assert folder.path(item("../8"), 0) is None
    assert folder.repeats((item("7"), item("8"))) == 2
    with pytest.raises(ValueError, match="no folder"):
        Folder(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        Folder(tmp_path / "empty")


def test_thumbnails_are_small(tmp_path: Path) -> None:
    image = np.full((1000, 500, 3), 120, np.uint8)
    image_files.save_thumbnail(image, tmp_path / "t" / "a.jpg")
    with Image.open(tmp_path / "t" / "a.jpg") as image:
        assert image.size == (160, 320)
