import numpy as np

from moyin.backend import ops
from moyin.flow.guidance import combine


def test_combine_by_hand() -> None:
    conditional, unconditional = ops.full((1, 2), 3.0), ops.full((1, 2), 1.0)
    for scale, expected in ((0.0, 1.0), (1.0, 3.0), (1.5, 4.0)):
        out = ops.numpy(combine(conditional, unconditional, scale))
        np.testing.assert_array_equal(out, expected)
