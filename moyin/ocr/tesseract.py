"""Tesseract by its command-line program: the engine of another family, a second opinion.

It is good at English and weak at Chinese display fonts and single characters.
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

from moyin.ocr.paddle import Line, Pixels, Reading

PROGRAM = "tesseract"
LANGUAGES = ("eng", "chi_sim")
SECONDS = 300  # that one image may take
# Modes of its page segmentation: find the blocks of a page; the image is one line.
PAGE, LINE = "3", "7"
_HAN = "[\u2e80-\u9fff\uff00-\uffef\U00020000-\U0003ffff]"
_APART = re.compile(f"(?<={_HAN}) (?={_HAN})")


class Tesseract:
    """Reads English and, where its data are installed, simplified Chinese.

    Raises ValueError where the program or its English data are missing.
    """

    def __init__(self) -> None:
        found = shutil.which(PROGRAM)
        if found is None:
            raise ValueError(
                f"the program {PROGRAM} is not there: install it (Debian: apt-get install "
                "tesseract-ocr tesseract-ocr-chi-sim), or take another engine"
            )
        self.program = found
        installed = self._run(["--list-langs"]).split()
        languages = [language for language in LANGUAGES if language in installed]
        if LANGUAGES[0] not in languages:
            raise ValueError(f"{PROGRAM} has no data for English: install tesseract-ocr-eng")
        self.languages = "+".join(languages)
        version = self._run(["--version"]).split("\n", 1)[0].strip()
        self.name = f"{version} ({self.languages})"

    def read(self, image_hwc: Pixels) -> Sequence[Reading]:
        """Lines with their boxes, from top to bottom within each block found."""
        return self._lines(image_hwc, PAGE)

    def recognise(self, crop_hwc: Pixels) -> Reading:
        lines = self._lines(crop_hwc, LINE)
        sure = min((line.confidence for line in lines), default=0.0)
        return Reading(" ".join(line.text for line in lines), sure)

    def _lines(self, image_hwc: Pixels, mode: str) -> list[Line]:
        png = io.BytesIO()
        Image.fromarray(image_hwc).save(png, "PNG", compress_level=1)
        options = ["stdin", "stdout", "-l", self.languages, "--psm", mode, "tsv"]
        return parse(self._run(options, png.getvalue()))

    def _run(self, options: list[str], given: bytes = b"") -> str:
        try:
            done = subprocess.run(
                [self.program, *options],
                input=given,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as e:
            raise ValueError(f"{PROGRAM} does not answer: {e}") from None
        if done.returncode:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
            raise ValueError(f"{PROGRAM} fails: {said}")
        return done.stdout.decode("utf-8", "replace")


def parse(table: str) -> list[Line]:
    """Tesseract's table of words (tab-separated, a header first) as lines of text."""
    rows = csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    lines: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        if (row.get("text") or "").strip():
            where = tuple(row[name] for name in ("page_num", "block_num", "par_num", "line_num"))
            lines.setdefault(where, []).append(row)
    return [_line(words) for words in lines.values()]


def _line(words: list[dict[str, str]]) -> Line:
    boxes = np.array([[float(w[n]) for n in ("left", "top", "width", "height")] for w in words])
    left, top = boxes[:, 0].min(), boxes[:, 1].min()
    right, bottom = (boxes[:, 0] + boxes[:, 2]).max(), (boxes[:, 1] + boxes[:, 3]).max()
    sure = float(np.mean([float(word["conf"]) for word in words])) / 100
    # Chinese characters come as words of their own.
    text = _APART.sub("", " ".join(word["text"].strip() for word in words))
    return Line(text, sure, (float(left), float(top), float(right), float(bottom)))
