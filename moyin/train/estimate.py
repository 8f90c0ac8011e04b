"""What a training needs on given devices, reckoned before it is begun.

Tensors without memory walk through a micro-batch's forward and backward pass, which says what it
computes and what it holds when; the rest is arithmetic. Assumed of more than one device:
parameters, gradients, averages and moments are sharded over all of them (FSDP2; Zhao et al. 2023);
weights are gathered block after block in what is computed in, those outside all blocks in float32,
for the forward pass and once more for the backward pass; gradients are scattered in float32; and
what takes less of a step, arithmetic or communication, is hidden behind the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from moyin.backend import Tensor, autograd, device, nn, ops
from moyin.models.lora import adapt
from moyin.train.config import Training
from moyin.train.dry_run import Longest, Rehearsal, objective_of
from moyin.train.objectives.base import Array

EFFICIENCY = 0.4  # of a device's peak, as large transformers reach it
MACHINE = 8  # devices of a machine
HOST = ("grid", "first")  # what objectives read of a batch: tensors without memory have no values


@dataclass(frozen=True)
class Device:
    """Memory in bytes, peak bf16 FLOP/s, and what each sends a second: bytes to devices of its
    own machine, and of others."""

    memory: float
    flops: float
    near: float
    far: float


# The makers' figures, of the usual machines of eight: HCCS or NVLink, 200 or 400 Gb/s a device.
DEVICES = {
    "Ascend910B": Device(64e9, 313e12, 196e9, 25e9),
    "A100": Device(80e9, 312e12, 300e9, 25e9),
    "H100": Device(80e9, 989e12, 450e9, 50e9),
    "H200": Device(141e9, 989e12, 450e9, 50e9),
}


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """So many devices of one kind; CPU is this machine alone, at its measured peak."""

    count: int
    kind: str

    @classmethod
    def parse(cls, text: str) -> Mesh:
        """64xAscend910B. ValueError where it is no mesh, or of a kind that is not known."""
        match = re.fullmatch(r"(\d+)x(\w+)", text)
        if match is None or int(match[1]) < 1:
            raise ValueError(f"mesh={text}: write how many of what, such as 64xAscend910B")
        known = ["CPU", *DEVICES]
        if match[2] not in known or (match[2] == "CPU" and match[1] != "1"):
            raise ValueError(
                f"mesh={text}: known are 1xCPU, and any number of {', '.join(DEVICES)}"
            )
        return cls(count=int(match[1]), kind=match[2])


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Parameters, samples, bytes on each device, and seconds a step."""

    trained: float
    frozen: float
    samples: int
    micro: int
    accumulate: int
    weights: float
    optimizer: float
    average: float
    gradients: float
    activations: float
    gathered: float
    fullest: float
    flops: float
    communication: float
    arithmetic_s: float
    communication_s: float

    @property
    def memory(self) -> float:
        """Bytes on each device at the fullest moment of a step."""
        return self.weights + self.optimizer + self.average + self.fullest

    @property
    def seconds(self) -> float:
        return max(self.arithmetic_s, self.communication_s)


def estimate(training: Training, mesh: Mesh) -> Estimate:
    """Reckon a training whose updates are shared out over the mesh.

    As many samples are taken at once on each device as the recipe takes on one, or fewer.
    ValueError where an update's samples cannot be shared out evenly.
    """
    whole, n = training.batch * training.accumulate, mesh.count
    if whole % n:
        raise ValueError(
            f"batch · accumulate = {whole} samples cannot be shared out over {n} devices: "
            "take a multiple of them"
        )
    each = whole // n
    micro = max(i for i in range(1, min(training.batch, each) + 1) if each % i == 0)
    on_cpu = mesh.kind == "CPU"
    low = training.dtype != "float32" and (not on_cpu or device.supports_bfloat16())
    width, accumulate = 2 if low else 4, each // micro
    sizes, flops, moments = _walk(training, micro, low, fused=not on_cpu)
    activations, gradients, copies = moments.T
    part = 4 * sizes.trained / n
    gathered = copies.max()
    if n > 1:
        # Of blocks one computes and two are on their way, and one's gradients; all of the rest.
        gathered = (3 * width + 4) * sizes.block + (8 + 2 * low) * sizes.root
    inside = activations + gradients / n + (copies if n == 1 else gathered)
    summed = part if accumulate > 1 else 0.0
    moved = 0.0
    if n > 1:
        moved = 2 * width * sizes.blocks + 8 * sizes.root + 4 * sizes.trained
        moved *= accumulate * (n - 1) / n
    peak, link = _speed(mesh, low)
    return Estimate(
        trained=sizes.trained,
        frozen=sizes.frozen,
        samples=whole,
        micro=micro,
        accumulate=accumulate,
        weights=sizes.shared / n + sizes.whole,
        optimizer=2 * part,
        average=part,
        gradients=part + summed,
        activations=float(activations.max()),
        gathered=float(gathered),
        fullest=float(inside.max()) + summed,
        flops=flops * accumulate,
        communication=moved,
        arithmetic_s=flops * accumulate / peak,
        communication_s=moved / link,
    )


