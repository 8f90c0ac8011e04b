"""What the trainer asks of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from moyin.backend import Tensor, nn
from moyin.backend.random import normal
from moyin.checkpoint.folder import Checkpoint

if TYPE_CHECKING:
    from moyin.dataset.concat import ConcatDataset
    from moyin.dataset.dataset import Dataset
    from moyin.prompt.tokenizer import TextTokenizer

Array = np.ndarray[Any, Any]
Batch = dict[str, Array]


@dataclass(frozen=True)
class SampleRng:
    """The random numbers of one batch: each sample's are a pure function of seed, its place in the
    stream of samples, and a name. So they do not change with how the stream is cut into batches.

    first: the place of the batch's first sample, and stride: from one to the next. update: the
    number of the update it belongs to.
    """

    seed: int
    first: int
    update: int = 0
    stride: int = 1

    def normal(self, name: str, count: int, *shape: int) -> Array:
        """Standard normals [count, *shape] of `count` samples."""
        places = range(self.first, self.first + count * self.stride, self.stride)
        return np.stack([normal(shape, self.seed, place, name) for place in places])

    def of(self, number: int, name: str) -> np.random.Generator:
        """For choices on the host of one of the batch's samples, the first being 0."""
        place = self.first + number * self.stride
        return np.random.default_rng([self.seed, place, *name.encode()])

    def together(self, name: str) -> np.random.Generator:
        """For choices that all samples of an update share, such as a common length."""
        return np.random.default_rng([self.seed, 2**32 + self.update, *name.encode()])


@dataclass(frozen=True)
class Source:
    """Where a stage gets its images and the networks that it only uses."""

    dataset: Dataset | ConcatDataset | None
    checkpoint: Checkpoint | None

    @property
    def images(self) -> Dataset | ConcatDataset:
        """The dataset. ValueError where none was named or it is empty."""
        if self.dataset is None:
            raise ValueError("this stage learns from images: name a dataset, data=DATASET")
        if not len(self.dataset):
            raise ValueError(f"{self.dataset.path} holds no images yet: go on with moyin prepare")
        return self.dataset

    def network(self, name: str, dtype: str = "float32") -> Any:
        """A frozen network. ValueError where the checkpoint has none."""
        if self.checkpoint is None or not self.checkpoint.has(name):
            raise ValueError(
                f"this stage needs a trained {name}: name a checkpoint that holds one, "
                "checkpoint=FOLDER"
            )
        return self.checkpoint.whole(name, dtype)

    def configuration(self, name: str) -> Any:
        """The configuration of a network that the checkpoint holds."""
        if self.checkpoint is None:
            raise ValueError(f"this stage needs a trained {name}: name its checkpoint=FOLDER")
        return self.checkpoint.config(name)

    def trained(self, name: str) -> dict[str, Any]:
        """The configuration that the checkpoint says it last trained a network with, by dotted
        names; empty where it does not say."""
        training = self.checkpoint.notes.get("training", {}) if self.checkpoint is not None else {}
        found: dict[str, Any] = training.get(name, {}).get("configuration", {})
        return found

    def tokenizer(self) -> TextTokenizer | None:
        """The checkpoint's text tokenizer, or None where it has none."""
        if self.checkpoint is None or not self.checkpoint.has_tokenizer():
            return None
        found: TextTokenizer = self.checkpoint.tokenizer()
        return found


class Objective(nn.Module):
    """The trained `network`, what is thrown away after training, and the loss.

    `network` goes into the checkpoint under `stage`. Batches are made on the host ahead of time,
    from indices into the dataset and the samples' own draws, so that step n is the same whether or
    not the training was interrupted before it, and however its samples are shared out.
    """

    stage: ClassVar[str]
    config: Any  # its Config, with what that had left to the checkpoint
    network: Any
    dataset: Any = None  # whose rows the indices of `batch` are, if it reads any

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The stage's part of a recipe."""

        stage: ClassVar[str]

        def build(self, source: Source, start: Any) -> Objective:
            """start: a network to go on from, or None for fresh weights."""
            raise NotImplementedError

    @property
    def count(self) -> int:
        """Samples in an epoch; `batch` is asked for indices below it."""
        raise NotImplementedError

    @property
    def blocks(self) -> Sequence[Any]:
        """The network's repeated blocks, which may be compiled; an autoencoder has none."""
        blocks: Sequence[Any] = getattr(self.network, "blocks", getattr(self.network, "layers", ()))
        return blocks

    def trained(self, name: str) -> bool:
        """Whether this parameter is updated."""
        return True

    def kept(self, name: str) -> bool:
        """Whether states hold this parameter although it is not updated."""
        return False

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        """Arrays for `loss`, on the host."""
        raise NotImplementedError

    def weight(self, batch: Batch) -> float:
        """What the batch's loss counts beside other batches': what its mean was divided by."""
        return float(len(next(iter(batch.values()))))

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss and what else to show, scalars, or pairs of a sum and a count (`Means`);
        floats are computed with in `dtype`."""
        raise NotImplementedError

    def images(self, indices: Array, dtype: str) -> list[list[Array]]:
        """What the network makes of some samples, a row each of uint8 [H, W, 3]."""
        return []

    def finish(self) -> Any:
        """The network to be written, with what was measured of it at the end."""
        return self.network

    @property
    def extras(self) -> dict[str, Any]:
        """What else belongs into the checkpoint, as arguments of `save_checkpoint`."""
        return {}
