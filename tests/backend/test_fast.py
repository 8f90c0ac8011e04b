"""Every fast variant computes what the plain function does: values, and gradients where it has
any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from moyin.backend import NAME

if NAME != "torch":
    pytest.skip("variants are of PyTorch's backend", allow_module_level=True)

import torch

from moyin.backend.torch import fast, int4_layout, ops, packed


def tensor(*shape: int, dtype: Any = torch.float32, grad: bool = False) -> Any:
    x = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
    return torch.from_numpy(x).to(dtype).requires_grad_(grad)


def attention_cases() -> Iterator[tuple[Any, ...]]:
    """(q, k, v, mask, bias): grouped heads, a bias, and a query whose keys are all masked."""
    q, k, v = tensor(2, 4, 5, 8, grad=True), tensor(2, 2, 7, 8, grad=True), tensor(2, 2, 7, 8)
    mask = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(0)) > 0.4
    mask[0, 0, 0] = False
    yield q, k, v
    yield q, k, v, mask
    yield q, k, v, None, tensor(1, 4, 5, 7)
    yield q, k, v, mask | (torch.arange(7) == 3), tensor(1, 4, 5, 7)


def int4_case() -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.integers(-8, 8, (96, 256)).astype(np.int8))
    scales = tensor(96, 2, dtype=torch.bfloat16)
    both = int4_layout.scales_and_zeros(scales, tensor(96, 2, dtype=torch.bfloat16))
    return tensor(3, 256, dtype=torch.bfloat16), int4_layout.pack(values), both.contiguous()


def int8_case() -> tuple[Any, ...]:
    values = torch.from_numpy(
        np.random.default_rng(0).integers(-127, 128, (64, 96)).astype(np.int8)
    )
    return tensor(3, 96, dtype=torch.bfloat16), values, tensor(64, dtype=torch.bfloat16)


def layer_norm_case() -> tuple[Any, ...]:
    bf16 = torch.bfloat16
    weight, bias = tensor(32, dtype=bf16, grad=True), tensor(32, dtype=bf16, grad=True)
    return tensor(6, 32, dtype=bf16, grad=True), weight, bias


LOW = 2**-7  # two roundings to bf16
# Of each variant: the function, its arguments, and how far it may be off, of the largest value.
CASES: dict[tuple[str, str], tuple[Any, list[tuple[Any, ...]], float]] = {
    ("attention", "cpu"): (ops.attention, list(attention_cases()), 1e-5),
    ("gelu", "cpu"): (ops.gelu, [(tensor(50, grad=True), "tanh")], 1e-6),
    ("int4_product", "cpu"): (packed.int4_product, [int4_case()], LOW),
    ("int8_product", "cpu"): (packed.int8_product, [int8_case()], LOW),
    ("layer_norm", "cpu"): (ops.layer_norm, [layer_norm_case()], LOW),
    ("linear", "cpu"): (
        ops.linear,
        [(tensor(1, 64, dtype=torch.bfloat16), tensor(48, 64, dtype=torch.bfloat16))],
        LOW,
    ),
}
# Conditions that a test cannot bring about by arguments.
AMBIENT: dict[tuple[str, str], Callable[[], Any]] = {
    ("gelu", "cpu"): lambda: patch.object(torch.compiler, "is_compiling", lambda: True),
    ("linear", "cpu"): torch.no_grad,
    ("int4_product", "cpu"): torch.no_grad,
    ("int8_product", "cpu"): torch.no_grad,
}


@contextmanager
def ambient(key: tuple[str, str]) -> Iterator[None]:
    with AMBIENT.get(key, lambda: patch.dict({}))():
        yield


def results(function: Any, arguments: tuple[Any, ...]) -> list[Any]:
    """The value, and its gradients by the arguments that require one."""
    y = function(*arguments)
    wanted = [x for x in arguments if isinstance(x, torch.Tensor) and x.requires_grad]
    if not (y.requires_grad and wanted):
        return [y]
    weights = tensor(*y.shape).to(y.dtype)
    return [y, *torch.autograd.grad((y * weights).sum(), wanted)]


def test_every_variant_has_a_case() -> None:
    assert CASES.keys() == fast.VARIANTS.keys()


@pytest.mark.parametrize("key", CASES, ids="-".join)
def test_a_variant_equals_the_plain_function(key: tuple[str, str]) -> None:
    function, cases, tolerance = CASES[key]
    if key[0] == "int4_product" and not fast.cpu._int4_kernel_fits():
        pytest.skip("this CPU's kernel has another layout")
    calls = []
    variant = fast.VARIANTS[key]

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return variant.run(*arguments)

    for arguments in cases:
        with patch.dict(fast.VARIANTS, {key: replace(variant, run=counted)}), ambient(key):
            quick = results(function, arguments)
        plain = results(function.__wrapped__, arguments)
        for a, b in zip(quick, plain, strict=True):
            a, b = a.detach().double(), b.detach().double()
            assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())
    assert len(calls) == len(cases)


def test_a_variant_can_be_switched_off() -> None:
    q, k, v = next(attention_cases())
    with fast.plain_only():
        plain = ops.attention(q, k, v)
    assert torch.equal(plain, ops.attention.__wrapped__(q, k, v))


def test_layer_norm_sums_gradients_exactly() -> None:
    """4096 rows: the weight's gradient within 1 %, where the fused kernel is a quarter off."""
    rows = 4096
    x, bias = tensor(rows, 8, dtype=torch.bfloat16), torch.zeros(8, dtype=torch.bfloat16)
    weight = torch.ones(8, dtype=torch.bfloat16).requires_grad_()
    y = ops.layer_norm(x, weight, bias)
    (gradient,) = torch.autograd.grad((y * y.detach()).sum(), weight)
    exact = torch.nn.functional.layer_norm(x.double(), (8,)).square().sum(0)
    assert float(((gradient.double() - exact) / exact).abs().max()) < 0.01
