import numpy as np
import pytest

from moyin import backend
from moyin.backend import ops
from moyin.inference.config import TokenSampling
from moyin.inference.sampling import sample_token, sample_token_numpy


def _logits(rows):
    return ops.asarray(np.log(np.array(rows, dtype=np.float32)))


def _uniforms(values):
    return ops.asarray(np.array(values, dtype=np.float32))


def _draw(logits, uniforms, allowed=None, **how):
    return ops.numpy(sample_token(logits, uniforms, TokenSampling(**how), allowed)).tolist()


def test_inverse_of_the_cumulative_sum_by_hand():
    # In order of likelihood: id 2 (0.5), id 0 (0.3), id 1 (0.2).
    logits = _logits([[0.3, 0.2, 0.5]] * 6)
    uniforms = _uniforms([0.0, 0.49, 0.51, 0.79, 0.81, 1 - 2**-24])
    assert _draw(logits, uniforms, temperature=1, top_p=1) == [2, 2, 0, 0, 1, 1]


def test_top_p_keeps_the_fewest_that_reach_it():
    logits = _logits([[0.3, 0.2, 0.5]] * 4)
    uniforms = _uniforms([0.0, 0.6, 0.65, 1 - 2**-24])  # 0.5 and 0.3 of 0.8
    assert _draw(logits, uniforms, temperature=1, top_p=0.75) == [2, 2, 0, 0]
    assert _draw(logits, uniforms, temperature=1, top_p=0.4) == [2] * 4


def test_top_k_keeps_as_many():
    logits = _logits([[0.3, 0.2, 0.5]] * 2)
    assert _draw(logits, _uniforms([0.6, 0.99]), temperature=1, top_p=1, top_k=2) == [2, 0]
    assert _draw(logits, _uniforms([0.6, 0.99]), temperature=1, top_p=1, top_k=1) == [2, 2]


def test_forbidden_ids_never_come():
    logits = ops.asarray(np.array([[0.0, 1.0, 50.0, 60.0]], dtype=np.float32))
    assert _draw(logits, _uniforms([0.999]), allowed=2) == [1]
    assert _draw(logits, _uniforms([0.0]), temperature=0, allowed=3) == [2]


def test_zero_temperature_is_the_likeliest():
    logits = _logits([[0.3, 0.2, 0.5], [0.4, 0.35, 0.25]])
    assert _draw(logits, _uniforms([0.99, 0.99]), temperature=0) == [2, 0]


@pytest.mark.parametrize(
    "how",
    [
        {"temperature": 0.9, "top_p": 0.75, "top_k": 0},
        {"temperature": 1.3, "top_p": 1.0, "top_k": 0},
        {"temperature": 0.7, "top_p": 0.9, "top_k": 10},
    ],
)
def test_frequencies_are_the_reference_s(how):
    transformers = pytest.importorskip("transformers")
    if backend.NAME != "torch":
        pytest.skip("the reference runs on torch")
    count = 20_000
    row = np.random.default_rng(0).normal(size=(1, 60)).astype(np.float32) * 2
    warped = transformers.TemperatureLogitsWarper(how["temperature"])(None, ops.asarray(row))
    if how["top_k"]:
        warped = transformers.TopKLogitsWarper(how["top_k"])(None, warped)
    if how["top_p"] < 1:
        warped = transformers.TopPLogitsWarper(how["top_p"])(None, warped)
    expected = ops.numpy(ops.softmax(warped))[0]
    uniforms = ops.asarray(((np.arange(count) + 0.5) / count).astype(np.float32))
    rows = np.tile(row, (count, 1))
    drawn = sample_token(ops.asarray(rows), uniforms, TokenSampling(**how))
    np.testing.assert_array_equal(
        sample_token_numpy(rows, ops.numpy(uniforms), TokenSampling(**how)), ops.numpy(drawn)
    )
    found = np.bincount(ops.numpy(drawn), minlength=60) / count
    np.testing.assert_allclose(found, expected, atol=3 / count)
    assert ((found > 0) == (expected > 0)).all()


@pytest.mark.parametrize("spread", [0.1, 3.0])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"temperature": 0},
        {"top_p": 1.0},
        {"top_p": 0.999, "temperature": 1.5},
        {"top_k": 7},
        {"top_k": 700, "top_p": 0.99},
    ],
)
def test_the_host_s_choice_is_the_same(spread, how):
    """Flat and steep distributions over more ids than are sorted at first, many of them equal."""
    rng = np.random.default_rng(1)
    rows = np.round(rng.normal(size=(300, 1000)) * spread, 1).astype(np.float32)
    uniforms = rng.random(300, dtype=np.float32)
    sampling = TokenSampling(**how)
    tensors = ops.asarray(rows), ops.asarray(uniforms)
    expected = ops.numpy(sample_token(*tensors, sampling, allowed=900))
    found = sample_token_numpy(rows, uniforms, sampling, allowed=900)
    assert (found == expected).mean() > 0.99  # a uniform may fall on the rounding of a sum
    assert found.max() < 900
