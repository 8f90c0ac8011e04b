import math

import numpy as np

from moyin.backend import ops
from moyin.models import rope


def test_each_section_turns_with_its_axis():
    positions = ops.asarray(np.array([[[2, 0]], [[3, 0]], [[5, 1]]]))  # 3 axes, batch 1, length 2
    cos, sin = rope.table(positions, (1, 0, 2), 8.0, ops.float32)
    angles = [[2.0, 5 / 2.0, 5 / 4.0], [0.0, 1 / 2.0, 1 / 4.0]]
    np.testing.assert_allclose(ops.numpy(cos), [[np.cos(angles)]], atol=1e-6)
    np.testing.assert_allclose(ops.numpy(sin), [[np.sin(angles)]], atol=1e-6)


def test_a_quarter_turn_in_half_split_form():
    x = ops.asarray(np.array([[[[1.0, 2.0, 3.0, 4.0, 9.0]]]], dtype=np.float32))
    cos, sin = (ops.asarray(np.full((1, 1, 1, 2), f, dtype=np.float32)) for f in (0, 1))
    assert ops.numpy(rope.rotate(x, cos, sin)).ravel().tolist() == [-3, -4, 1, 2, 9]
    assert ops.numpy(rope.rotate(x[..., :4], cos, sin)).ravel().tolist() == [-3, -4, 1, 2]


def test_only_differences_of_position_matter():
    rng = np.random.default_rng(0)
    q, k = (ops.asarray(rng.normal(size=(1, 1, 1, 8)).astype(np.float32)) for _ in range(2))

    def product(a, b):
        turned = [
            rope.rotate(x, *rope.table(ops.asarray(np.array([[[p]]])), (4,), 100.0, ops.float32))
            for x, p in ((q, a), (k, b))
        ]
        return float(ops.numpy(ops.sum(turned[0] * turned[1])))

    assert math.isclose(product(3, 10), product(40, 47), abs_tol=1e-4)
    assert not math.isclose(product(3, 10), product(3, 11), abs_tol=1e-2)


def test_grid_table_by_hand() -> None:
    """Head of 8: channels 0 and 1 rotate with the row, 2 and 3 with the column, at 1 and 1/100."""
    cos, sin = rope.grid_table(2, 3, 8, 10000.0)
    row, column = 1, 2
    angles = np.array([row, row / 100, column, column / 100])
    np.testing.assert_allclose(cos[5], np.tile(np.cos(angles), 2), atol=1e-6)
    np.testing.assert_allclose(sin[5], np.append(-np.sin(angles), np.sin(angles)), atol=1e-6)


def test_a_crop_rotates_as_in_the_whole_image() -> None:
    whole = [x.reshape(6, 7, 8) for x in rope.grid_table(6, 7, 8, 10000.0)]
    parts = rope.grid_table(3, 2, 8, 10000.0, ops.asarray([[2.0, 4.0], [0.0, 1.0]]))
    for table, part in zip(whole, parts, strict=True):
        for i, (row, column) in enumerate(((2, 4), (0, 1))):
            expected = table[row : row + 3, column : column + 2].reshape(6, 8)
            np.testing.assert_allclose(ops.numpy(part)[i], expected, atol=1e-5)
