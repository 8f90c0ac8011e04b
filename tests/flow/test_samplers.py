import numpy as np
import pytest

from moyin.backend import Tensor, ops
from moyin.checkpoint.names import scheduler as names
from moyin.flow import samplers
from moyin.flow.schedule import Schedule


def test_euler_by_hand() -> None:
    """velocity = x and two stretches: x·(1 + s1 - s0)·(1 - s1), s1 = 3.25/4.25."""
    seen: list[int] = []

    def velocity(x: Tensor, step: int) -> Tensor:
        seen.append(step)
        return x

    done: list[tuple[int, int]] = []
    x = ops.full((2, 3), 2.0)
    out = samplers.euler(velocity, x, Schedule().steps(2, 4096), lambda i, n: done.append((i, n)))
    middle = 3.25 / 4.25
    np.testing.assert_allclose(ops.numpy(out), 2 * middle * (1 - middle), rtol=1e-6)
    assert seen == [0, 1]
    assert done == [(1, 2), (2, 2)]


def test_euler_lands_on_the_data_of_a_straight_field() -> None:
    rng = np.random.default_rng(0)
    data, noise = (ops.asarray(rng.standard_normal((1, 8)), ops.float32) for _ in range(2))
    out = samplers.euler(lambda x, t: noise - data, noise, Schedule().steps(7, 1024))
    np.testing.assert_allclose(ops.numpy(out), ops.numpy(data), atol=1e-6)


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
