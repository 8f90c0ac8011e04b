"""One table: every function of `ops`, the tensors it is tried on, and NumPy's word for it.

Float inputs are tensors of which the gradient is taken; integers and booleans are constants in
the call. The references run in float64, and their gradients are central differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from moyin.backend import ops

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """`call` on tensors must equal `reference` on arrays, and so must their gradients."""

    op: str
    call: Callable[..., Any]
    reference: Callable[..., Any]
    inputs: tuple[Array, ...] = ()
    gradient: bool = True
    note: str = ""

    def __str__(self) -> str:
        return f"{self.op} {self.note}".strip()


def draw(*shape: int, seed: int = 0, low: float = -2.0) -> Array:
    """Distinct, well separated numbers from `low` to `low` + 4: no two near enough to tie."""
    count = math.prod(shape)
    order = np.random.default_rng(seed + count).permutation(count)
    return (low + 4 * (order + 0.37) / count).reshape(shape).astype(np.float32)


INDEX = np.array([2, 0, 2])
PLACES = np.array([[[2, 0, 1, 1], [0, 0, 2, 1]], [[1, 2, 0, 0], [2, 2, 1, 0]]])
FLAGS = np.array([[True, False, True, False], [False, False, True, True]])
TARGETS = np.array([3, 0, 2])
X = draw(2, 3, 4)
POSITIVE = draw(2, 3, 4, low=0.1)


def const(x: Any) -> Any:
    """An array as a tensor of the same dtype."""
    return ops.asarray(x)


def elementwise(name: str, reference: Callable[[Array], Array], x: Array = X) -> Case:
    return Case(name, lambda a: getattr(ops, name)(a), reference, (x,))


def erf(x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[float])(x)


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def tanh_gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def layer_norm(x: Array, weight: Any = 1.0, bias: Any = 0.0, eps: float = 1e-5) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * weight + bias


def group_norm(x: Array, weight: Array, bias: Array, groups: int) -> Array:
    shape = (1, -1, *[1] * (x.ndim - 2))
    normed = layer_norm(x.reshape(x.shape[0], groups, -1), eps=1e-3).reshape(x.shape)
    return normed * weight.reshape(shape) + bias.reshape(shape)


def conv2d(x: Array, weight: Array, bias: Any = None, stride: int = 1, padding: int = 0) -> Array:
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    k = weight.shape[2]
    rows, columns = ((size - k) // stride + 1 for size in x.shape[2:])
    out = np.zeros((x.shape[0], weight.shape[0], rows, columns))
    for i in range(k):
        for j in range(k):
            patch = x[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
            out += np.einsum("bchw,oc->bohw", patch, weight[:, :, i, j])
    return out if bias is None else out + bias.reshape(1, -1, 1, 1)


def attention(
    q: Array, k: Array, v: Array, bias: Any = 0.0, mask: Any = True, scale: float | None = None
) -> Array:
    share = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, share, 1), np.repeat(v, share, 1)
    scores = q @ k.swapaxes(2, 3) * (scale or q.shape[-1] ** -0.5) + bias
    allowed = np.broadcast_to(mask, scores.shape)
    e = np.where(allowed, np.exp(scores), 0.0)
    return e / np.maximum(e.sum(-1, keepdims=True), 1e-30) @ v


def attention_case(note: str, shapes: tuple[tuple[int, ...], ...], **options: Any) -> Case:
    """q, k, v and possibly a bias of the given shapes; options for both sides."""
    mask, causal = options.pop("mask", None), options.pop("causal", False)

    def call(q: Any, k: Any, v: Any, bias: Any = None) -> Any:
        seen = None if mask is None else const(mask)
        return ops.attention(q, k, v, mask=seen, bias=bias, causal=causal, **options)

    def reference(q: Array, k: Array, v: Array, bias: Any = 0.0) -> Array:
        seen = np.tri(q.shape[2], k.shape[2], dtype=bool) if causal else mask
        return attention(q, k, v, bias, True if seen is None else seen, **options)

    inputs = tuple(draw(*s, seed=i) for i, s in enumerate(shapes))
    return Case("attention", call, reference, inputs, note=note)


QKV = ((2, 4, 3, 8), (2, 4, 5, 8), (2, 4, 5, 8))
GROUPED = ((2, 4, 3, 8), (2, 2, 5, 8), (2, 2, 5, 6))
SQUARE = ((2, 2, 4, 8),) * 3
SEEN = np.array([[1, 1, 0, 1, 1], [0, 1, 1, 1, 0]], bool)[:, None, None]
BLIND = np.array([[1, 1, 0, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)[None, None]


def _written(start: int) -> Any:
    def reference(cache: Array, value: Array) -> Array:
        out = cache.copy()
        out[:, :, start : start + value.shape[2]] = value
        return out

    return reference


def _sort(x: Array, descending: bool) -> tuple[Array, Array]:
    order = np.argsort(-x if descending else x, 1, kind="stable")
    return np.take_along_axis(x, order, 1), order


MAKING = [
    Case("asarray", lambda: ops.asarray([1.5, 2]), lambda: np.array([1.5, 2], np.float32)),
    Case("asarray", lambda: ops.asarray(3), lambda: np.array(3, np.int64), note="integer"),
    Case("asarray", lambda: const(FLAGS), lambda: FLAGS, note="booleans"),
    Case(
        "asarray",
        lambda: ops.asarray(ops.asarray(INDEX), ops.float32),
        lambda: INDEX.astype(np.float32),
        note="a tensor cast",
    ),
    Case("numpy", lambda: const(ops.numpy(const(X)) * 2), lambda: X * 2),
    Case("zeros", lambda: ops.zeros((2, 3)), lambda: np.zeros((2, 3), np.float32)),
    Case("zeros", lambda: ops.zeros([2], ops.bool_), lambda: np.zeros(2, bool), note="bool"),
    Case("ones", lambda: ops.ones((2, 3)), lambda: np.ones((2, 3), np.float32)),
    Case("ones", lambda: ops.ones((2,), ops.int64), lambda: np.ones(2, np.int64), note="int"),
    Case("full", lambda: ops.full((2, 1), -2.5), lambda: np.full((2, 1), -2.5, np.float32)),
    Case("full", lambda: ops.full((3,), 7, ops.int64), lambda: np.full(3, 7), note="int"),
    Case("arange", lambda: ops.arange(5), lambda: np.arange(5)),
    Case(
        "arange",
        lambda: ops.arange(3, ops.float32),
        lambda: np.arange(3, dtype=np.float32),
        note="float",
    ),
    Case("zeros_like", lambda a: ops.zeros_like(a) + a, lambda a: a, (X,)),
    Case(
        "zeros_like",
        lambda: ops.zeros_like(const(INDEX)),
        lambda: np.zeros_like(INDEX),
        note="int",
    ),
    Case(
        "cast", lambda a: ops.cast(ops.cast(a, ops.float64), ops.float32) * 3, lambda a: a * 3, (X,)
    ),
    Case("cast", lambda: ops.cast(const(FLAGS), ops.int64), lambda: FLAGS + 0, note="bool to int"),
    Case("cast", lambda: ops.cast(const(INDEX), ops.bool_), lambda: INDEX != 0, note="int to bool"),
    Case(
        "cast",
        lambda: ops.cast(const(X), ops.int64),
        lambda: np.trunc(X).astype(np.int64),
        note="float to int",
    ),
]

SHAPE = [
    Case("reshape", lambda a: ops.reshape(a, (4, -1)), lambda a: a.reshape(4, -1), (X,)),
    Case(
        "reshape", lambda a: ops.reshape(a, ()), lambda a: a.reshape(()), (draw(1),), note="to []"
    ),
    Case("permute", lambda a: ops.permute(a, (2, 0, 1)), lambda a: a.transpose(2, 0, 1), (X,)),
    Case("transpose", lambda a: ops.transpose(a, 0, -1), lambda a: a.swapaxes(0, 2), (X,)),
    Case(
        "concat",
        lambda a, b: ops.concat([a, b, a], -2),
        lambda a, b: np.concatenate([a, b, a], 1),
        (X, draw(2, 1, 4)),
    ),
    Case("stack", lambda a, b: ops.stack([a, b]), lambda a, b: np.stack([a, b]), (X, X + 1)),
    Case(
        "stack",
        lambda a, b: ops.stack((a, b), -1),
        lambda a, b: np.stack([a, b], -1),
        (X, X + 1),
        note="last",
    ),
    Case("split", lambda a: ops.split(a, (1, 3), -1), lambda a: np.split(a, [1], 2), (X,)),
    Case("chunk", lambda a: ops.chunk(a, 2, -1), lambda a: np.split(a, 2, 2), (X,)),
    Case("chunk", lambda a: ops.chunk(a, 3, 1), lambda a: np.split(a, 3, 1), (X,), note="odd"),
    Case(
        "broadcast_to",
        lambda a: ops.broadcast_to(a, (5, 2, 3, 4)),
        lambda a: np.broadcast_to(a, (5, 2, 3, 4)),
        (draw(2, 1, 4),),
    ),
    Case("repeat", lambda a: ops.repeat(a, 3, 1), lambda a: np.repeat(a, 3, 1), (X,)),
    Case("repeat", lambda: ops.repeat(const(INDEX), 2, 0), lambda: np.repeat(INDEX, 2), note="int"),
    Case(
        "pad",
        lambda a: ops.pad(a, ((1, 0), (2, 3)), 1.5),
        lambda a: np.pad(a, ((0, 0), (1, 0), (2, 3)), constant_values=1.5),
        (X,),
    ),
    Case(
        "pad",
        lambda: ops.pad(const(INDEX), ((2, 1),), 7),
        lambda: np.pad(INDEX, (2, 1), constant_values=7),
        note="int",
    ),
    Case(
        "pad",
        lambda: ops.pad(const(FLAGS), ((1, 1),)),
        lambda: np.pad(FLAGS, ((0, 0), (1, 1))),
        note="bool",
    ),
]

ELEMENTWISE = [
    elementwise("exp", np.exp),
    elementwise("log", np.log, POSITIVE),
    elementwise("sqrt", np.sqrt, POSITIVE),
    elementwise("rsqrt", lambda x: x**-0.5, POSITIVE),
    elementwise("sin", np.sin),
    elementwise("cos", np.cos),
    elementwise("abs", np.abs),
    elementwise("square", np.square),
    elementwise("tanh", np.tanh),
    elementwise("sigmoid", sigmoid),
    elementwise("silu", lambda x: x * sigmoid(x)),
    elementwise("gelu", lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2)))),
    Case("gelu", lambda a: ops.gelu(a, approximate="tanh"), tanh_gelu, (X,), note="tanh"),
    Case("clip", lambda a: ops.clip(a, -0.7, 1.1), lambda a: np.clip(a, -0.7, 1.1), (X,)),
    Case("maximum", lambda a, b: ops.maximum(a, b), np.maximum, (X, draw(3, 4, seed=5))),
    Case("minimum", lambda a, b: ops.minimum(a, b), np.minimum, (X, draw(3, 4, seed=5))),
    Case(
        "addcmul",
        lambda x, a, b: ops.addcmul(x, a, b),
        lambda x, a, b: x + a * b,
        (X, draw(2, 1, 4), draw(2, 3, 1)),
    ),
    Case(
        "where",
        lambda a, b: ops.where(const(FLAGS)[:, None], a, b),
        lambda a, b: np.where(FLAGS[:, None], a, b),
        (X, draw(1)),
    ),
]

REDUCTIONS = [
    Case("sum", lambda a: ops.sum(a), lambda a: a.sum(), (X,)),
    Case("sum", lambda a: ops.sum(a, 1, keepdims=True), lambda a: a.sum(1, keepdims=True), (X,)),
    Case("sum", lambda: ops.sum(const(FLAGS), -1), lambda: FLAGS.sum(-1), note="booleans"),
    Case("mean", lambda a: ops.mean(a), lambda a: a.mean(), (X,)),
    Case("mean", lambda a: ops.mean(a, axis=-1), lambda a: a.mean(-1), (X,), note="last"),
    Case("max", lambda a: ops.max(a, 1), lambda a: a.max(1), (X,)),
    Case(
        "max",
        lambda a: ops.max(a, -1, keepdims=True),
        lambda a: a.max(-1, keepdims=True),
        (X,),
        note="kept",
    ),
    Case("argmax", lambda: ops.argmax(const(X), 1), lambda: X.argmax(1)),
    Case("argmax", lambda: ops.argmax(const(INDEX), 0), lambda: INDEX.argmax(0), note="tie"),
    Case("cumsum", lambda a: ops.cumsum(a, 1), lambda a: a.cumsum(1), (X,)),
    Case("cumsum", lambda: ops.cumsum(const(INDEX), -1), lambda: INDEX.cumsum(), note="int"),
    Case("sort", lambda a: ops.sort(a, 1), lambda a: _sort(a, False), (X,)),
    Case("sort", lambda a: ops.sort(a, 1, descending=True), lambda a: _sort(a, True), (X,)),
    Case(
        "sort",
        lambda: ops.sort(const(np.float32(X > 0)).reshape(1, -1), 1, descending=True),
        lambda: _sort(np.float32(X > 0).reshape(1, -1), True),
        note="ties",
    ),
    Case("take", lambda a: ops.take(a, const(INDEX), 1), lambda a: a[:, INDEX], (X,)),
    Case(
        "gather",
        lambda a: ops.gather(a, const(PLACES), 1),
        lambda a: np.take_along_axis(a, PLACES, 1),
        (X,),
    ),
    Case("one_hot", lambda: ops.one_hot(const(PLACES), 3), lambda: np.eye(3, dtype="f4")[PLACES]),
    Case(
        "one_hot",
        lambda: ops.one_hot(const(INDEX), 5, ops.int64),
        lambda: np.eye(5, dtype=int)[INDEX],
        note="int",
    ),
]

PRODUCTS = [
    Case("matmul", lambda a, b: ops.matmul(a, b), np.matmul, (X, draw(4, 5))),
    Case(
        "matmul",
        lambda a, b: ops.matmul(a, b),
        np.matmul,
        (draw(2, 1, 3, 4), draw(1, 3, 4, 2)),
        note="broadcast",
    ),
    Case(
        "linear",
        lambda x, w, b: ops.linear(x, w, b),
        lambda x, w, b: x @ w.T + b,
        (X, draw(5, 4), draw(5)),
    ),
    Case("linear", lambda x, w: ops.linear(x, w), lambda x, w: x @ w.T, (X, draw(5, 4))),
    Case(
        "embedding", lambda w: ops.embedding(const(PLACES), w), lambda w: w[PLACES], (draw(3, 4),)
    ),
    Case(
        "conv2d",
        lambda x, w, b: ops.conv2d(x, w, b, padding=1),
        lambda x, w, b: conv2d(x, w, b, padding=1),
        (draw(2, 3, 5, 4), draw(2, 3, 3, 3), draw(2)),
    ),
    Case(
        "conv2d",
        lambda x, w: ops.conv2d(x, w, stride=2),
        lambda x, w: conv2d(x, w, stride=2),
        (draw(2, 3, 6, 7), draw(2, 3, 3, 3)),
        note="stride",
    ),
    Case(
        "upsample_nearest",
        lambda a: ops.upsample_nearest(a, 2),
        lambda a: a.repeat(2, 2).repeat(2, 3),
        (draw(1, 2, 3, 4),),
    ),
    Case("softmax", lambda a: ops.softmax(a), softmax, (X,)),
    Case("softmax", lambda a: ops.softmax(a, 1), lambda a: softmax(a, 1), (X,), note="axis"),
    Case("log_softmax", lambda a: ops.log_softmax(a), lambda a: np.log(softmax(a)), (X,)),
    Case(
        "cross_entropy",
        lambda a: ops.cross_entropy(a, const(TARGETS)),
        lambda a: -np.log(softmax(a))[np.arange(3), TARGETS],
        (draw(3, 5),),
    ),
]

NORMS = [
    Case(
        "layer_norm", lambda x: ops.layer_norm(x, eps=1e-3), lambda x: layer_norm(x, eps=1e-3), (X,)
    ),
    Case(
        "layer_norm",
        lambda x, w, b: ops.layer_norm(x, w, b),
        layer_norm,
        (X, draw(4), draw(4, seed=1)),
        note="affine",
    ),
    Case(
        "rms_norm",
        lambda x, w: ops.rms_norm(x, w, 1e-2),
        lambda x, w: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-2) * w,
        (X, draw(4)),
    ),
    Case(
        "group_norm",
        lambda x, w, b: ops.group_norm(x, 2, w, b, 1e-3),
        lambda x, w, b: group_norm(x, w, b, 2),
        (draw(2, 4, 3, 2), draw(4), draw(4, seed=1)),
    ),
]

ATTENTION = [
    attention_case("plain", QKV),
    attention_case("scale", QKV, scale=0.7),
    attention_case("grouped", GROUPED),
    attention_case("mask", QKV, mask=SEEN),
    attention_case("grouped mask", GROUPED, mask=SEEN),
    attention_case("blind query", QKV, mask=BLIND),
    attention_case("bias", (*QKV, (1, 4, 3, 5))),
    attention_case("mask and bias", (*QKV, (1, 4, 3, 5)), mask=SEEN),
    attention_case("causal", SQUARE, causal=True),
    attention_case("grouped causal", ((2, 4, 4, 8), *SQUARE[:2]), causal=True),
]

CACHE = [
    Case(
        "cache_write",
        lambda c, v: ops.cache_write(c, 1, v),
        _written(1),
        (draw(2, 2, 5, 3), draw(2, 2, 3, 3)),
        gradient=False,
    ),
]

LAYOUT = [
    Case("image_layout", lambda a: ops.image_layout(a) * 2, lambda a: a * 2, (draw(2, 3, 4, 5),)),
]

GRADIENT = [
    Case(
        "stop_gradient",
        lambda a: ops.stop_gradient(a) * 2 + a,
        lambda a: X.astype(np.float64) * 2 + a,
        (X,),
    ),
]

CASES = (
    MAKING
    + SHAPE
    + ELEMENTWISE
    + REDUCTIONS
    + PRODUCTS
    + NORMS
    + ATTENTION
    + CACHE
    + LAYOUT
    + GRADIENT
)
