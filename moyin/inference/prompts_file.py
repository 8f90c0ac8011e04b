"""Many prompts from a file, one image each, some at a time, started again where it stopped."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from moyin.clients.rewriter import Rewriter
from moyin.inference.output import save_png
from moyin.inference.pipeline import Array, GeneratedImage, GenerationConfig, Reference, Request
from moyin.inference.reference import fitted_grid, open_image
from moyin.prompt.grid import Grid, parse_size

MANIFEST = "manifest.jsonl"
# One file name and nothing else: no separators, no leading dot.
_ID = re.compile(r"\w[\w.-]{0,199}")
_OWN = {f.name for f in dataclasses.fields(GenerationConfig)}
# What a manifest line says of the rewriting and of the images; it may be read as a row again.
_REWRITING = ("rewriter", "rewritten")
_DIGESTS = "images_sha256"
# Alike from here on, a field's name is a misspelt one: "stpes" for "steps".
_ALIKE = 0.8

Draw = Callable[[list[Request]], list[GeneratedImage]]
Read = Callable[[list[Array]], tuple[Reference, ...]]


@dataclass(frozen=True)
class ImageFile:
    """An image that a row edits: its name there, its file, and the sha256 and the ids of what was
    in it."""

    name: str
    path: Path
    digest: str
    grid: Grid


@dataclass(frozen=True)
class Row:
    """One line: what to draw, and the fields that go on to the manifest untouched."""

    id: str
    prompt: str
    settings: GenerationConfig
    seed: int
    more: dict[str, Any]
    images: tuple[ImageFile, ...] = ()


def read_rows(path: Path, defaults: GenerationConfig, seed: int, sized: bool = False) -> list[Row]:
    """All rows of a .jsonl file: {"id", "prompt"} and, where wanted, "seed", "size"
    ("WIDTHxHEIGHT"),
    "images" (paths within the file's folder) and any field of Settings; other fields are carried
    along.

    A row with images has the first one's size where neither it nor, if `sized`, the defaults ask
    for another. Raises ValueError with the number of the first bad line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"{path} cannot be read: {e}") from None
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _row(json.loads(line), defaults, seed, path.parent, sized)
            if row.id in rows:
                raise ValueError(f"the id {row.id} stands twice")
        except ValueError as e:
            raise ValueError(f"{path} line {number}: {e}") from None
        rows[row.id] = row
    if not rows:
        raise ValueError(f"{path} has no rows")
    return list(rows.values())


def _row(fields: Any, defaults: GenerationConfig, seed: int, folder: Path, sized: bool) -> Row:
    if not isinstance(fields, dict):
        raise ValueError('a row is an object: {"id": …, "prompt": …}')
    name, prompt = fields.pop("id", None), fields.pop("prompt", None)
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(f"id {name!r} must be letters, digits, - _ and . without a leading dot")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("the prompt is missing or empty")
    seed = fields.pop("seed", seed)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(f"seed {seed!r} must be a whole number")
    edited = images(fields.pop("images", []), folder)
    own = {k: fields.pop(k) for k in list(fields) if k in _OWN}
    if "size" in fields and own.keys() & {"height", "width"}:
        raise ValueError("size goes without height and width: they say the same")
    if edited and not sized:
        own = _sides(edited[0].grid) | own
    if "size" in fields:
        own |= _sides(parse_size(str(fields.pop("size"))))
    more = {k: v for k, v in fields.items() if k not in (*_REWRITING, _DIGESTS)}
    _check_names(more)
    return Row(name, prompt, dataclasses.replace(defaults, **own), seed, more, edited)


def images(paths: Any, folder: Path) -> tuple[ImageFile, ...]:
    """The images of a row, each opened once now, so that a bad one is told before any drawing;
    none that lies outside of the rows' folder."""
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ValueError('images must be a list of paths: "images": ["a.png"]')
    found = []
    for name in paths:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ValueError(f"image {name} lies outside the folder of the rows: put it there")
        grid = fitted_grid(open_image(path))
        found.append(ImageFile(name, path, hashlib.sha256(path.read_bytes()).hexdigest(), grid))
    return tuple(found)


