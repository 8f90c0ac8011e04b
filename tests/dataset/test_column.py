from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from moyin.dataset.column import Column


def test_images_are_kept_as_png_without_loss() -> None:
    column = Column(kind="png", digest="")
    image = np.random.Generator(np.random.Philox(key=1)).integers(0, 256, (8, 9, 3), np.uint8)
    content = column.encode(image)
    assert Image.open(io.BytesIO(content)).format == "PNG"
    assert np.array_equal(column.decode(content), image)


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


@pytest.mark.parametrize(
    ("kind", "value", "content"),
    [
        ("float64", 1.5, bytes.fromhex("000000000000f83f")),
        ("int64", np.int32(-2), bytes.fromhex("feffffffffffffff")),
        ("text", "春", bytes.fromhex("e698a5")),
    ],
)
def test_scalars_are_stored_as_they_are(kind: str, value: object, content: bytes) -> None:
    column = Column(kind=kind, digest="")
    stored = column.encode(value)
    assert column.decode(stored) == value
    assert column.content(stored) == content


@pytest.mark.parametrize(("kind", "value"), [("float64", "1"), ("int64", 1.0), ("text", 1)])
def test_a_scalar_of_another_kind_is_refused(kind: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"row of .* in a column of {kind}"):
        Column(kind=kind, digest="").encode(value)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match=r"must be one of png, .*text, not 'float8'"):
        Column(kind="float8", digest="")


def test_arrays_of_several_shapes() -> None:
    column = Column(kind="npy", digest="")
    for shape in ((2, 3), (4, 1)):
        array = np.ones(shape, np.float16)
        content = column.encode(array)
        assert np.array_equal(np.load(io.BytesIO(content)), array)
        assert column.decode(content).shape == shape


def test_objects_are_neither_pickled_nor_unpickled() -> None:
    column = Column(kind="npy", digest="")
    with pytest.raises(ValueError, match="allow_pickle"):
        column.encode(np.array([None]))
    pickled = io.BytesIO()
    np.save(pickled, np.array([None]), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        column.decode(pickled.getvalue())
