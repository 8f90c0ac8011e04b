from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from moyin.inference.output import LABEL, read_metadata, save_image

PIXELS = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
METADATA = {"prompt": "写着“春<&>天”\x00\x07", "seed": 3, "checkpoint": "ab12"}
ENDINGS = [".png", ".jpg", ".jpeg", ".webp", ".PNG"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_metadata_and_label_are_in_the_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "deep" / f"x{ending}"
    save_image(PIXELS, path, METADATA)
    text = read_metadata(path)
    assert text["prompt"] == "写着“春<&>天”"
    assert (text["seed"], text["checkpoint"]) == ("3", "ab12")
    assert text["Software"].startswith("Moyin ")
    assert text["DigitalSourceType"] == LABEL
    with Image.open(path) as image:
        format_of = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
        assert image.format == format_of.get(ending, "PNG")


def test_a_png_has_the_pixels(tmp_path: Path) -> None:
    save_image(PIXELS, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        np.testing.assert_array_equal(np.asarray(image), PIXELS)


@pytest.mark.parametrize("ending", ENDINGS)
def test_xmp_is_well_formed_and_read_by_pillow(tmp_path: Path, ending: str) -> None:
    save_image(PIXELS, tmp_path / f"x{ending}", METADATA)
    packet = read_metadata(tmp_path / f"x{ending}")["XML:com.adobe.xmp"]
    body = packet[packet.index("?>") + 2 : packet.rindex("<?")]
    space = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
    label = ElementTree.fromstring(body).find(f".//{space}DigitalSourceType")
    assert label is not None
    assert label.text == LABEL
    assert "写着“春<&>天”" in "".join(ElementTree.fromstring(body).itertext())


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        Path(str(args[1])).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_image(PIXELS, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_image_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x\.gif: the name of an image ends in \.png, \.jpg"):
        save_image(PIXELS, tmp_path / "x.gif")
    (tmp_path / "x.png").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        save_image(PIXELS, tmp_path / "x.png")