def check_memory(
    rows: list[Row], at_once: int, check: Callable[[GenerationConfig, Sequence[Grid], int], None]
) -> None:
    """ValueError that names a row where it would not fit into memory with others like it. check:
    raises it, as `GlmImagePipeline.check_memory` does."""
    kinds: dict[Any, Row] = {}
    for row in rows:
        references = tuple(image.grid for image in row.images)
        kinds.setdefault((row.settings, references), row)
    for (settings, references), row in kinds.items():
        try:
            check(settings, references, min(at_once, len(rows)))
        except ValueError as e:
            raise ValueError(f"row {row.id}: {e}") from None


def check_prompts(rows: list[Row], check: Callable[[str, GenerationConfig], object]) -> None:
    """ValueError that names the first row whose prompt cannot be read: before any is drawn. check:
    raises it, as `GlmImagePipeline.sequence` does."""
    for row in rows:
        try:
            check(row.prompt, row.settings)
        except ValueError as e:
            raise ValueError(f"row {row.id}: {e}") from None


def _sides(grid: Grid) -> dict[str, Any]:
    return {"height": grid.height, "width": grid.width}


def _check_names(more: dict[str, Any]) -> None:
    """ValueError for a field that would be carried along but is a misspelt one of ours."""
    if "image" in more:
        raise ValueError('image is no field: write "images": [paths]')
    for name in more:
        near = difflib.get_close_matches(name, {*_OWN, "seed", "size", "images"}, 1, _ALIKE)
        if near:
            raise ValueError(f"{name} is no field: did you mean {near[0]}? If not, rename it")


def run(
    rows: list[Row],
    out: Path,
    checkpoint: str,
    draw: Draw,
    at_once: int = 1,
    rewriter: Rewriter | None = None,
    read: Read | None = None,
) -> Iterator[tuple[Row, bool]]:
    """Write <id>.png for every row and a line each to manifest.jsonl; yields (row, drawn now).

    A row whose image is there with the same prompt, settings, seed, images, checkpoint and
    rewriting model is passed over, and its prompt is not rewritten again; of the others `at_once`
    are drawn together. checkpoint: its digest. read: images → references, for rows with images.
    Raises ValueError with the id of a row that the rewriter fails at.
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
    for first in range(0, len(missing), at_once):
        some = missing[first : first + at_once]
        jobs = _jobs(some, rewriter, read)
        for row, job, image in zip(some, jobs, draw(jobs), strict=True):
            save_png(image.pixels, out / f"{row.id}.png", image.facts)
            line = _line(row, checkpoint, rewriter, job.rewritten)
            with manifest.open("a", encoding="utf-8") as f:
                f.write(json.dumps(line, ensure_ascii=False) + "\n")
            yield row, True


def _jobs(rows: list[Row], rewriter: Rewriter | None, read: Read | None) -> list[Request]:
    """The references of all rows are read at once, for networks may be loaded for it."""
    images = [open_image(image.path) for row in rows for image in row.images]
    assert read is not None or not images
    references = iter(read(images) if read and images else ())
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
    own = {
        "id": row.id,
        "prompt": row.prompt,
        "file": f"{row.id}.png",
        "seed": row.seed,
        "checkpoint": checkpoint,
        **dataclasses.asdict(row.settings),
    }
    if row.images:
        own |= {
            "images": [image.name for image in row.images],
            _DIGESTS: [image.digest for image in row.images],
        }
    if rewriter is not None:
        own |= dict(zip(_REWRITING, (rewriter.model, rewritten), strict=True))
    return {**row.more, **own}


def _read_manifest(path: Path) -> dict[str, dict[str, Any]]:
    """The lines by id, the last of an id counting; one cut short by a crash is dropped."""
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
