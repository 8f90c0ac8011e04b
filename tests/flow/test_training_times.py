import numpy as np

from moyin.backend import ops
from moyin.flow.schedule import Schedule
from moyin.flow.training_times import logit_normal, training_sigmas


def test_training_pairs_level_and_time_as_generation_does() -> None:
    steps = Schedule().steps(50, 1024)
    u = ops.asarray((steps.timesteps + 1) / 1000, ops.float32)
    sigma, timestep = training_sigmas(Schedule(), u, 1024)
    np.testing.assert_allclose(ops.numpy(sigma), steps.sigmas[:-1], rtol=1e-5)
    np.testing.assert_allclose(ops.numpy(timestep), steps.timesteps, atol=1e-3)


def test_training_times_end_where_generation_can_go() -> None:
    sigma, timestep = training_sigmas(Schedule(), ops.asarray([0.0, 1.0], ops.float32), 256)
    np.testing.assert_allclose(ops.numpy(timestep), [0, 999], atol=1e-4)
    np.testing.assert_allclose(ops.numpy(sigma), [0.001, 1], rtol=1e-4)


def test_logit_normal_by_hand() -> None:
    u = logit_normal(ops.asarray([0.0, 2.0], ops.float32), mean=1.0, std=0.5)
    np.testing.assert_allclose(ops.numpy(u), [1 / (1 + np.e**-1), 1 / (1 + np.e**-2)], rtol=1e-6)
