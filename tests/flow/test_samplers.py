from typing import Any

import numpy as np
import pytest

from moyin.backend import Tensor, ops
from moyin.checkpoint.names import scheduler as names
from moyin.flow import samplers
from moyin.flow.schedule import Schedule, Steps


def test_euler_by_hand() -> None:
    """velocity = x and two stretches: x·(1 + s1 - s0)·(1 - s1), s1 = 3.25/4.25."""
    seen: list[int] = []

    def velocity(x: Tensor, step: int) -> Tensor:
        seen.append(step)
        return x

    done: list[int] = []
    x = ops.full((2, 3), 2.0)

    def on_step(steps_done: int, x_after: Tensor) -> Tensor:
        done.append(steps_done)
        return x_after

    out = samplers.euler(velocity, x, Schedule().steps(2, 4096), on_step)
    middle = 3.25 / 4.25
    np.testing.assert_allclose(ops.numpy(out), 2 * middle * (1 - middle), rtol=1e-6)
    assert seen == [0, 1]
    assert done == [1, 2]


@pytest.mark.parametrize("sampler", samplers.SAMPLERS.values())
@pytest.mark.parametrize("count", [1, 2, 7])
def test_all_land_on_the_data_of_a_straight_field(sampler: Any, count: int) -> None:
    rng = np.random.default_rng(0)
    data, noise = (ops.asarray(rng.standard_normal((1, 8)), ops.float32) for _ in range(2))
    asked: list[int] = []
    done: list[int] = []

    def velocity(x: Tensor, step: int) -> Tensor:
        asked.append(step)
        return noise - data

    def on_step(steps_done: int, x_after: Tensor) -> Tensor:
        done.append(steps_done)
        return x_after

    walk = Schedule().steps(count, 1024)
    out = sampler(velocity, noise, walk, on_step)
    np.testing.assert_allclose(ops.numpy(out), ops.numpy(data), atol=1e-6)
    np.testing.assert_array_equal(
        ops.numpy(out), ops.numpy(samplers.euler(lambda x, i: noise - data, noise, walk))
    )
    assert asked == list(range(count))
    assert done == [i + 1 for i in range(count)]


def test_adams_bashforth_by_hand() -> None:
    """Velocity sigma², sigmas 1, 1/2, 0.3, 0: weights 1 + r/2 and -r/2, r the stretches' ratio."""
    walk = Steps(np.zeros(3, np.float32), np.array([1, 0.5, 0.3, 0], np.float32))
    velocities = [1.0, 0.25, 0.09]
    out = samplers.adams_bashforth(
        lambda x, step: ops.full((1,), velocities[step]), ops.zeros((1,)), walk
    )
    second = -0.2 * (1.2 * 0.25 - 0.2 * 1.0)
    third = -0.3 * (1.75 * 0.09 - 0.75 * 0.25)
    np.testing.assert_allclose(ops.numpy(out), [-0.5 + second + third], rtol=1e-6)


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("ab2", 2)])
def test_order_of_convergence(sampler: str, order: int) -> None:
    """dx/dsigma = x·cos(3·sigma) has x = exp(sin(3·sigma)/3); twice the steps, 2^order less error.

    The schedule of GLM-Image, with its stretches of unequal lengths.
    """

    def error(count: int) -> float:
        walk = Schedule().steps(count, 1024)
        start = ops.full((1,), float(np.exp(np.sin(3.0) / 3)))
        out = samplers.SAMPLERS[sampler](
            lambda x, step: x * float(np.cos(3 * walk.sigmas[step])), start, walk, None
        )
        return float(abs(ops.numpy(out)[0] - 1))

    ratios = [error(count) / error(2 * count) for count in (20, 40)]
    assert all(0.85 < ratio / 2**order < 1.15 for ratio in ratios), ratios


def test_euler_equals_the_reference_scheduler() -> None:
    diffusers = pytest.importorskip("diffusers")
    torch = pytest.importorskip("torch")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_config(names.to_config(Schedule()))
    times = np.linspace(1000, 1, 11)[:-1].astype(np.int64).astype(np.float32)
    scheduler.set_timesteps(sigmas=times / 1000, timesteps=times, mu=Schedule().mu(256))
    start = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
    x = torch.from_numpy(start)
    for t in scheduler.timesteps:
        x = scheduler.step(torch.sin(3 * x) + (t - 1) / 1000, t, x, return_dict=False)[0]
    walk = Schedule().steps(10, 256)
    ours = samplers.euler(
        lambda x, step: ops.sin(3 * x) + float(walk.timesteps[step]) / 1000,
        ops.asarray(start),
        walk,
    )
    np.testing.assert_allclose(ops.numpy(ours), x.numpy(), atol=1e-5)
