"""Where the images of a suite come from: a checkpoint, a folder, an images endpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from moyin.evaluate import image_files
from moyin.evaluate.image_files import Folder, Unreadable
from moyin.evaluate.options import Options
from moyin.evaluate.task import Item
from moyin.inference import batch
from moyin.inference.observer import Progress
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import GeneratedImage, Request

Wanted = tuple[Item, int]  # a prompt, and which of its images


class Source(Protocol):
    """Images by prompt and number."""

    def facts(self) -> dict[str, Any]:
        """What made the images, for the report, in JSON's types."""
        ...

    def make(self, wanted: Sequence[Wanted], progress: Progress) -> None:
        """Make what is not there yet."""
        ...

    def path(self, item: Item, repeat: int) -> Path | None:
        """None where there is no such image."""
        ...


def name(item: Item, repeat: int) -> str:
    """Of one image, in reports and as a file."""
    return f"{item.id}_{repeat}"


class Drawn:
    """Images of a checkpoint, each of a seed of its own, in `out`; drawn again only where
    checkpoint, prompt or settings are others."""

    def __init__(
        self,
        place: str | None,
        options: Options,
        count: int,
        out: Path,
        references: Path | None = None,
    ) -> None:
        """count: prompts of the whole suite. references: the folder of the images that the
        prompts edit, each by its prompt's id."""
        self.pipeline = GlmImagePipeline.from_pretrained(place)
        self.options, self.count, self.out = options, count, out
        self.references = references
        self.settings = options.settings(self.pipeline.defaults)

    def facts(self) -> dict[str, Any]:
        return {
            "checkpoint": self.pipeline.digest,
            "settings": dataclasses.asdict(self.settings),
            "seed": self.options.seed,
        }

    def make(self, wanted: Sequence[Wanted], progress: Progress) -> None:
        rows = [
            batch.Row(
                name(item, r),
                item.prompt,
                self.settings,
                self._seed(item, r),
                {},
                self._images(item),
            )
            for item, r in wanted
        ]

        def draw(jobs: list[Request]) -> list[GeneratedImage]:
            return self.pipeline.run(jobs, progress)

        encode = self.pipeline.encode_images
        batch_size = self.options.batch
        batch.check_prompts(rows, self.pipeline.generator_inputs)
        batch.check_memory(rows, batch_size, self.pipeline.check_memory)
        done = batch.run(rows, self.out, self.pipeline.digest, draw, batch_size, encode=encode)
        for number, _ in enumerate(done, 1):
            progress("drawn", number, len(rows))

    def _images(self, item: Item) -> tuple[batch.ImageFile, ...]:
        return (batch.ImageFile.open(f"{item.id}.png", self.references),) if self.references else ()

    def _seed(self, item: Item, repeat: int) -> int:
        return self.options.seed + item.number + repeat * self.count

    def path(self, item: Item, repeat: int) -> Path | None:
        path = self.out / f"{name(item, repeat)}.png"
        return path if path.is_file() else None


class Given:
    """Images that lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Folder(folder)

    def facts(self) -> dict[str, Any]:
        return {"images": str(self.folder.folder)}

    def make(self, wanted: Sequence[Wanted], progress: Progress) -> None:
        return None

    def path(self, item: Item, repeat: int) -> Path | None:
        return self.folder.path(item, repeat)

    def repeats(self, items: Sequence[Item]) -> int:
        """The most images that any of these prompts has."""
        return self.folder.repeats(items)


class Sheets:
    """Images that lie in a folder several to a file, as OneIG-Bench's evaluator takes them. They
    are cut apart into `out`, anew on every run; one that is black all over is missing."""

    def __init__(self, folder: Path, tiles: str, out: Path) -> None:
        self.folder, self.out = Folder(folder), out
        self.columns, self.rows = image_files.parse_tiles(tiles)
        self._broken: dict[str, Path] = {}

    def facts(self) -> dict[str, Any]:
        return {"images": str(self.folder.folder), "tiles": f"{self.columns}x{self.rows}"}

    def make(self, wanted: Sequence[Wanted], progress: Progress) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        items = {item.id: item for item, _ in wanted}
        for number, item in enumerate(items.values(), 1):
            sheet = self.folder.path(item, 0)
            if sheet is not None:
                self._cut(item, sheet)
            progress("cut", number, len(items))

    def _cut(self, item: Item, sheet: Path) -> None:
        try:
            tiles = image_files.tiles(sheet, self.columns, self.rows)
        except Unreadable:
            self._broken[item.id] = sheet
            return
        for repeat, pixels in enumerate(tiles):
            path = self._tile(item, repeat)
            if pixels is None:
                path.unlink(missing_ok=True)
            else:
                Image.fromarray(pixels).save(path)

    def _tile(self, item: Item, repeat: int) -> Path:
        return self.out / f"{name(item, repeat)}.png"

    def path(self, item: Item, repeat: int) -> Path | None:
        """A sheet that cannot be read stands for each of its images."""
        if item.id in self._broken:
            return self._broken[item.id]
        path = self._tile(item, repeat)
        return path if path.is_file() else None

    def repeats(self, items: Sequence[Item]) -> int:
        """Images of one file."""
        return self.columns * self.rows
