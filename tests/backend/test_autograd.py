"""Gradients by name, what is left out of them, and what records nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import autograd, nn, ops


class Pair(nn.Module):
    """a · x, with a `b` to spare."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(ops.asarray([2.0, 3.0]))
        self.b = nn.Parameter(ops.asarray([5.0]))

    def forward(self, x: Any) -> Any:
        return self.a * x


X = ops.asarray([10.0, 100.0])


def gradients(net: Any, fn: Any) -> dict[str, list[float]]:
    _, _, found = autograd.value_and_grad(lambda: (ops.sum(fn(net)), None), net)()
    return {n: ops.numpy(g).tolist() for n, g in found.items()}


def test_arguments_loss_and_aux_pass_through() -> None:
    net = Pair()

    def fn(x: Any, factor: float) -> tuple[Any, dict[str, Any]]:
        y = net(x) * factor
        return ops.sum(y), {"y": y, "factor": factor, "none": None}

    loss, aux, found = autograd.value_and_grad(fn, net)(X, 0.5)
    assert float(ops.numpy(loss)) == 160
    assert ops.numpy(aux["y"]).tolist() == [10, 150]
    assert (aux["factor"], aux["none"]) == (0.5, None)
    assert ops.numpy(found["a"]).tolist() == [5, 50]


def test_a_parameter_the_loss_ignores_has_zeros() -> None:
    assert gradients(Pair(), lambda net: net(X)) == {"a": [10, 100], "b": [0]}


def test_names_choose_what_to_differentiate_by() -> None:
    net = Pair()
    ask = autograd.value_and_grad(lambda: (ops.sum(net(X) * net.b), None), net, ["b"])
    assert {n: ops.numpy(g).tolist() for n, g in ask()[2].items()} == {"b": [320]}


def test_stop_gradient_and_no_grad_cut() -> None:
    def half(net: Any) -> Any:
        with autograd.no_grad():
            constant = net(X)
        return constant * net.b + ops.stop_gradient(net(X)) * net.b + net.a

    assert gradients(Pair(), half) == {"a": [1, 1], "b": [2 * 320]}


def test_no_grad_decorates() -> None:
    @autograd.no_grad()
    def constant(net: Any) -> Any:
        return net(X)

    assert gradients(Pair(), lambda net: constant(net) * net.b) == {"a": [0, 0], "b": [320]}


def test_the_function_can_be_asked_again() -> None:
    net = Pair()
    ask = autograd.value_and_grad(lambda x: (ops.sum(ops.square(net(x))), None), net)
    first = [ops.numpy(ask(X)[2]["a"]).tolist() for _ in range(2)]
    nn.set_parameter(net.a, ops.asarray([1.0, 1.0]))
    assert first == [[400, 60000]] * 2
    np.testing.assert_allclose(ops.numpy(ask(X)[2]["a"]), [200, 20000])
