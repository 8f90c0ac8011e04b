"""Images to be edited, as people have them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moyin.inference import image_processor
from moyin.inference.image_processor import fit, open_image, tokenizer_size


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((512, 512), (512, 512)),
        ((100, 100), (512, 512)),
        ((300, 640), (512, 1088)),
        ((4096, 2048), (2048, 1024)),
        ((1000, 700), (992, 704)),
    ],
)
def test_fitted_sides(given: tuple[int, int], expected: tuple[int, int]) -> None:
    made = fit(np.zeros((*given, 3), np.uint8))
    assert made.shape[:2] == expected
    assert fit(made) is made


def test_the_tokenizer_keeps_what_is_fitted() -> None:
    """Then its grid and the latents have the same squares."""
    rng = np.random.default_rng(0)
    for height, width in rng.integers(40, 3000, (300, 2)):
        if max(height, width) <= 4 * min(height, width):
            sides = tuple(2 * side for side in tokenizer_size(height, width))
            assert not any(side % 32 for side in sides)
            assert tuple(2 * side for side in tokenizer_size(*sides)) == sides


def test_a_long_strip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="crop it to 4 to 1"):
        fit(np.zeros((100, 500, 3), np.uint8))
    Image.new("L", (500, 100)).save(tmp_path / "strip.png")
    with pytest.raises(ValueError, match=r"strip\.png: .* crop it to 4 to 1"):
        open_image(tmp_path / "strip.png")


def test_alpha_lies_on_white(tmp_path: Path) -> None:
    image = np.zeros((40, 50, 4), np.uint8)
    image[:, 25:] = (10, 20, 30, 255)
    Image.fromarray(image).save(tmp_path / "a.png")
    found = open_image(tmp_path / "a.png")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 30].tolist() == [10, 20, 30]


def test_transparent_palette_and_grey(tmp_path: Path) -> None:
    indexed = Image.new("P", (40, 40), 1)
    indexed.putpalette([9, 9, 9, 200, 100, 50])
    indexed.save(tmp_path / "p.png", transparency=1)
    assert open_image(tmp_path / "p.png")[0, 0].tolist() == [255, 255, 255]
    Image.new("L", (40, 40), 77).save(tmp_path / "l.png")
    assert open_image(tmp_path / "l.png")[0, 0].tolist() == [77, 77, 77]


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    levels = np.full((40, 40), 0x8080, np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    assert open_image(tmp_path / "deep.png")[0, 0].tolist() == [128, 128, 128]


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save(tmp_path / "c.jpg", quality=95)
    red, green, blue = open_image(tmp_path / "c.jpg")[20, 20].tolist()
    assert red > 200
    assert max(green, blue) < 60


def test_exif_rotation(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 80))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert open_image(tmp_path / "turned.jpg").shape == (40, 80, 3)


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("a b c")
    with pytest.raises(ValueError, match=r"text\.png cannot be read .*: save it as PNG"):
        open_image(tmp_path / "text.png")
    with pytest.raises(ValueError, match="no image at"):
        open_image(tmp_path / "absent.png")
    with pytest.raises(ValueError, match="cannot be read"):
        open_image(tmp_path)


def test_an_image_cut_short(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.png cannot be read"):
        open_image(tmp_path / "cut.png")


def test_too_small_and_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(ValueError, match="1x1 is too small: its sides must reach 32"):
        open_image(tmp_path / "dot.png")
    monkeypatch.setattr(image_processor, "MAX_PIXELS", 10_000)
    Image.new("RGB", (101, 100)).save(tmp_path / "large.png")
    # Pillow warns above its own limit, and refuses twice as much.
    for limit in (10**6, 6000, 5000):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(
                ValueError, match=r"large\.png is too large: scale it down to 0 meg"
            ):
                open_image(tmp_path / "large.png")
