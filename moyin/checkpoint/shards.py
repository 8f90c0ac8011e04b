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
from math import prod
from pathlib import Path
from typing import Any

from moyin.checkpoint.key_mapping import listing

INDEX = ".safetensors.index.json"
LONGEST_HEADER = 100 * 2**20
CHUNK = 2**22
# Bytes of one number.
WIDTHS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}


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
        raise ValueError(f"{path} is missing: fetch it again") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as e:
        raise ValueError(f"{path} cannot be read ({e}): fetch it again") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object: fetch it again")
    return value


def read_header(path: Path) -> dict[str, Entry]:
    """The tensors of one file.

    Raises ValueError where it is absent or cut short, or its header broken: where it does not
    describe tensors that follow one another to the end of the file.
    """
    try:
        total = path.stat().st_size
        with path.open("rb") as f:
            length = int.from_bytes(f.read(8), "little")
            if not 0 < length <= min(LONGEST_HEADER, total - 8):
                raise ValueError(f"{path} is no safetensors file, or was cut short: fetch it again")
            header = json.loads(f.read(length))
    except FileNotFoundError:
        raise ValueError(f"the shard {path} is missing: fetch it again") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as e:
        raise ValueError(f"{path} cannot be read as safetensors ({e}): fetch it again") from None
    if not isinstance(header, dict):
        raise ValueError(f"{path} has a header that is no JSON object: fetch it again")
    entries = {
        name: _entry(path, 8 + length, name, fields)
        for name, fields in header.items()
        if name != "__metadata__"
    }
    reached = 8 + length
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != reached:
            raise ValueError(f"{path} does not hold {name} where its header says: fetch it again")
        reached = entry.end
    if total != reached:
        raise ValueError(
            f"{path} has {total} bytes where its header says {reached}: fetch it again"
        )
    return entries


def read_metadata(path: Path) -> dict[str, str]:
    """The header's own notes, of a file that `read_header` accepts."""
    with path.open("rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    return dict(header.get("__metadata__", {}))


def _entry(path: Path, base: int, name: str, fields: Any) -> Entry:
    try:
        dtype, shape, (start, end) = fields["dtype"], fields["shape"], fields["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, start, end))
        good = whole and end - start == prod(shape) * WIDTHS[dtype]
    except (KeyError, TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"{path} cannot hold {name} as its header says, {fields}: fetch it again")
    return Entry(path, dtype, tuple(shape), base + start, base + end)


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
        raise ValueError(f"{folder} has {what}, so it is incomplete: fetch the checkpoint again")
    return read_header(files[0])


def listing_of(paths: list[Path]) -> str:
    return listing([p.name for p in paths])


def _read_index(index: Path) -> dict[str, Entry]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        raise ValueError(f"{index} has no weight_map of tensor to file: fetch it again")
    outside = sorted({p for p in places.values() if Path(p).name != p})
    if outside:
        raise ValueError(
            f"{index} names files outside its folder ({listing(outside)}): "
            "fetch the checkpoint again"
        )
    found: dict[str, Entry] = {}
    for name in sorted(set(places.values())):
        found |= read_header(index.parent / name)
    lies = [n for n, place in places.items() if n not in found or found[n].file.name != place]
    lies += [n for n in found if n not in places]
    if lies:
        raise ValueError(
            f"{index} does not say what the shards hold ({listing(lies)}): "
            "fetch the checkpoint again"
        )
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
