"""The contract of `nn`: each layer is its function with its own weights, cast to the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moyin.backend import autograd, device, nn, ops

RNG = np.random.default_rng(3)


def draw(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


LAYERS = {
    "Linear": (lambda: nn.Linear(4, 5), (2, 4), lambda x, w, b: ops.linear(x, w, b)),
    "Linear without bias": (lambda: nn.Linear(4, 5, bias=False), (2, 4), ops.linear),
    "Conv2d": (
        lambda: nn.Conv2d(3, 2, 3, stride=2, padding=1),
        (1, 3, 4, 5),
        lambda x, w, b: ops.conv2d(x, w, b, 2, 1),
    ),
    "LayerNorm": (
        lambda: nn.LayerNorm(4, eps=0.1),
        (2, 4),
        lambda x, w, b: ops.layer_norm(x, w, b, 0.1),
    ),
    "LayerNorm without weights": (
        lambda: nn.LayerNorm(4, eps=0.1, affine=False),
        (2, 4),
        lambda x: ops.layer_norm(x, eps=0.1),
    ),
    "RMSNorm": (lambda: nn.RMSNorm(4, eps=0.1), (2, 4), lambda x, w: ops.rms_norm(x, w, 0.1)),
    "GroupNorm": (
        lambda: nn.GroupNorm(2, 4, eps=0.1),
        (1, 4, 2, 3),
        lambda x, w, b: ops.group_norm(x, 2, w, b, 0.1),
    ),
}


def filled(layer: Any) -> list[Any]:
    """Random values in all parameters, biases and gains included."""
    for p in nn.named_parameters(layer).values():
        nn.set_parameter(p, ops.asarray(draw(*p.shape)))
    return list(nn.named_parameters(layer).values())


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_its_function(name: str) -> None:
    build, shape, function = LAYERS[name]
    layer = build()
    weights = filled(layer)
    x = ops.asarray(draw(*shape))
    np.testing.assert_allclose(
        ops.numpy(layer(x)), ops.numpy(function(x, *weights)), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", ["Linear", "Linear without bias", "RMSNorm"])
def test_a_layer_computes_in_the_dtype_of_its_input(name: str) -> None:
    build, shape, _ = LAYERS[name]
    layer = build()
    filled(layer)
    x = draw(*shape)
    half = layer(ops.cast(ops.asarray(x), ops.float16))
    assert half.dtype == ops.float16
    assert all(p.dtype == ops.float32 for p in nn.named_parameters(layer).values())
    np.testing.assert_allclose(ops.numpy(half), ops.numpy(layer(ops.asarray(x))), atol=2e-2)


def test_embedding_reads_rows() -> None:
    layer = nn.Embedding(5, 3)
    (weight,) = filled(layer)
    ids = np.array([[4, 0], [2, 4]])
    assert (ops.numpy(layer(ops.asarray(ids))) == ops.numpy(weight)[ids]).all()


def test_initial_weights_have_the_stated_spread() -> None:
    device.seed(0)
    for layer, std in (
        (nn.Linear(400, 300), 400**-0.5),
        (nn.Conv2d(64, 64, 3), (9 * 64) ** -0.5),
        (nn.Embedding(300, 200, std=0.5), 0.5),
    ):
        weight = ops.numpy(layer.weight)
        assert abs(weight.std() / std - 1) < 0.02
        assert abs(weight.mean()) < 0.02 * std
    assert (ops.numpy(nn.Linear(3, 4).bias) == 0).all()
    assert (ops.numpy(nn.RMSNorm(3).weight) == 1).all()


def test_a_seed_fixes_the_initial_weights() -> None:
    def weights(seed: int) -> Any:
        device.seed(seed)
        return ops.numpy(nn.Linear(3, 3).weight).copy()

    assert (weights(5) == weights(5)).all()
    assert (weights(5) != weights(6)).any()


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(2)
        self.out = nn.Linear(2, 2, bias=False)

    def forward(self, x: Any, keep: dict[str, Any] | None = None, *, twice: bool = False) -> Any:
        y = self.out(self.norm(x))
        if keep is not None:
            keep["y"] = y
        return y + y if twice else y


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(ops.ones((2,)))
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(2, 3)

    def forward(self, x: Any) -> tuple[Any, int]:
        for block in self.blocks:
            x = x + self.gate * block(x)
        return self.head(x), len(self.blocks)


NAMES = [
    "gate",
    "blocks.0.norm.weight",
    "blocks.0.out.weight",
    "blocks.1.norm.weight",
    "blocks.1.out.weight",
    "head.weight",
    "head.bias",
]


def test_parameters_have_dotted_names_in_order_of_construction() -> None:
    assert list(nn.named_parameters(Net())) == NAMES


def test_a_module_takes_and_gives_plain_python() -> None:
    net, keep = Net(), {}
    out, count = net(ops.ones((1, 2)))
    assert out.shape == (1, 3)
    assert count == 2
    once, twice = (net.blocks[1](ops.ones((1, 2)), keep, twice=t) for t in (False, True))
    assert (ops.numpy(twice) == 2 * ops.numpy(once)).all()
    assert keep["y"].shape == (1, 2)


def test_set_parameter_copies() -> None:
    parameter = nn.Linear(2, 2).weight
    value = ops.ones((2, 2))
    nn.set_parameter(parameter, value)
    nn.set_parameter(parameter, ops.zeros((2, 2), ops.float16))
    assert (ops.numpy(value) == 1).all()
    assert (ops.numpy(parameter) == 0).all()
    assert parameter.dtype == ops.float32


def test_a_net_built_empty_is_filled_by_assign() -> None:
    with nn.empty_weights():
        net = Net()
    shapes = {n: tuple(p.shape) for n, p in nn.named_parameters(net).items()}
    given = {n: draw(*s) for n, s in shapes.items()}
    nn.assign(net, {n: ops.asarray(x) for n, x in given.items()})
    assert list(nn.named_parameters(net)) == NAMES
    other = Net()
    for n, p in nn.named_parameters(other).items():
        nn.set_parameter(p, ops.asarray(given[n]))
    x = ops.asarray(draw(2, 2))
    assert (ops.numpy(net(x)[0]) == ops.numpy(other(x)[0])).all()
    gradients = autograd.value_and_grad(lambda: (ops.sum(net(x)[0]), None), net)()[2]
    assert list(gradients) == NAMES


def test_assign_keeps_the_dtype_it_is_given() -> None:
    layer = nn.Linear(2, 2)
    nn.assign(layer, {"weight": ops.ones((2, 2), ops.float16)})
    assert layer.weight.dtype == ops.float16
    assert layer(ops.ones((1, 2))).dtype == ops.float32