def _speed(mesh: Mesh, low: bool) -> tuple[float, float]:
    """FLOP/s as far as they are reached, and bytes a second between the devices."""
    if mesh.kind == "CPU":
        return EFFICIENCY * device.peak_flops(ops.bfloat16 if low else ops.float32), float("inf")
    found = DEVICES[mesh.kind]
    return EFFICIENCY * found.flops, found.near if mesh.count <= MACHINE else found.far


@dataclass(frozen=True)
class _Sizes:
    """Parameters that are trained and that are not; those of the largest block, of all blocks and
    outside them; bytes of weights that are shared out and of those that every device has whole."""

    trained: int
    frozen: int
    block: int
    blocks: int
    root: int
    shared: int
    whole: int

    @classmethod
    def of(cls, objective: Any, names: list[str]) -> _Sizes:
        every = nn.named_parameters(objective)
        beside = [p for network in getattr(objective, "frozen", ()) for p in _parameters(network)]
        blocks = [_count(_parameters(block)) for block in objective.blocks]
        trained, everything = _count(every[n] for n in names), _count(every.values())
        return cls(
            trained=trained,
            frozen=everything - trained + _count(beside),
            block=max(blocks, default=0),
            blocks=sum(blocks),
            root=everything - sum(blocks),
            shared=sum(p.nbytes for p in every.values()),
            whole=sum(p.nbytes for p in beside),
        )


def _walk(training: Training, micro: int, low: bool, fused: bool) -> tuple[_Sizes, float, Array]:
    """Forward and backward pass over a micro-batch, by tensors without memory: sizes, operations,
    and bytes at each moment [moments, 3], of activations, gradients, and weights cast to what is
    computed in."""
    dtype = ops.bfloat16 if low else ops.float32
    known: list[_Sizes] = []

    def make() -> Callable[[], Mapping[str, Tensor]]:
        objective: Any = objective_of(training, Rehearsal.of(training))
        names = _trained(objective, training, dtype)
        known.append(_Sizes.of(objective, names))
        arrays = objective.batch(np.arange(micro), Longest())
        batch = {n: x if n in HOST else ops.asarray(x) for n, x in arrays.items()}
        run = autograd.value_and_grad(lambda b: objective.loss(b, dtype), objective, names)
        return lambda: run(batch)[2]

    flops, moments = device.rehearse(make, fused)
    return known[0], flops, moments


def _trained(objective: Any, training: Training, dtype: Any) -> list[str]:
    """Make the objective what the trainer makes of it; the parameters that are trained."""
    network, lora = objective.network, training.lora
    if lora is not None:
        cast = {n: ops.cast(p, dtype) for n, p in nn.named_parameters(network).items()}
        nn.assign(network, cast)
        adapt(network, lora.layers, lora.rank, lora.alpha / lora.rank)
    if training.recompute:
        nn.recompute_blocks(objective.blocks)
    every = nn.named_parameters(objective)
    return [n for n in every if objective.trained(n) and (lora is None or ".adapters." in n)]


def _parameters(network: Any) -> list[Any]:
    return list(nn.named_parameters(network).values())


def _count(parameters: Iterable[Any]) -> int:
    return sum(prod(p.shape) for p in parameters)


def lines(training: Training, mesh: Mesh) -> list[str]:
    """The estimate as it is printed."""
    found = estimate(training, mesh)
    rows = [
        ("trained parameters", f"{found.trained / 1e6:,.1f} M"),
        ("frozen parameters", f"{found.frozen / 1e6:,.1f} M"),
        ("samples an update", f"{found.samples}"),
        ("so", f"batch={found.micro * mesh.count} accumulate={found.accumulate}"),
        ("weights", _bytes(found.weights)),
        ("optimizer", _bytes(found.optimizer)),
        ("average", _bytes(found.average)),
        ("gradients", _bytes(found.gradients)),
        ("activations", _bytes(found.activations)),
        ("weights at work", _bytes(found.gathered)),
        ("at most", _bytes(found.memory) + _fits(found.memory, mesh)),
        ("arithmetic a step", f"{found.flops / 1e12:,.4g} TFLOP, {found.arithmetic_s:,.3g} s"),
        ("moved a step", f"{_bytes(found.communication)}, {found.communication_s:,.3g} s"),
        ("a step", f"{found.seconds:,.3g} s"),
        ("samples a second", f"{found.samples / found.seconds:,.3g}"),
    ]
    title = f"{mesh.count} × {mesh.kind}, each:"
    return [title, *(f"  {name:<20}{value}" for name, value in rows)]


def _bytes(count: float) -> str:
    return f"{count / 1e9:,.3g} GB"


def _fits(memory: float, mesh: Mesh) -> str:
    if mesh.kind == "CPU":
        return ""
    room = DEVICES[mesh.kind].memory
    return f" of {room / 1e9:.0f} GB" + ("" if memory < room else ": TOO MUCH")
