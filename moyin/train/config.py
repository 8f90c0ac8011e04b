"""The whole configuration of one training stage. This module imports no framework."""

from __future__ import annotations

from dataclasses import dataclass, field

from moyin.dataset.loader import WeightRule
from moyin.train.objectives.config import ObjectiveConfig

MIN_SIZE = 512  # pixels: the semantic tokenizer enlarges images with a shorter side


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """AdamW with warm-up, a plateau, and a cosine decay over the last `decay` of the steps."""

    lr: float = 1e-3
    warmup: int = 100
    decay: float = 0.3
    final_lr: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Train adapters beside the network's linear layers (Hu et al. 2021), and nothing else.

    rank: of each adapter; alpha: its product is scaled by alpha / rank; layers: which of the
    blocks' layers get one, by the last part of their names.
    """

    rank: int = 16
    alpha: float = 16.0
    layers: tuple[str, ...] = ("q", "k", "v", "out", "up", "down")

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank={self.rank}: it must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What is looked at every so many updates, with the averaged weights.

    batches: of what is held out, at most; images: drawn of as many samples, 0 for none.
    """

    every: int = 500
    batches: int = 8
    images: int = 0

    def __post_init__(self) -> None:
        if self.every < 1 or self.batches < 1 or self.images < 0:
            raise ValueError("every and batches must be at least 1, images not below 0")


@dataclass(frozen=True, kw_only=True)
class Training:
    """One stage. A recipe returns it; the command line overrides it by `key=value`.

    checkpoint: the networks that the stage only uses, and the start of the trained one where
    `fine_tune` or `lora` is set; empty for the default checkpoint, "none" for nothing.
    data: a dataset, a mixture of some, `A:0.7,B:0.3`, or a folder of images with captions
    (`train.folder`), which are then read at `size` pixels a side, 0 for the checkpoint's own, 512
    at least. weights: what rows count for, by columns, for all of the training or until a step,
    `language=zh:2,characters>8:0@2000` (`data.stream`).
    held_out: the share of the samples that is only validated on.
    keep: how many states, the newest; keep_every: and those of every so many steps, 0 for none.
    workers: threads that make batches ahead, which changes nothing but the time.
    dtype: bfloat16, float32, or auto for what the device does well.
    compile: compile the network's blocks, which takes a minute or two before the first steps.
    recompute: keep of each block its arguments alone and compute it again for its gradient, which
    takes a third more work and little memory.
    shard: how many of several processes share the weights out, each such group alike; 0 for all.
    `batch` is shared out evenly over all of them.
    """

    objective: ObjectiveConfig
    steps: int
    batch: int
    accumulate: int = 1
    optimizer: Optimizer = field(default_factory=Optimizer)
    out: str = ""
    data: str = ""
    weights: tuple[str, ...] = ()
    workers: int = 1
    checkpoint: str = ""
    fine_tune: bool = False
    lora: Lora | None = None
    size: int = 0
    seed: int = 0
    dtype: str = "auto"
    held_out: float = 0.0
    validation: Validation = field(default_factory=Validation)
    save_every: int = 500
    keep: int = 2
    keep_every: int = 0
    log_every: int = 10
    threads: int = 0
    compile: bool = False
    recompute: bool = False
    shard: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "workers", "save_every", "log_every", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: it must be at least 1")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out={self.held_out}: it is a share, from 0 up to 1")
        if self.size and self.size < MIN_SIZE:
            raise ValueError(f"size={self.size}: ids are those of images of at least {MIN_SIZE}")
        if self.dtype not in ("auto", "bfloat16", "float32"):
            raise ValueError(f"dtype={self.dtype}: it must be auto, bfloat16 or float32")
        for rule in self.weights:
            WeightRule.parse(rule)
