from __future__ import annotations

from pathlib import Path

from command import Moyin
from PIL import Image

from moyin.inference.output import read_metadata


def test_edit(moyin: Moyin) -> None:
    Image.new("RGB", (40, 60), (200, 30, 30)).save("a.png")
    Image.new("RGBA", (600, 520)).save("b.png")
    two = ("--image", "a.png", "--image", "b.png")
    options = ("--size", "96x64", "--sampler", "ab2", "--out", "p.png")
    assert moyin("edit", "warmer", *two, *options)[0] == 0
    text = read_metadata(Path("p.png"))
    assert (text["size"], text["references"], text["sampler"]) == ("96x64", "2", "ab2")
    code, _, err = moyin("edit", "warmer", "--image", "absent.png")
    assert (code, err) == (2, "moyin: no image at absent.png\n")
    assert moyin("edit", "warmer")[0] == 2
    assert moyin("edit", " ", "--image", "a.png")[2].startswith("moyin: the prompt is empty")
