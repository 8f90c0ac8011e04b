"""How much memory an image takes, told from headers and configurations before any loading."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.layout import FOLDERS, unpacked
from moyin.checkpoint.load import Loading, names_module
from moyin.models.quantization import BITS, KEPT
from moyin.prompt.grid import Grid

PAINTING = ("glyph", "decoder", "autoencoder")
DRAWING = ("generator", *PAINTING)
EDITING = ("semantic", *DRAWING)
PACKING = ("generator", "decoder")
# Python, the framework and what else is there before the first network.
BASE = 450 * 10**6
PREFIX = 256  # ids of prompt and marks
GLYPHS = 64  # tokens of quoted text
COPIES = 5  # of its widest activation that the autoencoder has at a time
_STORED = ("embedding.weight", "prior_embedding.weight")
_SIZES = {"float32": 4, "bfloat16": 2, "F32": 4, "BF16": 2, "F16": 2}


@dataclass(frozen=True)
class Need:
    """Bytes of one network: its weights in memory, and what its work takes beside them."""

    network: str
    weights: int
    work: int


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is drawn at once: images of `grid`, each from references of these grids.

    guided_ids: the generator reads each a second time, without its prompt. painted_only: the ids
    are there already.
    """

    grid: Grid
    steps: int
    references: tuple[Grid, ...] = ()
    images: int = 1
    guided_ids: bool = False
    painted_only: bool = False

    @property
    def networks(self) -> tuple[str, ...]:
        """Those at work."""
        if self.painted_only:
            return PAINTING
        return EDITING if self.references else DRAWING


def needs(checkpoint: Checkpoint, loading: Loading, task: Task) -> list[Need]:
    """Of every network that draws; the work is an estimate."""
    found = []
    for name in task.networks:
        weights, largest = _weights(checkpoint, name, loading)
        work = _work(checkpoint.config(name), name, task, _SIZES[loading.dtype or "F32"])
        packed = name in PACKING and (loading.weights or checkpoint.packed)
        # While it is packed, and unpacked for many rows, a matrix is there in several forms.
        found.append(Need(name, weights, max(work, 3 * largest if packed else 0)))
    return found


def peak(found: list[Need], alone: bool) -> int:
    """Bytes at the busiest moment. alone: one network in memory at a time."""
    if alone:
        return BASE + max(need.weights + need.work for need in found)
    weights = {need.network: need.weights for need in found}
    return BASE + sum(weights.values()) + max(need.work for need in found)


def check(found: list[Need], alone: bool, free: int, images: int = 1) -> None:
    """Raises ValueError, with what would help, where the images would take more than is free."""
    wanted = peak(found, alone)
    if wanted > free:
        what, less = "this image takes", "a smaller one"
        if images > 1:
            what, less = f"{images} images at once take", "fewer at once or smaller ones"
        raise ValueError(
            f"{what} {wanted / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free: "
            f"close something, draw {less}, or try --offload and --weights int4 "
            "(moyin doctor --checkpoint says what fits)"
        )


def _weights(checkpoint: Checkpoint, network: str, loading: Loading) -> tuple[int, int]:
    """Bytes held in memory, and of the largest matrix in bf16."""
    names = Names(names_module(network).RULES)
    entries = unpacked(checkpoint.tensors(FOLDERS[network]))
    kind = loading.weights or checkpoint.packed
    total, largest = 0.0, 0
    for theirs, entry in entries.items():
        ours = names.ours(theirs)
        if ours is None:
            continue
        count, parts = prod(entry.shape), ours.split(".")
        size = float(_SIZES[loading.dtype or entry.dtype])
        if network in PACKING:
            once = ours in _STORED or (len(parts) > 2 and parts[-2] in KEPT)
            repeated = any(part.isdigit() for part in parts)
            if loading.stored and once:
                continue
            if kind and repeated and not once and len(entry.shape) == 2:
                size = BITS[kind] / 8 + (0.25 / 8 if kind == "int4" else 0)
                largest = max(largest, 2 * count)
        total += count * size
    return int(total), largest


def _work(config: Any, network: str, task: Task, size: int) -> int:
    """Bytes of what is there beside the weights, at its busiest."""
    count, read = task.grid.count, [grid.count for grid in task.references]
    largest = max(read, default=0)
    if network == "semantic":
        codes = config.codes * (largest + 3 * config.code_width)
        return int(
            14 * largest * config.width * size + 4 * (codes + config.table**2 * config.width)
        )
    if network == "generator":
        prefix = PREFIX + sum(read)
        cache = 2 * config.layers * config.kv_heads * config.head_dim * (prefix + 2 * count)
        readings = task.images * (2 if task.guided_ids else 1)
        return int(readings * (cache * (size + 4) + 4 * prefix * config.ffn * size))
    if network == "decoder":
        tokens = 4 * max(count, largest) + GLYPHS
        modulations = 12 * config.layers * config.dim * task.steps
        # Keys and values of the references: twice while they are joined, and what that leaves free
        # in pieces is not used again.
        kept = 2 * 3 * config.layers * 4 * sum(read)
        each = 14 * tokens + 2 * 4 * count + kept
        return int((task.images * each * config.dim + modulations) * size)
    if network == "autoencoder":
        # The last block reads the width of the one before it at full size; the first writes its
        # own there, and the next one's at half. One image has its turn after another.
        first, second = config.block_channels[:2]
        widest = max(count * second, largest * max(first, second // 4))
        return int(COPIES * 1024 * widest * size)
    return 0
