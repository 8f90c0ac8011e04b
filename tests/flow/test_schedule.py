import numpy as np
import pytest

from moyin.checkpoint.names import scheduler as names
from moyin.flow.schedule import Schedule

SIZES = [(256, 256), (512, 512), (1024, 1024), (1152, 768), (2048, 512), (2048, 2048)]


def tokens(height: int, width: int) -> int:
    return height // 16 * (width // 16)


def theirs(count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Timesteps and sigmas as the reference pipeline asks its scheduler for them."""
    pytest.importorskip("diffusers")
    from diffusers import FlowMatchEulerDiscreteScheduler
    from diffusers.pipelines.glm_image import pipeline_glm_image as pipeline

    scheduler = FlowMatchEulerDiscreteScheduler.from_config(names.to_config(Schedule()))
    times = np.linspace(1000, 1, count + 1)[:-1].astype(np.int64).astype(np.float32)
    mu = pipeline.calculate_shift(tokens(height, width), 256, 0.25, 0.75)
    seen, _ = pipeline.retrieve_timesteps(scheduler, count, "cpu", times, times / 1000, mu=mu)
    return (seen - 1).numpy(), scheduler.sigmas.numpy()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 4, 7, 20, 50, 333])
def test_steps_equal_the_reference(size: tuple[int, int], count: int) -> None:
    timesteps, sigmas = theirs(count, *size)
    ours = Schedule().steps(count, tokens(*size))
    np.testing.assert_array_equal(ours.timesteps, timesteps)
    np.testing.assert_allclose(ours.sigmas, sigmas, rtol=1e-6, atol=0)


def test_steps_by_hand() -> None:
    assert Schedule().mu(4096) == 3.25
    steps = Schedule().steps(2, 4096)
    assert steps.timesteps.tolist() == [999, 499]
    np.testing.assert_allclose(steps.sigmas, [1, 3.25 / 4.25, 0], rtol=1e-6)


def test_the_network_is_told_the_time_before_the_shift() -> None:
    steps = Schedule().steps(50, 1024)
    assert steps.timesteps[:3].tolist() == [999, 979, 959]
    assert np.abs(steps.sigmas[:-1] * 1000 - 1 - steps.timesteps).max() > 100


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_steps_refuse_a_count(count: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 1000"):
        Schedule().steps(count, 256)
