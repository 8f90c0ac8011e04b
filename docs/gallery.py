"""The gallery: the images of docs/gallery.jsonl on one sheet, each above its prompt.

    moyin generate --prompts docs/gallery.jsonl --out build/gallery
    python docs/gallery.py build/gallery docs/gallery.jpg

One seed each, none chosen: what went wrong is there too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from moyin.render.fonts import shipped

COLUMNS, SIDE, GAP, LETTERS, LINES = 6, 224, 16, 14, 3


def lines_of(text: str, letters_font: ImageFont.FreeTypeFont) -> list[str]:
    """Text broken where a line is full: at the last space, or between two characters."""
    lines = [""]
    for letter in text:
        if letters_font.getlength(lines[-1] + letter) > SIDE:
            head, space, tail = lines[-1].rpartition(" ")
            lines[-1:] = [head, tail] if space and letter.isascii() else [lines[-1], ""]
        lines[-1] += letter
    return [line.strip() for line in lines]


def sheet(folder: Path) -> Image.Image:
    rows = [json.loads(x) for x in (Path(__file__).parent / "gallery.jsonl").open("rb")]
    font = shipped()["NotoSansSC-Bold"]
    letters_font = ImageFont.truetype(str(font.path), LETTERS)
    width, height = SIDE + GAP, SIDE + GAP + LINES * (LETTERS + 4)
    page = Image.new(
        "RGB", (COLUMNS * width + GAP, -(-len(rows) // COLUMNS) * height + GAP), "white"
    )
    draw = ImageDraw.Draw(page)
    for number, row in enumerate(rows):
        left, top = GAP + number % COLUMNS * width, GAP + number // COLUMNS * height
        with Image.open(folder / f"{row['id']}.png") as image:
            page.paste(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, top))
        for place, line in enumerate(lines_of(row["prompt"], letters_font)[:LINES]):
            draw.text((left, top + SIDE + 2 + place * (LETTERS + 4)), line, "#333333", letters_font)
    return page


if __name__ == "__main__":
    sheet(Path(sys.argv[1])).save(sys.argv[2], quality=85, optimize=True)
