"""The columns of a dataset: what a row of each holds, and how that becomes bytes and back."""

from __future__ import annotations

import io
import json
import numbers
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

# What a shard holds as itself, so that a column of it can be read whole at once.
SCALARS = ("float64", "int64", "text")
KINDS = ("png", "json", "array", "npy", *SCALARS)


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a column holds (one of `KINDS`) and the digest of what made it.

    `dtype` and `shape` are those of every row of an array column; rows of an "npy" column are
    arrays that each have their own. `version` counts how often the column was replaced.
    """

    kind: str
    digest: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    version: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a column holds {', '.join(KINDS)}; not {self.kind!r}")

    @classmethod
    def of_arrays(cls, row: Any, digest: str) -> Column:
        """The column whose rows are arrays such as this one."""
        array = np.asarray(row)
        return cls(kind="array", digest=digest, dtype=array.dtype.name, shape=array.shape)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Column:
        """The inverse of `dataclasses.asdict` and a walk through JSON text."""
        return cls(**fields | {"shape": tuple(fields["shape"])})

    def encode(self, value: Any) -> Any:
        """A row as stored: bytes, or a scalar as it is. ValueError if it is not of this column.

        An image may be given as the PNG bytes that a worker made of it.
        """
        if self.kind in SCALARS:
            return self._scalar(value)
        if self.kind == "json":
            return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
        if self.kind == "png":
            if isinstance(value, bytes):
                return value
            content = io.BytesIO()
            Image.fromarray(value).save(content, "PNG", compress_level=1)
            return content.getvalue()
        if self.kind == "npy":
            content = io.BytesIO()
            np.save(content, value, allow_pickle=False)
            return content.getvalue()
        array = np.asarray(value)
        if (array.dtype.name, array.shape) != (self.dtype, self.shape):
            given = f"{array.dtype.name} {list(array.shape)}"
            raise ValueError(f"a row of {given} in a column of {self.dtype} {list(self.shape)}")
        return array.astype(array.dtype.newbyteorder("<")).tobytes()

    def decode(self, content: Any) -> Any:
        """The inverse of `encode`: RGB uint8 [height, width, 3], JSON's own types, or an array."""
        if self.kind in SCALARS:
            return content
        if self.kind == "json":
            return json.loads(content)
        if self.kind == "png":
            return np.array(Image.open(io.BytesIO(content)))
        if self.kind == "npy":
            return np.load(io.BytesIO(content), allow_pickle=False)
        little = np.dtype(self.dtype).newbyteorder("<")
        return np.frombuffer(content, little).reshape(self.shape).astype(self.dtype)

    def content(self, stored: Any) -> bytes:
        """The bytes that stand for a stored row in a digest."""
        if self.kind in ("float64", "int64"):
            return struct.pack("<d" if self.kind == "float64" else "<q", stored)
        return stored.encode() if self.kind == "text" else bytes(stored)

    def _scalar(self, value: Any) -> Any:
        kinds = {"float64": (numbers.Real, float), "int64": (numbers.Integral, int)}
        wanted, made = kinds.get(self.kind, (str, str))
        if not isinstance(value, wanted):
            raise ValueError(f"a row of {type(value).__name__} in a column of {self.kind}")
        return made(value)
