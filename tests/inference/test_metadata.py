from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from moyin.inference.output import LABEL, read_png, save_png

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
FACTS = {"prompt": "写着“春<&>天”\x00\x07", "seed": 3, "checkpoint": "ab12"}


def test_facts_and_label_are_in_the_file(tmp_path: Path) -> None:
    save_png(PIXELS, tmp_path / "deep" / "x.png", FACTS)
    text = read_png(tmp_path / "deep" / "x.png")
    assert text["prompt"] == "写着“春<&>天”"
    assert (text["seed"], text["checkpoint"]) == ("3", "ab12")
    assert text["Software"].startswith("Moyin ")
    assert text["DigitalSourceType"] == LABEL
    with Image.open(tmp_path / "deep" / "x.png") as image:
        np.testing.assert_array_equal(np.asarray(image), PIXELS)


def test_xmp_is_well_formed_and_read_by_pillow(tmp_path: Path) -> None:
    save_png(PIXELS, tmp_path / "x.png", FACTS)
    packet = read_png(tmp_path / "x.png")["XML:com.adobe.xmp"]
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
        save_png(PIXELS, tmp_path / "x.png", FACTS)
    assert list(tmp_path.iterdir()) == []


def test_only_png(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.png"):
        save_png(PIXELS, tmp_path / "x.jpg", FACTS)
    (tmp_path / "x.png").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        save_png(PIXELS, tmp_path / "x.png", FACTS)
