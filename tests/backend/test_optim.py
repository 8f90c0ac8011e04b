"""AdamW, clipping and the moving average against a hand version in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moyin.backend import nn, ops, optim

SHAPES = {"weight": (3, 4), "bias": (3,)}
BETAS, EPS, DECAY = (0.8, 0.9), 1e-3, 0.3


def draws(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=s).astype(np.float32) for n, s in SHAPES.items()}


def tensors(arrays: dict[str, Any]) -> dict[str, Any]:
    return {n: ops.asarray(x.copy()) for n, x in arrays.items()}


def layer(seed: int = 0) -> dict[str, Any]:
    parameters = nn.named_parameters(nn.Linear(4, 3))
    for n, x in tensors(draws(seed)).items():
        nn.set_parameter(parameters[n], x)
    return parameters


def adamw_by_hand(steps: int) -> dict[str, Any]:
    """Algorithm 2 of Loshchilov and Hutter, with decay for matrices alone, in float64."""
    out = {}
    for n, p in draws(0).items():
        p, m, v = p.astype(np.float64), 0.0, 0.0
        for t in range(1, steps + 1):
            g, lr = draws(t)[n].astype(np.float64), 0.1 / t
            m, v = BETAS[0] * m + (1 - BETAS[0]) * g, BETAS[1] * v + (1 - BETAS[1]) * g * g
            hat_m, hat_v = m / (1 - BETAS[0] ** t), v / (1 - BETAS[1] ** t)
            decay = DECAY * p if p.ndim > 1 else 0.0
            p = p - lr * (hat_m / (np.sqrt(hat_v) + EPS) + decay)
        out[n] = p
    return out


def train(optimizer: Any, first: int, last: int) -> None:
    for t in range(first, last + 1):
        optimizer.step(tensors(draws(t)), 0.1 / t)


def test_adamw_equals_the_hand_version() -> None:
    parameters = layer()
    train(optim.AdamW(parameters, BETAS, EPS, DECAY), 1, 6)
    for n, expected in adamw_by_hand(6).items():
        np.testing.assert_allclose(ops.numpy(parameters[n]), expected, rtol=1e-5, atol=1e-6)


def test_adamw_takes_gradients_in_any_order_in_memory() -> None:
    """As those of convolutions come, whose channels lie last."""
    parameters = layer()
    optimizer = optim.AdamW(parameters, BETAS, EPS, DECAY)
    for t in range(1, 7):
        turned = ops.asarray(np.ascontiguousarray(draws(t)["weight"].T))
        gradients = tensors(draws(t)) | {"weight": ops.transpose(turned, 0, 1)}
        optimizer.step(gradients, 0.1 / t)
    for n, expected in adamw_by_hand(6).items():
        np.testing.assert_allclose(ops.numpy(parameters[n]), expected, rtol=1e-5, atol=1e-6)


def test_adamw_goes_on_where_its_state_was_taken() -> None:
    whole, halves = layer(), layer()
    train(optim.AdamW(whole, BETAS, EPS, DECAY), 1, 6)
    first = optim.AdamW(halves, BETAS, EPS, DECAY)
    train(first, 1, 3)
    state = first.state()
    assert set(state) == {"step", "m.weight", "m.bias", "v.weight", "v.bias"}
    second = optim.AdamW(halves, BETAS, EPS, DECAY)
    second.load({n: ops.asarray(ops.numpy(t).copy()) for n, t in state.items()})
    train(second, 4, 6)
    for n in SHAPES:
        assert (ops.numpy(whole[n]) == ops.numpy(halves[n])).all()


def test_loaded_state_does_not_change_with_the_steps() -> None:
    optimizer = optim.AdamW(layer())
    train(optimizer, 1, 1)
    saved = {n: ops.asarray(ops.numpy(t).copy()) for n, t in optimizer.state().items()}
    before = ops.numpy(saved["m.weight"]).copy()
    optimizer.load(saved)
    train(optimizer, 2, 2)
    assert (ops.numpy(saved["m.weight"]) == before).all()


def test_a_parameter_without_a_gradient_stays() -> None:
    parameters = layer()
    optim.AdamW(parameters, weight_decay=0.5).step({"bias": ops.ones((3,))}, 0.1)
    assert (ops.numpy(parameters["weight"]) == draws(0)["weight"]).all()
    np.testing.assert_allclose(ops.numpy(parameters["bias"]), draws(0)["bias"] - 0.1, rtol=1e-5)


@pytest.mark.parametrize(("limit", "scale"), [(6.5, 0.5), (100.0, 1.0)])
def test_clip_scales_all_gradients_by_their_joint_norm(limit: float, scale: float) -> None:
    given = {"a": ops.asarray([[3.0, 4.0]]), "b": ops.asarray([12.0])}
    clipped, norm = optim.clip_by_global_norm(given, limit)
    assert norm == pytest.approx(13)
    np.testing.assert_allclose(ops.numpy(clipped["a"]), np.array([[3, 4]]) * scale, rtol=1e-6)
    np.testing.assert_allclose(ops.numpy(clipped["b"]), np.array([12]) * scale, rtol=1e-6)


def test_ema_update_moves_the_average() -> None:
    average, parameters = tensors(draws(1)), layer(2)
    optim.ema_update(average, parameters, 0.75)
    for n in SHAPES:
        expected = 0.75 * draws(1)[n] + 0.25 * draws(2)[n]
        np.testing.assert_allclose(ops.numpy(average[n]), expected, rtol=1e-6, atol=1e-6)
        assert (ops.numpy(parameters[n]) == draws(2)[n]).all()
