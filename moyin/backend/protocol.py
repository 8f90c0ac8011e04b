"""What both backends offer. mypy checks each backend's modules against these (see the end).

Two rules hold throughout. The tensors of one call share one dtype, unless a line says otherwise:
nothing is promoted, so cast first. And no function changes its arguments, except `cache_write`
and the ones whose names say so (`set_parameter`, `ema_update`, `AdamW.step`).

Tensors also understand indexing (integers, slices, None, ...), + - * / // % ** with each other or
with Python numbers, comparisons, & | ~ on booleans, `.shape`, `.ndim`, `.dtype`, and `len`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

# A tensor of the chosen framework: the two have no common base that a type checker could name.
Tensor: TypeAlias = Any
DType: TypeAlias = Any

# How many inputs of an output share a scale where weights have four bits.
GROUP = 128


class Ops(Protocol):
    """Tensor functions. Axes may be negative."""

    DType: Any
    float32: Any
    float64: Any
    bfloat16: Any
    float16: Any
    int32: Any
    int64: Any
    int8: Any
    int16: Any
    uint8: Any
    bool_: Any

    def asarray(self, x: Any, dtype: DType | None = None) -> Tensor:
        """A NumPy array, number, list or tensor on the current device; may share its memory.

        Without `dtype`, Python floats become float32 and integers int64; arrays keep theirs.
        """

    def numpy(self, x: Tensor) -> Any:
        """The values on the host, bf16 widened to float32, or the array that it is already.

        May share memory: only to be read.
        """

    def zeros(self, shape: Sequence[int], dtype: DType = ...) -> Tensor:
        """All zeros, float32 unless told."""

    def ones(self, shape: Sequence[int], dtype: DType = ...) -> Tensor:
        """All ones, float32 unless told."""

    def full(self, shape: Sequence[int], value: float, dtype: DType = ...) -> Tensor:
        """All `value`, float32 unless told."""

    def arange(self, stop: int, dtype: DType = ...) -> Tensor:
        """0, 1, … stop − 1 as [stop], int64 unless told."""

    def zeros_like(self, x: Tensor) -> Tensor:
        """Zeros of x's shape and dtype."""

    def cast(self, x: Tensor, dtype: DType) -> Tensor:
        """x in another dtype; x itself if it has it already. Gradients pass."""

    def stop_gradient(self, x: Tensor) -> Tensor:
        """x as a constant to the gradient. Shares memory with x."""

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """The same numbers, row by row, in another shape; one size may be −1."""

    def permute(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Axis i of the result is axis axes[i] of x; all axes are named."""

    def transpose(self, x: Tensor, a: int, b: int) -> Tensor:
        """Axes a and b change places."""

    def concat(self, xs: Sequence[Tensor], axis: int) -> Tensor:
        """Joined along an axis they have."""

    def stack(self, xs: Sequence[Tensor], axis: int = 0) -> Tensor:
        """Joined along a new axis of size len(xs)."""

    def split(self, x: Tensor, sizes: Sequence[int], axis: int) -> tuple[Tensor, ...]:
        """Pieces of the given sizes, which add up to the axis."""

    def chunk(self, x: Tensor, n: int, axis: int) -> tuple[Tensor, ...]:
        """n equal pieces; the axis is a multiple of n."""

    def broadcast_to(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """x repeated along axes of size 1 and along new leading axes."""

    def repeat(self, x: Tensor, n: int, axis: int) -> Tensor:
        """Each slice n times in a row along an axis: a b → a a b b."""

    def pad(self, x: Tensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
        """Constant margins, (before, after) for each of the last len(widths) axes."""

    def exp(self, x: Tensor) -> Tensor:
        """e to the x."""

    def log(self, x: Tensor) -> Tensor:
        """Natural logarithm."""

    def sqrt(self, x: Tensor) -> Tensor:
        """Square root."""

    def rsqrt(self, x: Tensor) -> Tensor:
        """One over the square root."""

    def sin(self, x: Tensor) -> Tensor:
        """Sine of radians."""

    def cos(self, x: Tensor) -> Tensor:
        """Cosine of radians."""

    def abs(self, x: Tensor) -> Tensor:
        """Magnitude."""

    def square(self, x: Tensor) -> Tensor:
        """x times x."""

    def tanh(self, x: Tensor) -> Tensor:
        """Hyperbolic tangent."""

    def sigmoid(self, x: Tensor) -> Tensor:
        """1 / (1 + exp(−x))."""

    def silu(self, x: Tensor) -> Tensor:
        """x · sigmoid(x)."""

    def gelu(self, x: Tensor, approximate: str = "none") -> Tensor:
        """x · Φ(x), Φ the normal distribution function, or its "tanh" approximation."""

    def clip(self, x: Tensor, low: float, high: float) -> Tensor:
        """x held within [low, high]; no gradient where it was not."""

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        """The larger of two, element by element."""

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """The smaller of two, element by element."""

    def addcmul(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """x + a · b, in one pass where the framework has one."""

    def where(self, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """a where the boolean condition holds, else b; all three broadcast."""

    def sum(self, x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Over one axis or all. Booleans and integers add up to int64."""

    def mean(self, x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Over one axis or all, of floats."""

    def max(self, x: Tensor, axis: int, keepdims: bool = False) -> Tensor:
        """The largest along an axis. Ties share the gradient."""

    def argmax(self, x: Tensor, axis: int) -> Tensor:
        """Where the largest is along an axis (the first of equals), int64."""

    def cumsum(self, x: Tensor, axis: int) -> Tensor:
        """Running sum along an axis, the element itself included."""

    def sort(self, x: Tensor, axis: int, descending: bool = False) -> tuple[Tensor, Tensor]:
        """Sorted values and their int64 places in x; equals keep their order."""

    def take(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        """The slices of x named by a vector of integers, along an axis."""

    def gather(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        """out[i][j] = x[i][indices[i][j]] for axis 1, and so on; the shape is that of indices."""

    def one_hot(self, indices: Tensor, n: int, dtype: DType = ...) -> Tensor:
        """[...] → [..., n], one at the index, float32 unless told."""

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """[..., n, k] by [..., k, m] → [..., n, m]; leading axes broadcast."""

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """x [..., i] by weight [o, i], plus bias [o] → [..., o]."""

    def embedding(self, indices: Tensor, weight: Tensor) -> Tensor:
        """Rows of weight [n, d]: indices [...] → [..., d]."""

    def conv2d(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int = 1,
        padding: int = 0,
    ) -> Tensor:
        """x [B, C, H, W], weight [O, C, k, k], bias [O] → [B, O, H', W'], padded by zeros."""

    def upsample_nearest(self, x: Tensor, factor: int) -> Tensor:
        """[B, C, H, W] → [B, C, H · factor, W · factor], each pixel a square."""

    def softmax(self, x: Tensor, axis: int = -1) -> Tensor:
        """exp(x) over its sum along an axis."""

    def log_softmax(self, x: Tensor, axis: int = -1) -> Tensor:
        """The logarithm of softmax."""

    def layer_norm(
        self,
        x: Tensor,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        """(x − mean) / sqrt(variance + eps) over the last axis, then · weight + bias if given."""

    def rms_norm(self, x: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
        """x / sqrt(mean(x²) + eps) · weight over the last axis."""

    def group_norm(
        self, x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float = 1e-5
    ) -> Tensor:
        """x [B, C, ...] normalised over each of `groups` runs of channels; weight, bias [C]."""

    def attention(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        bias: Tensor | None = None,
        causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        """softmax(q kᵀ · scale + bias, where mask) v.

        q [B, H, L, D]; k, v [B, G, M, D], where G divides H and neighbouring query heads share
        one. mask is boolean (true: may look) and bias a float, both broadcast to [B, H, L, M].
        `causal` (query i sees keys 0 … i) excludes mask and bias. scale is 1/√D unless given.
        A query that may look nowhere gets zeros.
        """

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """−log softmax(logits [N, C])[target], one each for targets [N] → [N], in float32."""

    def cache_write(self, cache: Tensor, start: int, value: Tensor) -> Tensor:
        """cache [B, G, M, D] with value [B, G, n, D] in rows start … start + n.

        Only the returned tensor may be used afterwards. Without gradient.
        """

    def image_layout(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] unchanged, its numbers laid out in memory as convolutions like them."""


class Nn(Protocol):
    """Layers. Each casts its weights to the dtype of its input; initial weights are random."""

    Module: type[Any]
    ModuleList: type[Any]
    Parameter: type[Any]

    def Linear(self, inputs: int, outputs: int, bias: bool = True) -> Any:
        """x [..., inputs] → [..., outputs]; weight [outputs, inputs]."""

    def Embedding(self, count: int, size: int, std: float = 0.02) -> Any:
        """ids [...] → [..., size]; weight [count, size] with that standard deviation."""

    def Conv2d(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
    ) -> Any:
        """x [B, inputs, H, W] → [B, outputs, H', W']; weight [outputs, inputs, k, k]."""

    def PackedLinear(
        self, values: Tensor, scales: Tensor, zeros: Tensor | None, bias: Tensor | None
    ) -> Any:
        """A Linear of weight scales · values + zeros, kept as integers; it has no parameters.

        values int8 [outputs, inputs]. Eight bits: scales [outputs, 1], zeros None. Four bits:
        values in −8 … 7, scales and zeros [outputs, groups of GROUP inputs], the last one short
        where GROUP does not divide the inputs. Has `outputs`, `inputs` and `bits`.
        """

    def LayerNorm(self, size: int, eps: float = 1e-5, affine: bool = True) -> Any:
        """`ops.layer_norm` with its own weight and bias, or with none."""

    def RMSNorm(self, size: int, eps: float = 1e-5) -> Any:
        """`ops.rms_norm` with its own weight."""

    def GroupNorm(self, groups: int, channels: int, eps: float = 1e-6) -> Any:
        """`ops.group_norm` with its own weight and bias."""

    def named_parameters(self, module: Any) -> dict[str, Any]:
        """All parameters by their dotted names, in the order of construction."""

    def set_parameter(self, parameter: Any, value: Tensor) -> None:
        """Overwrite a parameter's value (same shape, cast to its dtype), outside any gradient."""

    def empty_weights(self) -> AbstractContextManager[Any]:
        """A context in which modules are built without weights, to be given by `assign`."""

    def assign(self, module: Any, tensors: Mapping[str, Tensor]) -> None:
        """Make `tensors` the parameters of these dotted names, in the tensors' own dtype."""

    def submodule(self, module: Any, name: str) -> Any:
        """The module of this dotted name within another; None where there is none."""

    def replace(self, module: Any, name: str, new: Any) -> None:
        """Put another module in the place of this dotted name."""

    def compile_blocks(self, blocks: Iterable[Any]) -> None:
        """Make each block faster where the framework has a compiler; what it computes stays."""

    def recompute_blocks(self, blocks: Iterable[Any]) -> None:
        """Keep of each block its arguments alone, and compute it again for its gradient."""


class Autograd(Protocol):
    """Gradients, in the functional form that both frameworks have."""

    def no_grad(self) -> AbstractContextManager[None]:
        """Within it nothing is recorded: `with no_grad():`, or a decorator."""

    def value_and_grad(
        self, fn: Callable[..., tuple[Tensor, Any]], module: Any, names: Sequence[str] | None = None
    ) -> Callable[..., tuple[Tensor, Any, dict[str, Tensor]]]:
        """fn(*args) → (scalar loss, aux) becomes (*args) → (loss, aux, gradients by name).

        names: the parameters of `module` to differentiate by; None for all. The gradient is zero
        for those that the loss does not depend on. Where `distributed.shard` shared the parameters
        out, it is the mean over the processes, each of which gets its part.
        """


class Optim(Protocol):
    """Optimisation over named parameters."""

    def AdamW(
        self,
        parameters: dict[str, Any],
        betas: tuple[float, float] = ...,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> Any:
        """Loshchilov and Hutter 2019: `step(gradients, lr)`, `state()`, `load(state)`."""

    def clip_by_global_norm(
        self, gradients: dict[str, Tensor], limit: float
    ) -> tuple[dict[str, Tensor], float]:
        """Scale all gradients so that their joint L2 norm is at most `limit`; also that norm.

        The dict's tensors are replaced, so that there are never two of all.
        """

    def ema_update(
        self, average: dict[str, Tensor], parameters: dict[str, Any], decay: float
    ) -> None:
        """average ← decay · average + (1 − decay) · parameter. Read the result from the dict."""


class Random(Protocol):
    """Randomness. `normal` and `uniform` are drawn on the host, the same on every backend."""

    def normal(self, shape: Sequence[int], seed: int, sample: int = 0, stream: str = "") -> Any:
        """A NumPy float32 array of standard normals, keyed by (seed, sample, stream)."""

    def uniform(self, shape: Sequence[int], seed: int, sample: int = 0, stream: str = "") -> Any:
        """A NumPy float32 array in [0, 1), keyed the same."""

    def device_normal(self, shape: Sequence[int]) -> Tensor:
        """float32 standard normals from the device's own generator: for training only."""

    def device_uniform(self, shape: Sequence[int]) -> Tensor:
        """float32 in [0, 1) from the device's own generator: for training only."""


class Device(Protocol):
    """Where the backend computes."""

    def current(self) -> Any:
        """The framework's own name for the device: for the backend's own use."""

    def name(self) -> str:
        """The device in small letters, such as cpu."""

    def use(self, name: str) -> None:
        """Compute on this device, such as cpu or npu:1, from now on.

        ValueError for a device that is unknown, and where this process computes on another.
        """

    def is_accelerator(self) -> bool:
        """Whether this is more than a CPU."""

    def version(self) -> str:
        """The framework's version."""

    def threads(self) -> int:
        """CPU threads the framework computes with."""

    def set_threads(self, count: int) -> None:
        """How many of them it may use."""

    def count_flops(self, fn: Callable[[], object]) -> float:
        """Floating-point operations of the products in fn(); NaN where nothing counts them."""

    def rehearse(
        self, make: Callable[[], Callable[[], Mapping[str, Tensor]]], fused: bool
    ) -> tuple[float, Any]:
        """Floating-point operations of make()(), which gives gradients by name, and the bytes that
        it holds beside what make made, moment by moment [moments, 3]: of gradients the second, of
        casts of parameters the third, of all else the first.

        Nothing is computed: make builds networks without memory. fused: as an accelerator computes
        attention. ValueError where the framework cannot.
        """

    def peak_flops(self, dtype: DType, size: int = 2048) -> float:
        """FLOP/s of a size³ product, the best of five: what this machine can do."""

    def synchronize(self) -> None:
        """Wait until all queued work is done."""

    def peak_memory(self) -> int:
        """Bytes: the accelerator's peak, or this process's largest resident size."""

    def free_memory(self) -> int:
        """Bytes that the device, or on a CPU this machine, still has."""

    def release_memory(self) -> None:
        """Give freed memory that the allocator keeps back to the device or the system."""

    def spare_memory(self) -> None:
        """Have the allocator keep as little as it can from now on, at some cost of time."""

    def supports_bfloat16(self) -> bool:
        """Whether a network can run in bf16 here, and gains by it."""

    def seed(self, value: int) -> None:
        """Seed what the device itself draws (initial weights, training noise)."""

    def collectives(self) -> str:
        """By which libraries processes talk to each other, in the framework's words."""


class Distributed(Protocol):
    """The processes of one training, as the framework's launcher starts them.

    All processes call these together. With one process nothing is communicated.
    """

    def join(self) -> None:
        """Join the process group, if a launcher started several processes."""

    def rank(self) -> int:
        """The number of this process, from 0."""

    def world_size(self) -> int:
        """The number of processes."""

    def main_process_first(self) -> AbstractContextManager[None]:
        """A context whose body rank 0 runs first; the other ranks wait for it."""

    def gather(self, x: Any) -> Any:
        """A NumPy array, of one shape on all ranks, as [world_size, ...] on all of them."""

    def shard(
        self, module: Any, units: Sequence[Any], entry: str, group: int, dtype: DType
    ) -> None:
        """Shard the module's parameters over the processes, and average their gradients.

        units: submodules whose weights are gathered, in `dtype`, while they are called; inner ones
        first. entry: the module's method from which all others are called. group: processes that
        share one copy of the weights; 0 for all. ValueError if group does not divide the world
        size.
        """

    def sharded(self, x: Tensor) -> bool:
        """Whether this process holds only a shard of x."""

    def shard_like(self, x: Tensor, like: Tensor) -> Tensor:
        """The shard of x, which every rank holds in full, that corresponds to that of `like`."""

    def full_tensor(self, x: Tensor) -> Tensor:
        """A copy of all of x; of a sharded tensor, empty on all ranks but 0."""

    def summon_full_params(self, module: Any) -> AbstractContextManager[None]:
        """A context in which every rank holds the full parameters; changes to them are lost."""


class Io(Protocol):
    """Tensors to and from safetensors files. Nothing is ever unpickled."""

    def load(self, path: Path, names: list[str] | None = None) -> dict[str, Tensor]:
        """The tensors of one file, or those of `names`. bf16 stays bf16 where it is supported."""

    def save(
        self, path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
    ) -> None:
        """Write one file. `path` appears whole or not at all only if the caller renames it."""

    def record_kinds(self, path: Path) -> tuple[dict[str, str], int]:
        """The fields of a MindRecord file, each with its type (bytes, string, int64, …), and how
        many rows it has. ValueError where it is damaged, and where MindSpore is not the backend."""

    def read_records(
        self, path: Path, names: Sequence[str], first: int, last: int
    ) -> Iterator[dict[str, Any]]:
        """Rows `first` to `last` - 1 as Python's bytes, str, int and float, or arrays."""

    def write_records(
        self, path: Path, kinds: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write rows of bytes, string, int64 and float64. `path` is there whole or not at all."""


if TYPE_CHECKING:
    from moyin.backend.mindspore import autograd as ms_autograd
    from moyin.backend.mindspore import device as ms_device
    from moyin.backend.mindspore import distributed as ms_distributed
    from moyin.backend.mindspore import io as ms_io
    from moyin.backend.mindspore import nn as ms_nn
    from moyin.backend.mindspore import ops as ms_ops
    from moyin.backend.mindspore import optim as ms_optim
    from moyin.backend.mindspore import random as ms_random
    from moyin.backend.torch import autograd, device, distributed, io, nn, ops, optim, random

    _ops: list[Ops] = [ops, ms_ops]
    _nn: list[Nn] = [nn, ms_nn]
    _autograd: list[Autograd] = [autograd, ms_autograd]
    _optim: list[Optim] = [optim, ms_optim]
    _random: list[Random] = [random, ms_random]
    _device: list[Device] = [device, ms_device]
    _distributed: list[Distributed] = [distributed, ms_distributed]
    _io: list[Io] = [io, ms_io]
