import numpy as np

from moyin.backend import ops
from moyin.flow import path


def test_noised_by_hand() -> None:
    data, noise = ops.full((2, 3, 2, 2), 4.0), ops.full((2, 3, 2, 2), -2.0)
    x = ops.numpy(path.noised(data, noise, ops.asarray([0.25, 1.0], ops.float32)))
    np.testing.assert_array_equal(x[0], 2.5)
    np.testing.assert_array_equal(x[1], -2.0)


def test_velocity_is_the_slope_of_the_path() -> None:
    rng = np.random.default_rng(0)
    data, noise = (ops.asarray(rng.standard_normal((2, 5)), ops.float32) for _ in range(2))
    low, high = (path.noised(data, noise, ops.full((2,), s)) for s in (0.3, 0.8))
    slope = (ops.numpy(high) - ops.numpy(low)) / 0.5
    np.testing.assert_allclose(ops.numpy(path.velocity(data, noise)), slope, atol=1e-5)
