"""How much memory an image takes, estimated from headers and configurations before any loading.

Weights are exact; the work beside them is an estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.layout import FOLDERS, unpacked
from moyin.checkpoint.load import Loading, names_module
from moyin.models.quantization import BITS, KEPT
from moyin.prompt.grid import Grid

DECODING = ("glyph", "decoder", "autoencoder")
GENERATING = ("generator", *DECODING)
EDITING = ("semantic", *GENERATING)
PACKED = ("generator", "decoder")
# Python, the framework and what else is there before the first network.
BASE = 450 * 10**6
PREFIX = 256  # ids of the prompt and special tokens
GLYPHS = 64  # tokens of quoted text
COPIES = 5  # of its widest activation that the autoencoder holds at a time
_LAZY = ("embedding.weight", "prior_embedding.weight")
_SIZES = {"float32": 4, "bfloat16": 2, "F32": 4, "BF16": 2, "F16": 2}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one network: its weights, and its work beside them."""

    network: str
    weights: int
    work: int


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is computed at once: images of `grid`, each from references of these grids.

    token_guidance: the generator reads each image a second time, without its prompt. decoding_only:
    the tokens exist already.
    """

    grid: Grid
    steps: int
    references: tuple[Grid, ...] = ()
    images: int = 1
    token_guidance: bool = False
    decoding_only: bool = False

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that take part."""
        if self.decoding_only:
            return DECODING
        return EDITING if self.references else GENERATING

    @property
    def largest_reference(self) -> int:
        """Tokens."""
        return max((grid.count for grid in self.references), default=0)


def estimate_memory(
    checkpoint: Checkpoint, loading: Loading, workload: Workload
) -> list[MemoryEstimate]:
    """One estimate for each network that takes part."""
    estimates = []
    for network in workload.networks:
        weights, largest = _weights(checkpoint, network, loading)
        work = WORK[network](checkpoint.config(network), workload, _SIZES[loading.dtype or "F32"])
        packed = network in PACKED and (loading.quantization or checkpoint.packed)
        # While it is packed, and unpacked for many rows, a matrix exists in several forms.
        estimates.append(MemoryEstimate(network, weights, max(work, 3 * largest if packed else 0)))
    return estimates


def peak(estimates: list[MemoryEstimate], offload: bool) -> int:
    """Bytes at the busiest moment. offload: one network in memory at a time."""
    if offload:
        return BASE + max(estimate.weights + estimate.work for estimate in estimates)
    weights = {estimate.network: estimate.weights for estimate in estimates}
    return BASE + sum(weights.values()) + max(estimate.work for estimate in estimates)


def check(estimates: list[MemoryEstimate], offload: bool, free: int, images: int = 1) -> None:
    """ValueError, with what would help, where the images would take more than `free` bytes."""
    required = peak(estimates, offload)
    if required > free:
        what, smaller = "this image takes", "a smaller one"
        if images > 1:
            what, smaller = f"{images} images at once take", "fewer at once or smaller ones"
        raise ValueError(
            f"{what} {required / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free: "
            f"close something, generate {smaller}, or try offloading and int4 quantization"
        )


def _weights(checkpoint: Checkpoint, network: str, loading: Loading) -> tuple[int, int]:
    """Bytes held in memory, and of the largest matrix in bf16."""
    names = Names(names_module(network).RULES)
    entries = unpacked(checkpoint.tensors(FOLDERS[network]))
    kind = loading.quantization or checkpoint.packed
    total, largest = 0.0, 0
    for theirs, entry in entries.items():
        ours = names.ours(theirs)
        if ours is None:
            continue
        count, parts = prod(entry.shape), ours.split(".")
        size = float(_SIZES[loading.dtype or entry.dtype])
        if network in PACKED:
            lazy = ours in _LAZY or (len(parts) > 2 and parts[-2] in KEPT)
            repeated = any(part.isdigit() for part in parts)
            if loading.lazy and lazy:
                continue
            if kind and repeated and not lazy and len(entry.shape) == 2:
                size = BITS[kind] / 8 + (0.25 / 8 if kind == "int4" else 0)
                largest = max(largest, 2 * count)
        total += count * size
    return int(total), largest


def _glyph_work(config: Any, workload: Workload, size: int) -> int:
    return 0


def _semantic_work(config: Any, workload: Workload, size: int) -> int:
    tokens = workload.largest_reference
    codes = config.codes * (tokens + 3 * config.code_width)
    return int(14 * tokens * config.width * size + 4 * (codes + config.table**2 * config.width))


def _generator_work(config: Any, workload: Workload, size: int) -> int:
    prefix = PREFIX + sum(grid.count for grid in workload.references)
    length = prefix + 2 * workload.grid.count
    cache = 2 * config.layers * config.kv_heads * config.head_dim * length
    samples = workload.images * (2 if workload.token_guidance else 1)
    return int(samples * (cache * (size + 4) + 4 * prefix * config.ffn * size))


def _decoder_work(config: Any, workload: Workload, size: int) -> int:
    count = workload.grid.count
    tokens = 4 * max(count, workload.largest_reference) + GLYPHS
    modulations = 12 * config.layers * config.dim * workload.steps
    # Keys and values of the references: twice while they are joined, and the pieces that this
    # frees are not used again.
    cached = 2 * 3 * config.layers * 4 * sum(grid.count for grid in workload.references)
    each = 14 * tokens + 2 * 4 * count + cached
    return int((workload.images * each * config.dim + modulations) * size)


def _autoencoder_work(config: Any, workload: Workload, size: int) -> int:
    # The last block reads the width of the one before it at full size; the first writes its own
    # width there, and the next one at half. Images are decoded one after another.
    first, second = config.block_channels[:2]
    reference = workload.largest_reference
    widest = max(workload.grid.count * second, reference * max(first, second // 4))
    return int(COPIES * 1024 * widest * size)


# Network → bytes of its work, from (its Config, workload, bytes of a number).
WORK: dict[str, Callable[[Any, Workload, int], int]] = {
    "glyph": _glyph_work,
    "semantic": _semantic_work,
    "generator": _generator_work,
    "decoder": _decoder_work,
    "autoencoder": _autoencoder_work,
}
