"""Collect three of the four sources of `make data`: clip art, photographs and a mixture.

    python benchmarks/images.py OUT

- OUT/clip-art: the Open Clip Art Library, 6,900 images in the public domain;
- OUT/photographs: the backgrounds of three desktops, under the licences in their packages;
- OUT/mixed: 600 crops of those photographs in six formats, as files with captions, in a WebDataset
  tar and in Parquet, every seventh of them damaged; and the bad files of the tests.

The first two come from Debian packages of 290 MiB, whose SHA-256 are checked. Existing folders are
kept.
"""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import sys
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from rich.progress import track

POOL = "https://deb.debian.org/debian/pool/main"
PACKAGES = {
    "clip-art": {
        "o/openclipart/openclipart-png_0.18+dfsg-19_all.deb": (
            "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02"
        ),
    },
    "photographs": {
        "g/gnome-backgrounds/gnome-backgrounds_43.1-1_all.deb": (
            "a670dea21572652127d6e55f9cdb3a226d0037854fdbfd037003c7d00ee0dc4e"
        ),
        "m/mate-backgrounds/mate-backgrounds_1.26.0-1_all.deb": (
            "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04"
        ),
        "p/plasma-workspace-wallpapers/plasma-workspace-wallpapers_5.27.5-2_all.deb": (
            "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b"
        ),
    },
}
IMAGES = (".jpg", ".jpeg", ".png", ".webp")
CROPS, SIDES = 600, (200, 700)  # of the mixture; pixels a side
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
DAMAGED = 7  # every so manieth file


def fetched(out: Path) -> None:
    """The images of the packages, a folder for each source."""
    for source, packages in PACKAGES.items():
        if (out / source).exists():
            continue
        fresh = out / f"{source}.partial"
        shutil.rmtree(fresh, ignore_errors=True)
        for name, digest in track(packages.items(), description=source):
            unpack(downloaded(f"{POOL}/{name}", digest), fresh)
        fresh.rename(out / source)


def downloaded(url: str, digest: str) -> bytes:
    """What the address holds. ValueError where it is not what it was."""
    with urllib.request.urlopen(url) as answer:
        content: bytes = answer.read()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{url} has changed: its SHA-256 is no longer {digest}")
    return content


def unpack(package: bytes, out: Path) -> None:
    """Write the images of a Debian package, an ar archive with a tar in it."""
    with tarfile.open(fileobj=io.BytesIO(member(package, "data.tar.xz"))) as tar:
        for entry in tar:
            path = PurePosixPath(entry.name)
            if entry.isreg() and path.suffix.lower() in IMAGES:
                place = out / path.relative_to("./usr/share")
                place.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(entry)
                assert content is not None
                place.write_bytes(content.read())


def member(archive: bytes, name: str) -> bytes:
    """A file of an ar archive, in which each has 60 bytes of its own before it."""
    at = 8
    while at < len(archive):
        known, size = archive[at : at + 16].decode(), int(archive[at + 48 : at + 58])
        if known.strip().rstrip("/") == name:
            return archive[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise ValueError(f"no {name} in the package")


def mix(photographs: Path, out: Path) -> None:
    """The mixture, the same in every run."""
    fresh = out.with_name(f"{out.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import corpus

    corpus.write(fresh / "bad")
    crops = list(track(cropped(photographs), total=CROPS, description="mixed"))
    third = CROPS // 3
    for write, some in zip((loose, tarred, table), range(0, CROPS, third), strict=True):
        write(fresh, crops[some : some + third])
    fresh.rename(out)


Crop = tuple[str, str, bytes]  # name, caption, content


def cropped(photographs: Path) -> Iterator[Crop]:
    """Pieces of the photographs in turn, each encoded in a format of its own."""
    lot = random.Random(0)
    paths = [path for path in sorted(photographs.rglob("*")) if path.is_file()]
    each = -(-CROPS // len(paths))
    for number in range(CROPS):
        if number % each == 0:
            image = Image.open(paths[number // each])
            image.thumbnail((1600, 1600), reducing_gap=2.0)
            image = image.convert("RGB")
        width, height = (min(lot.randrange(*SIDES), side) for side in image.size)
        left, top = lot.randint(0, image.width - width), lot.randint(0, image.height - height)
        kind = FORMATS[number % len(FORMATS)]
        content = io.BytesIO()
        image.crop((left, top, left + width, top + height)).save(content, kind)
        said = f"a piece of the photograph {paths[number // each].stem}"
        name = f"{number:04d}.{kind.lower()}"
        yield name, said, damaged(content.getvalue(), number, lot)


def damaged(content: bytes, number: int, lot: random.Random) -> bytes:
    """Every seventh file cut short, with a hole in it, or empty."""
    if number % DAMAGED:
        return content
    at = lot.randrange(len(content))
    harms: tuple[Callable[[], bytes], ...] = (
        lambda: content[:at],
        lambda: content[:at] + bytes(4096) + content[at + 4096 :],
        lambda: b"",
    )
    return harms[number // DAMAGED % len(harms)]()


def loose(out: Path, crops: list[Crop]) -> None:
    for name, said, content in crops:
        path = out / "loose" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.with_suffix(".txt").write_text(said)


def tarred(out: Path, crops: list[Crop]) -> None:
    (out / "tars").mkdir()
    with tarfile.open(out / "tars" / "0.tar", "w") as tar:
        for name, said, content in crops:
            for file, data in ((name, content), (f"{name[:4]}.txt", said.encode())):
                info = tarfile.TarInfo(file)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def table(out: Path, crops: list[Crop]) -> None:
    rows = [{"image": {"bytes": c, "path": name}, "caption": said} for name, said, c in crops]
    (out / "tables").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), out / "tables" / "0.parquet", row_group_size=100)


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    fetched(out)
    if not (out / "mixed").exists():
        mix(out / "photographs", out / "mixed")


if __name__ == "__main__":
    main()
