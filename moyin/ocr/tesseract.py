"""Tesseract, run as a program: an engine of another family, for a second opinion.

It reads English well, but Chinese display fonts and single characters badly.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Sequence

import numpy as np
from PIL import Image

from moyin.ocr.result import OCRLine, OCRResult, Pixels

PROGRAM = "tesseract"
LANGUAGES = ("eng", "chi_sim")
TIMEOUT = 300  # seconds per image
# Page segmentation modes: find the blocks of a page; treat the image as one line.
PAGE, LINE = "3", "7"
_HAN = "[\u2e80-\u9fff\uff00-\uffef\U00020000-\U0003ffff]"
_SPLIT_HAN = re.compile(f"(?<={_HAN}) (?={_HAN})")


class Tesseract:
    """Reads English and, if its language data are installed, simplified Chinese.

    Raises ValueError if the program or its English data are missing.
    """

    def __init__(self) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise ValueError(
                f"the program {PROGRAM} is not installed: install it (Debian: apt-get install "
                "tesseract-ocr tesseract-ocr-chi-sim) or use another engine"
            )
        self.program = program
        installed = self._run(["--list-langs"]).split()
        languages = [language for language in LANGUAGES if language in installed]
        if LANGUAGES[0] not in languages:
            raise ValueError(f"{PROGRAM} has no data for English: install tesseract-ocr-eng")
        self.languages = "+".join(languages)
        version = self._run(["--version"]).split("\n", 1)[0].strip()
        self.name = f"{version} ({self.languages})"

    def read(self, image_hwc: Pixels) -> Sequence[OCRResult]:
        """Lines with their boxes, from top to bottom within each block."""
        return self._lines(image_hwc, PAGE)

    def recognise(self, crop_hwc: Pixels) -> OCRResult:
        lines = self._lines(crop_hwc, LINE)
        confidence = min((line.confidence for line in lines), default=0.0)
        return OCRResult(" ".join(line.text for line in lines), confidence)

    def _lines(self, image_hwc: Pixels, mode: str) -> list[OCRLine]:
        png = io.BytesIO()
        Image.fromarray(image_hwc).save(png, "PNG", compress_level=1)
        options = ["stdin", "stdout", "-l", self.languages, "--psm", mode, "tsv"]
        return parse(self._run(options, png.getvalue()))

    def _run(self, options: list[str], stdin: bytes = b"") -> str:
        try:
            process = subprocess.run(
                [self.program, *options],
                input=stdin,
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as e:
            raise ValueError(f"{PROGRAM} cannot be run: {e}") from None
        if process.returncode:
            message = " ".join(process.stderr.decode("utf-8", "replace").split())[-300:]
            raise ValueError(f"{PROGRAM} failed: {message}")
        return process.stdout.decode("utf-8", "replace")


def parse(table: str) -> list[OCRLine]:
    """Join the words of Tesseract's tab-separated table, which starts with a header, to lines."""
    rows = csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    lines: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        if (row.get("text") or "").strip():
            position = tuple(row[name] for name in ("page_num", "block_num", "par_num", "line_num"))
            lines.setdefault(position, []).append(row)
    return [_line(words) for words in lines.values()]


def _line(words: list[dict[str, str]]) -> OCRLine:
    boxes = np.array([[float(w[n]) for n in ("left", "top", "width", "height")] for w in words])
    left, top = boxes[:, 0].min(), boxes[:, 1].min()
    right, bottom = (boxes[:, 0] + boxes[:, 2]).max(), (boxes[:, 1] + boxes[:, 3]).max()
    confidence = float(np.mean([float(word["conf"]) for word in words])) / 100
    # Tesseract reports each Chinese character as a word.
    text = _SPLIT_HAN.sub("", " ".join(word["text"].strip() for word in words))
    return OCRLine(text, confidence, (float(left), float(top), float(right), float(bottom)))
