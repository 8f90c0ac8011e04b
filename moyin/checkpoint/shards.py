"""Safetensors folders without a framework: headers, index, what is where, and a digest.

Only headers are read here; tensors are loaded by `moyin.backend.io`. The format is that of
https://github.com/huggingface/safetensors: a length, a JSON header, then the bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moyin.checkpoint.rename import listing

INDEX = ".safetensors.index.json"
LONGEST_HEADER = 100 * 2**20
CHUNK = 2**22


@dataclass(frozen=True)
class Entry:
    """One tensor: `start` and `end` are byte offsets in `file`."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ValueError that names the file where it is absent or broken."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as e:
        raise ValueError(f"{path} cannot be read: {e}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object")
    return value


def read_header(path: Path) -> dict[str, Entry]:
    """The tensors of one file. Raises ValueError where it is absent, cut short or broken."""
    try:
        total = path.stat().st_size
        with path.open("rb") as f:
            length = int.from_bytes(f.read(8), "little")
            if not 0 < length <= min(LONGEST_HEADER, total - 8):
                raise ValueError(f"{path} is no safetensors file, or was cut short: fetch it again")
            header = json.loads(f.read(length))
        entries = {
            name: _entry(path, 8 + length, fields)
            for name, fields in header.items()
            if name != "__metadata__"
        }
    except FileNotFoundError:
        raise ValueError(f"the shard {path} is missing: fetch it again") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as e:
        raise ValueError(f"{path} cannot be read as safetensors: {e}") from None
    needed = max((e.end for e in entries.values()), default=8 + length)
    if total != needed:
        raise ValueError(
            f"{path} has {total} bytes where its header says {needed}: fetch the file again"
        )
    return entries


def read_metadata(path: Path) -> dict[str, str]:
    """The header's own notes, of a file that `read_header` accepts."""
    with path.open("rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    return dict(header.get("__metadata__", {}))


def _entry(path: Path, base: int, fields: dict[str, Any]) -> Entry:
    start, end = fields["data_offsets"]
    return Entry(path, fields["dtype"], tuple(fields["shape"]), base + start, base + end)


def read_folder(folder: Path) -> dict[str, Entry]:
    """All tensors of one weight folder, through its index or its only file.

    Raises ValueError where there is no weight, a shard is missing, or the index does not say
    what the shards hold.
    """
    indices = sorted(folder.glob(f"*{INDEX}"))
    if len(indices) > 1:
        raise ValueError(f"{folder} has {len(indices)} indices; keep one: {listing_of(indices)}")
    if indices:
        return _read_index(indices[0])
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        what = f"{len(files)} files and no *{INDEX}" if files else "no *.safetensors"
        raise ValueError(f"{folder} has {what}: the checkpoint is incomplete")
    return read_header(files[0])


def listing_of(paths: list[Path]) -> str:
    return listing([p.name for p in paths])


def _read_index(index: Path) -> dict[str, Entry]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        raise ValueError(f"{index} has no weight_map of tensor to file")
    outside = sorted({p for p in places.values() if Path(p).name != p})
    if outside:
        raise ValueError(f"{index} names files outside its folder: {listing(outside)}")
    found: dict[str, Entry] = {}
    for name in sorted(set(places.values())):
        found |= read_header(index.parent / name)
    lies = [n for n, place in places.items() if n not in found or found[n].file.name != place]
    lies += [n for n in found if n not in places]
    if lies:
        raise ValueError(f"{index} does not say what the shards hold: {listing(lies)}")
    return found


def hash_tensors(entries: dict[str, Entry]) -> str:
    """sha256 over names, dtypes, shapes and bytes: the same however the tensors are sharded."""
    names = sorted(entries)

    def one(name: str) -> bytes:
        # Read, not mapped: a mapping of everything counts as this process's memory.
        e, digest = entries[name], hashlib.sha256()
        with e.file.open("rb") as f:
            f.seek(e.start)
            left = e.size
            while left:
                part = f.read(min(left, CHUNK))
                if not part:
                    raise ValueError(f"{e.file} was cut short: fetch it again")
                digest.update(part)
                left -= len(part)
        return digest.digest()

    total = hashlib.sha256()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, digest in zip(names, pool.map(one, names), strict=True):
            e = entries[name]
            total.update(f"{name} {e.dtype} {list(e.shape)}\n".encode() + digest)
    return total.hexdigest()
