from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from moyin.data.column import Column


def test_pictures_are_kept_as_png_without_loss() -> None:
    column = Column(kind="png", digest="")
    picture = np.random.Generator(np.random.Philox(key=1)).integers(0, 256, (8, 9, 3), np.uint8)
    content = column.encode(picture)
    assert Image.open(io.BytesIO(content)).format == "PNG"
    assert np.array_equal(column.decode(content), picture)


def test_json_keeps_chinese_and_does_not_depend_on_order() -> None:
    column = Column(kind="json", digest="")
    assert column.encode({"b": "春", "a": 1}) == '{"a": 1, "b": "春"}'.encode()
    assert column.decode(column.encode({"b": [1.5, None]})) == {"b": [1.5, None]}


@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32", "int64"])
def test_arrays_come_back_as_they_were(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    column = Column.of_arrays(array, "d")
    again = column.decode(column.encode(array))
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)


def test_an_array_of_another_dtype_or_shape_is_refused() -> None:
    column = Column.of_arrays(np.zeros((2, 3), np.uint16), "d")
    with pytest.raises(ValueError, match=r"float64 \[2, 3\] in a column of uint16"):
        column.encode(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\[3, 2\]"):
        column.encode(np.zeros((3, 2), np.uint16))
