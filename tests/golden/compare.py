"""Whether two recordings are the same, bit for bit: `python tests/golden/compare.py A B`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def pixels(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def differences(a: Path, b: Path) -> Iterator[str]:
    """A line for everything in which two folders differ."""
    files = [{p.relative_to(f) for f in [folder] for p in f.rglob("*.*")} for folder in (a, b)]
    for name in sorted(files[0] ^ files[1]):
        yield f"{name}: only in {a if name in files[0] else b}"
    for name in sorted(files[0] & files[1]):
        if name.suffix == ".png":
            yield from _pixels(str(name), pixels(a / name), pixels(b / name))
        elif name.suffix == ".json":
            first, second = (json.loads((folder / name).read_text("utf-8")) for folder in (a, b))
            yield from values(str(name), first, second)


def _pixels(name: str, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> Iterator[str]:
    if a.shape != b.shape:
        yield f"{name}: {a.shape} and {b.shape}"
    elif (a != b).any():
        apart = np.abs(a.astype(int) - b.astype(int))
        yield f"{name}: {(apart > 0).sum()} values differ, by up to {apart.max()}"


def values(name: str, a: Any, b: Any) -> Iterator[str]:
    """A line for every value in which two of JSON's differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            if key in a and key in b:
                yield from values(f"{name} {key}", a[key], b[key])
            else:
                yield f"{name} {key}: only in {'the first' if key in a else 'the second'}"
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (first, second) in enumerate(zip(a, b, strict=True)):
            yield from values(f"{name}[{i}]", first, second)
    elif type(a) is not type(b) or a != b:
        yield f"{name}: {a!r} and {b!r}"


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    found = list(differences(Path(sys.argv[1]), Path(sys.argv[2])))
    print("\n".join(found) or "the same")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
