"""Many requests, one image file each, with a manifest by which a stopped run continues."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from moyin.clients.rewriter import Rewriter
from moyin.inference.config import GenerationConfig
from moyin.inference.image_processor import fitted_grid, open_image
from moyin.inference.output import save_image
from moyin.inference.request import Array, GeneratedImage, Reference, Request
from moyin.prompt.grid import Grid

MANIFEST = "manifest.jsonl"
# Fields that a manifest line adds to its row.
REWRITING = ("rewriter", "rewritten")
DIGESTS = "images_sha256"

Draw = Callable[[list[Request]], list[GeneratedImage]]
Encode = Callable[[list[Array]], tuple[Reference, ...]]


@dataclass(frozen=True)
class ImageFile:
    """A reference image of a row: its name in the row, its path, the sha256 of the file and the
    token grid of the image."""

    name: str
    path: Path
    digest: str
    grid: Grid

    @classmethod
    def open(cls, name: str, folder: Path) -> ImageFile:
        """Raises ValueError for a file that is not an image, or that is outside `folder`."""
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ValueError(f"image {name} is outside of {folder}")
        grid = fitted_grid(open_image(path))
        return cls(name, path, hashlib.sha256(path.read_bytes()).hexdigest(), grid)


@dataclass(frozen=True)
class Row:
    """One image to generate. id: its file name without the ending. more: fields that are copied
    to the manifest."""

    id: str
    prompt: str
    settings: GenerationConfig
    seed: int
    more: dict[str, Any] = dataclasses.field(default_factory=dict)
    images: tuple[ImageFile, ...] = ()


def check_memory(
    rows: list[Row],
    batch_size: int,
    check: Callable[[GenerationConfig, Sequence[Grid], int], None],
) -> None:
    """ValueError with the id of a row that needs too much memory. check: raises it, as
    `GlmImagePipeline.check_memory` does."""
    kinds: dict[Any, Row] = {}
    for row in rows:
        references = tuple(image.grid for image in row.images)
        kinds.setdefault((row.settings, references), row)
    for (settings, references), row in kinds.items():
        try:
            check(settings, references, min(batch_size, len(rows)))
        except ValueError as e:
            raise ValueError(f"row {row.id}: {e}") from None


def check_prompts(rows: list[Row], check: Callable[[str, GenerationConfig], object]) -> None:
    """ValueError with the id of the first row whose prompt is invalid. check: raises it, as
    `GlmImagePipeline.sequence` does."""
    for row in rows:
        try:
            check(row.prompt, row.settings)
        except ValueError as e:
            raise ValueError(f"row {row.id}: {e}") from None


def run(
    rows: list[Row],
    out: Path,
    checkpoint: str,
    draw: Draw,
    batch_size: int = 1,
    rewriter: Rewriter | None = None,
    encode: Encode | None = None,
) -> Iterator[tuple[Row, bool]]:
    """Write <id>.png for every row and its line to manifest.jsonl; yields (row, generated now).

    A row is skipped where its image exists and its manifest line has the same prompt, settings,
    seed, images, checkpoint and rewriter; its prompt is not rewritten again. The others are
    generated `batch_size` at a time. checkpoint: its digest. encode: images → references, for rows
    with images. Raises ValueError with the id of a row whose prompt cannot be rewritten.
    """
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / MANIFEST
    done = _read_manifest(manifest)
    _write_manifest(manifest, done)
    missing = []
    for row in rows:
        line = done.get(row.id, {})
        same = line == _line(row, checkpoint, rewriter, line.get("rewritten"))
        if same and (out / f"{row.id}.png").is_file():
            yield row, False
        else:
            missing.append(row)
    for first in range(0, len(missing), batch_size):
        batch = missing[first : first + batch_size]
        requests = _requests(batch, rewriter, encode)
        for row, request, image in zip(batch, requests, draw(requests), strict=True):
            save_image(image.pixels, out / f"{row.id}.png", image.metadata)
            line = _line(row, checkpoint, rewriter, request.rewritten)
            with manifest.open("a", encoding="utf-8") as f:
                f.write(json.dumps(line, ensure_ascii=False) + "\n")
            yield row, True


def _requests(rows: list[Row], rewriter: Rewriter | None, encode: Encode | None) -> list[Request]:
    """The images of all rows are encoded in one call, which may load networks."""
    images = [open_image(image.path) for row in rows for image in row.images]
    assert encode is not None or not images
    references = iter(encode(images) if encode and images else ())
    return [
        Request(
            prompt=row.prompt,
            settings=row.settings,
            seed=row.seed,
            references=tuple(islice(references, len(row.images))),
            rewritten=_rewritten(row, rewriter),
        )
        for row in rows
    ]


def _rewritten(row: Row, rewriter: Rewriter | None) -> str | None:
    if rewriter is None:
        return None
    try:
        return rewriter(row.prompt, row.settings.exact_quotes)
    except ValueError as e:
        raise ValueError(f"row {row.id}: {e}") from None


def _line(
    row: Row, checkpoint: str, rewriter: Rewriter | None, rewritten: str | None
) -> dict[str, Any]:
    fields = {
        "id": row.id,
        "prompt": row.prompt,
        "file": f"{row.id}.png",
        "seed": row.seed,
        "checkpoint": checkpoint,
        **dataclasses.asdict(row.settings),
    }
    if row.images:
        fields |= {
            "images": [image.name for image in row.images],
            DIGESTS: [image.digest for image in row.images],
        }
    if rewriter is not None:
        fields |= dict(zip(REWRITING, (rewriter.model, rewritten), strict=True))
    return {**row.more, **fields}


def _read_manifest(path: Path) -> dict[str, dict[str, Any]]:
    """The lines by id, the last line of an id counting; an incomplete last line is dropped."""
    done = {}
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            fields = json.loads(line)
            done[fields["id"]] = fields
        except (ValueError, TypeError, KeyError):
            continue
    return done


def _write_manifest(path: Path, done: dict[str, dict[str, Any]]) -> None:
    part = path.with_suffix(".part")
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in done.values()]
    part.write_text("".join(lines), "utf-8")
    part.replace(path)
