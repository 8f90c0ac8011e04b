"""The columns of a dataset: the type of their rows, and the encoding of a row."""

from __future__ import annotations

import io
import json
import numbers
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

# Kinds that a shard stores unencoded, so that whole columns are read at once.
SCALARS = ("float64", "int64", "text")
KINDS = ("png", "json", "array", "npy", *SCALARS)


@dataclass(frozen=True, kw_only=True)
class Column:
    """The kind of a column's rows (one of KINDS) and the digest of what made them.

    dtype, shape: of every row of an "array" column; rows of an "npy" column have different shapes.
    version: how many times the column was replaced.
    """

    kind: str
    digest: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    version: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"a column's kind must be one of {', '.join(KINDS)}, not {self.kind!r}"
            )

    @classmethod
    def of_arrays(cls, row: Any, digest: str) -> Column:
        """The column for arrays with the dtype and shape of this row."""
        array = np.asarray(row)
        return cls(kind="array", digest=digest, dtype=array.dtype.name, shape=array.shape)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Column:
        """The inverse of `dataclasses.asdict`, after a round trip through JSON."""
        return cls(**fields | {"shape": tuple(fields["shape"])})

    def encode(self, value: Any) -> Any:
        """The stored form of a row: bytes, or the scalar itself. ValueError for a wrong type.

        An image may be passed as encoded PNG bytes.
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
            raise ValueError(
                f"row of {array.dtype.name} {list(array.shape)} "
                f"in a column of {self.dtype} {list(self.shape)}"
            )
        return array.astype(array.dtype.newbyteorder("<")).tobytes()

    def decode(self, content: Any) -> Any:
        """The inverse of `encode`: RGB uint8 [height, width, 3], a JSON value, array or scalar."""
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
        """The bytes of a stored row that enter a digest."""
        if self.kind in ("float64", "int64"):
            return struct.pack("<d" if self.kind == "float64" else "<q", stored)
        return stored.encode() if self.kind == "text" else bytes(stored)

    def _scalar(self, value: Any) -> Any:
        kinds = {"float64": (numbers.Real, float), "int64": (numbers.Integral, int)}
        accepted, convert = kinds.get(self.kind, (str, str))
        if not isinstance(value, accepted):
            raise ValueError(f"row of {type(value).__name__} in a column of {self.kind}")
        return convert(value)
