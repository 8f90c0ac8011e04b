"""The contract of `ops`: forward and gradient of every function against NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_cases import CASES, Array, Case, X, draw

from moyin.backend import autograd, device, nn, ops, protocol

TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}


class Holder(nn.Module):
    """Tensors as the parameters x0, x1, … of a module, so that gradients can be asked for."""

    def __init__(self, inputs: tuple[Array, ...]) -> None:
        super().__init__()
        for i, x in enumerate(inputs):
            setattr(self, f"x{i}", nn.Parameter(ops.asarray(x.copy())))

    def tensors(self) -> list[Any]:
        return list(nn.named_parameters(self).values())


def several(out: Any) -> list[Any]:
    return list(out) if isinstance(out, tuple | list) else [out]


def weights(shapes: list[tuple[int, ...]]) -> list[Array]:
    """What the loss multiplies each output with: something that no symmetry can hide."""
    return [draw(*s, seed=i).astype(np.float64) for i, s in enumerate(shapes)]


def differences(f: Callable[..., float], inputs: list[Array], step: float = 1e-5) -> list[Array]:
    """The gradient of f by central differences."""
    out = []
    for x in inputs:
        slope = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            kept = x[place]
            x[place] = kept + step
            above = f(*inputs)
            x[place] = kept - step
            slope[place] = (above - f(*inputs)) / (2 * step)
            x[place] = kept
        out.append(slope)
    return out


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_equals_numpy(case: Case) -> None:
    found = several(case.call(*[ops.asarray(x.copy()) for x in case.inputs]))
    expected = several(case.reference(*[x.astype(np.float64) for x in case.inputs]))
    assert len(found) == len(expected)
    for f, e in zip((ops.numpy(f) for f in found), map(np.asarray, expected), strict=True):
        assert f.shape == e.shape
        kind = np.dtype(np.float32) if e.dtype == np.float64 and case.inputs else e.dtype
        assert f.dtype == kind
        np.testing.assert_allclose(f, e, **TOLERANCE)


@pytest.mark.parametrize("case", [c for c in CASES if c.inputs and c.gradient], ids=str)
def test_gradient_equals_numpy(case: Case) -> None:
    exact = [x.astype(np.float64) for x in case.inputs]
    outputs = [np.asarray(o) for o in several(case.reference(*exact))]
    cotangents = weights([o.shape for o in outputs])
    chosen = [i for i, o in enumerate(outputs) if o.dtype.kind == "f"]

    def numpy_loss(*xs: Array) -> float:
        outs = several(case.reference(*xs))
        return float(sum(np.sum(outs[i] * cotangents[i]) for i in chosen))

    holder = Holder(case.inputs)

    def loss() -> tuple[Any, Any]:
        outs = several(case.call(*holder.tensors()))
        parts = [ops.sum(outs[i] * ops.asarray(cotangents[i], ops.float32)) for i in chosen]
        return ops.sum(ops.stack(parts)), {"outputs": len(outs)}

    value, aux, gradients = autograd.value_and_grad(loss, holder)()
    assert aux == {"outputs": len(outputs)}
    np.testing.assert_allclose(ops.numpy(value), numpy_loss(*exact), rtol=1e-4, atol=1e-4)
    for i, expected in enumerate(differences(numpy_loss, exact)):
        np.testing.assert_allclose(
            ops.numpy(gradients[f"x{i}"]), expected, rtol=1e-4, atol=1e-4, err_msg=f"input {i}"
        )


def test_every_function_has_a_case() -> None:
    functions = {n for n, f in vars(protocol.Ops).items() if callable(f) and n[0] != "_"}
    assert functions == {case.op for case in CASES}


OPERATORS: dict[str, Callable[[Any], Any]] = {
    "+": lambda x: x + x * 2,
    "1-": lambda x: 1 - x,
    "/": lambda x: 2.5 / (x * x + 1) / 3,
    "**": lambda x: x**2,
    "%": lambda x: x % 2,
    "//": lambda x: x // 0.7,
    "neg": lambda x: -x,
    "index": lambda x: x[1],
    "slice": lambda x: x[:, 1:, ::2],
    "ellipsis": lambda x: x[..., :2],
    "none": lambda x: x[:, None, :, None],
    "negative": lambda x: x[..., -1],
    "compare": lambda x: (x > 0) & (x <= 1.5) | ~(x != x) & (x < -1),
    "equal": lambda x: x == x,
    "shape": lambda x: x * (x.shape[-1] + x.ndim + len(x)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_equal_numpy(name: str) -> None:
    found = ops.numpy(OPERATORS[name](ops.asarray(X)))
    expected = OPERATORS[name](X)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, **TOLERANCE)


def test_integer_operators_equal_numpy() -> None:
    x = np.arange(6).reshape(2, 3)
    t = ops.asarray(x)
    for found, expected in (
        (t % 4 + t // 2 * 3 - 1, x % 4 + x // 2 * 3 - 1),
        (t == 2, x == 2),
        (t[1, None], x[1, None]),
    ):
        assert ops.numpy(found).dtype == expected.dtype
        np.testing.assert_array_equal(ops.numpy(found), expected)
    assert t.dtype == ops.int64
    assert t.shape == (2, 3)
    assert (ops.cast(t, ops.float32) / 2).dtype == ops.float32


def test_half_precision_keeps_its_dtype() -> None:
    x = ops.cast(ops.asarray(X), ops.float16)
    assert (x * 1.5 + 1).dtype == ops.float16
    assert ops.numpy(x / 2).dtype == np.float16
    assert ops.cross_entropy(ops.cast(ops.asarray(X[0]), ops.float16), ops.arange(3)).dtype == (
        ops.float32
    )


def test_bfloat16_reaches_numpy_as_float32() -> None:
    x = ops.cast(ops.asarray([1.0, -2.5, 3.14159]), ops.bfloat16)
    assert x.dtype == ops.bfloat16
    assert ops.numpy(x).dtype == np.float32
    assert ops.numpy(x).tolist() == [1.0, -2.5, 3.140625]


@pytest.mark.skipif(not device.supports_bfloat16(), reason="no bf16 here")
@pytest.mark.parametrize("shape", [(40,), (1, 40), (1, 1, 40), (2, 40)])
def test_one_row_in_bfloat16(shape: tuple[int, ...]) -> None:
    """It may go another way; with a gradient it does not."""
    x, w, b = (ops.asarray(draw(*s), ops.bfloat16) for s in (shape, (9, 40), (9,)))
    kept = ops.numpy(x).astype(np.float64) @ ops.numpy(w).astype(np.float64).T
    for bias, expected in ((None, kept), (b, kept + ops.numpy(b))):
        with autograd.no_grad():
            found = ops.linear(x, w, bias)
        assert tuple(found.shape) == expected.shape
        np.testing.assert_allclose(ops.numpy(found), expected, rtol=2e-2, atol=2e-2)
