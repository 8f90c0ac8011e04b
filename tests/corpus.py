"""A folder of bad files, made on the spot: what people's folders hold, and what attackers send."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MEGABYTE = "一只猫 a cat " * 80_000


def photograph(seed: int, width: int = 96, height: int = 96) -> Image.Image:
    """Smooth noise with edges in it: neither flat nor blurred, and like no other seed's."""
    levels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.NEAREST)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, checksums right."""
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def header(width: int, height: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)


def bomb(side: int) -> bytes:
    """A small file of `side` squared pixels."""
    rows = zlib.compress(b"\0" * (3 * side + 1) * 64, 9)
    return png(header(side, side), (b"IDAT", rows), (b"IEND", b""))


def text_bomb() -> bytes:
    """A good image with 80 MB of text, compressed."""
    good = encoded(photograph(50), "PNG")
    text = b"comment\0\0" + zlib.compress(b"A" * 80_000_000, 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + text))
    return good[:33] + chunk + good[33:]


def with_exif(seed: int, **fields: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = fields.get("orientation", 1)
    exif[0x010E] = fields.get("description", "")
    return encoded(photograph(seed, 128, 80), "JPEG", exif=exif)


@cache
def dropped() -> dict[str, tuple[bytes, str]]:
    """Files by name, each with the reason for which it has to be dropped."""
    jpeg, whole = encoded(photograph(1), "JPEG", quality=95), encoded(photograph(2), "PNG")
    cut = {
        kind: encoded(photograph(3, 200, 200), kind)
        for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
    }
    flat = Image.new("RGB", (96, 96), "red")
    ramp = Image.fromarray(np.tile(np.arange(96, dtype=np.uint8) * 2, (96, 1))).convert("RGB")
    files = {f"cut/half.{k.lower()}": (c[: len(c) // 2], None) for k, c in cut.items()}
    files |= {f"cut/head.{k.lower()}": (c[:20], None) for k, c in cut.items() if k != "AVIF"}
    files |= {f"cut/most.{k.lower()}": (c[: -len(c) // 10], "damaged") for k, c in cut.items()}
    no_tar, no_table = "damaged tar, or a compressed one", "damaged table, or one without images"
    files |= {
        "zero.jpg": (b"", "empty file"),
        "zero.png": (b"", "empty file"),
        "text.jpg": (b"I am no image\n", "no image"),
        "page.png": (b"<html><body>404</body></html>", "no image"),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image"),
        "program.png": (b"\x7fELF" + bytes(200), "no image"),
        "archive.zip": (b"PK\x03\x04" + bytes(100), "no image"),
        "post.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
        "random.webp": (np.random.default_rng(7).bytes(5000), "no image"),
        "nul.gif": (bytes(4096), "no image"),
        "bom.txt": ("﻿".encode(), "no image"),
        "signature.png": (b"\x89PNG\r\n\x1a\n", "no image"),
        "bombs/large.png": (bomb(30_000), "too many pixels"),
        "bombs/larger.png": (bomb(200_000), "too many pixels"),
        "bombs/text.png": (text_bomb(), "damaged"),
        "bombs/claims.bmp": (claims_bmp(), "too many pixels"),
        "bombs/claims.gif": (b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";", None),
        "checksum.png": (whole[:50] + b"\xff" + whole[51:], "damaged"),
        "no-data.png": (png(header(96, 96), (b"IEND", b"")), "damaged"),
        "zero-wide.png": (png(header(0, 96), (b"IEND", b"")), None),
        "rubbish.jpg": (jpeg[:200] + bytes(40), "damaged"),
        "only-start.jpg": (b"\xff\xd8\xff\xe0", "no image"),
        "flat.png": (encoded(flat, "PNG"), "flat"),
        "flat.jpg": (encoded(flat, "JPEG"), "flat"),
        "blurred.png": (encoded(ramp, "PNG"), "blurred"),
        "small.png": (encoded(photograph(4, 20, 20), "PNG"), "too small"),
        "dot.png": (encoded(photograph(5, 1, 1), "PNG"), "too small"),
        "long.png": (encoded(photograph(6, 2000, 90), "PNG"), "too long and narrow"),
        "copy.png": (encoded(photograph(20), "PNG"), "exact copy"),
        "copy.jpg": (encoded(photograph(20), "JPEG", quality=90), "near copy"),
        "tars/gz.tar": (b"\x1f\x8b\x08\x00" + bytes(100), no_tar),
        "tars/cut.tar": (tarred()[:700], no_tar),
        "tars/wrong.tar": (b"no tar at all" * 100, no_tar),
        "tables/wrong.parquet": (
            b"PAR1 but no more PAR1",
            "damaged table, or one without images",
        ),
        "tables/zero.parquet": (b"", no_table),
        "tables/wrong.arrow": (b"ARROW1 but no more", no_table),
        "rows/metadata.jsonl": (b'{"file_name": "../../outside.png", "text": "x"}\n', None),
    }
    return {name: (content, reason or "") for name, (content, reason) in files.items()}


def claims_bmp() -> bytes:
    """A header that promises two gigabytes."""
    size = struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + size


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        data = encoded(photograph(30), "PNG")
        info = tarfile.TarInfo("inside.png")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


@cache
def kept() -> dict[str, tuple[bytes, str]]:
    """Files that are mended, each with the note that says how."""
    grey16 = Image.fromarray(np.random.default_rng(9).integers(0, 65536, (96, 96), np.uint16))
    frames = [photograph(40), photograph(41)]
    clear = photograph(12).convert("RGBA")
    clear.putalpha(Image.fromarray(np.tile(np.arange(96, dtype=np.uint8) * 2, (96, 1))))
    return {
        "cmyk.jpg": (encoded(photograph(10).convert("CMYK"), "JPEG"), "converted from CMYK"),
        "sixteen.png": (encoded(grey16, "PNG"), "converted from 16 bit or more"),
        "alpha.png": (encoded(clear, "PNG"), "alpha composited on white"),
        "moving.gif": (encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "first"),
        "moving.webp": (
            encoded(photograph(42), "WEBP", save_all=True, append_images=[photograph(43)]),
            "first frame of several",
        ),
        "wrong-ending.jpg": (encoded(photograph(13), "PNG"), "a PNG file named .jpg"),
        "turned.jpg": (with_exif(14, orientation=6), "rotated upright"),
        "large-exif.jpg": (with_exif(15, description="x" * 60_000), ""),
        "palette.png": (encoded(photograph(16).convert("P"), "PNG"), ""),
        "UPPER.PNG": (encoded(photograph(17), "PNG"), ""),
        "first.png": (encoded(photograph(18), "PNG"), ""),
        "a-original.png": (encoded(photograph(20), "PNG"), ""),
        "名字 with blanks.png": (encoded(photograph(21), "PNG"), ""),
        "-rf.png": (encoded(photograph(22), "PNG"), ""),
        "line\nbreak.png": (encoded(photograph(23), "PNG"), ""),
        "control.png": (encoded(photograph(24), "PNG"), "unprintable characters"),
        "control.txt": (b"a \x1b[31mred\x00 cat\xe2\x80\xae", "beside"),
        "megabyte.png": (encoded(photograph(25), "PNG"), "captions truncated"),
        "megabyte.txt": (MEGABYTE.encode(), "beside"),
        "gb.png": (encoded(photograph(26), "PNG"), ""),
        "gb.txt": ("一只黑色的猫在睡觉".encode("gb18030"), "beside"),
        "broken-json.png": (encoded(photograph(27), "PNG"), ""),
        "x" * 200 + ".png": (encoded(photograph(28), "PNG"), ""),
    }


def write(root: Path) -> None:
    """The corpus, with what is no regular file."""
    files = {name: content for name, (content, _) in (dropped() | kept()).items()}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root.parent / "outside.png").write_bytes(encoded(photograph(60), "PNG"))
    (root / "link-out.png").symlink_to(root.parent / "outside.png")
    (root / "link-to-nothing.png").symlink_to("nowhere.png")
    (root / "link-to-itself.png").symlink_to("link-to-itself.png")
    (root / "link-up").symlink_to(root)
    os.mkfifo(root / "pipe.png")
    with (root / os.fsdecode(b"latin-\xe9.png")).open("wb") as file:
        file.write(encoded(photograph(29), "PNG"))


ODD: dict[str, str] = {
    "link-out.png": "link out of its folder",
    "link-to-nothing.png": "not readable",
    "link-to-itself.png": "not readable",
    "link-up": "link to a folder",
    "pipe.png": "no regular file",
}
