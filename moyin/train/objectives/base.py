"""What the trainer asks of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from moyin.backend import Tensor, nn
from moyin.backend.random import normal
from moyin.checkpoint.folder import Checkpoint
from moyin.train.objectives.config import ObjectiveConfig

if TYPE_CHECKING:
    from moyin.dataset.concat import ConcatDataset
    from moyin.dataset.dataset import Dataset
    from moyin.prompt.tokenizer import TextTokenizer

Array = np.ndarray[Any, Any]
Batch = dict[str, Array]


@dataclass(frozen=True)
class SampleRng:
    """Random numbers of one batch. Those of a sample are a pure function of seed, the sample's
    position in the stream and a name, so they do not depend on the batch size.

    first: stream position of the batch's first sample; stride: from one sample to the next.
    update: number of the update that the batch belongs to.
    """

    seed: int
    first: int
    update: int = 0
    stride: int = 1

    def normal(self, name: str, count: int, *shape: int) -> Array:
        """Standard normals [count, *shape] of `count` samples."""
        positions = range(self.first, self.first + count * self.stride, self.stride)
        return np.stack([normal(shape, self.seed, position, name) for position in positions])

    def of(self, number: int, name: str) -> np.random.Generator:
        """A host generator for one sample of the batch; the first is number 0."""
        position = self.first + number * self.stride
        return np.random.default_rng([self.seed, position, *name.encode()])

    def together(self, name: str) -> np.random.Generator:
        """A host generator for what all samples of an update share, such as a length."""
        return np.random.default_rng([self.seed, 2**32 + self.update, *name.encode()])


@dataclass(frozen=True)
class Source:
    """Images of a stage, and the checkpoint with the networks that it uses but does not train."""

    dataset: Dataset | ConcatDataset | None
    checkpoint: Checkpoint | None

    @property
    def images(self) -> Dataset | ConcatDataset:
        """The dataset. ValueError where there is none or it is empty."""
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
        """The configuration of a network of the checkpoint. ValueError where there is none."""
        if self.checkpoint is None:
            raise ValueError(f"this stage needs a trained {name}: name its checkpoint=FOLDER")
        return self.checkpoint.config(name)

    def trained(self, name: str) -> dict[str, Any]:
        """The recorded configuration of a network's last training, by dotted names; empty where
        the checkpoint does not record it."""
        training = self.checkpoint.notes.get("training", {}) if self.checkpoint is not None else {}
        configuration: dict[str, Any] = training.get(name, {}).get("configuration", {})
        return configuration

    def tokenizer(self) -> TextTokenizer | None:
        """The checkpoint's text tokenizer, or None where it has none."""
        if self.checkpoint is None or not self.checkpoint.has_tokenizer():
            return None
        tokenizer: TextTokenizer = self.checkpoint.tokenizer()
        return tokenizer


class Objective(nn.Module):
    """The trained `network`, modules that are discarded after training, and the loss.

    `network` goes into the checkpoint under `stage`. Batches are made on the host ahead of time
    from dataset indices and `SampleRng`, so step n is the same whether or not the training was
    interrupted before it, and however its samples are distributed.
    """

    stage: ClassVar[str]
    Config: TypeAlias = ObjectiveConfig
    config: Any  # its Config, where fields left to the checkpoint are filled in
    network: Any
    auxiliary: Any  # a ModuleList of `Auxiliary`
    dataset: Any = None  # whose rows the indices of `batch` are, if it reads any

    def add_auxiliary(self) -> None:
        """Build the configured auxiliaries; call it after all other modules are set."""
        self.auxiliary = nn.ModuleList([one.build(self) for one in self.config.auxiliary])

    def auxiliary_batch(self, samples: Any, arrays: Batch) -> Batch:
        """`arrays` with those that the auxiliaries add."""
        for auxiliary in self.auxiliary:
            arrays = arrays | auxiliary.batch(samples, arrays)
        return arrays

    def auxiliary_loss(
        self, loss: Tensor, forward: Any, batch: dict[str, Tensor], dtype: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`loss` plus the auxiliaries' terms, and what they show."""
        shown: dict[str, Tensor] = {}
        for auxiliary in self.auxiliary:
            term, values = auxiliary.loss(forward, batch, dtype)
            loss = loss if term is None else loss + term
            shown |= values
        return loss, shown

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
        """Weight of the batch's mean loss beside other batches': the divisor of that mean."""
        return float(len(next(iter(batch.values()))))

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss, and values to show: scalars, or pairs of a sum and a count. dtype: what
        floats are computed in."""
        raise NotImplementedError

    def images(self, indices: Array, dtype: str) -> list[list[Array]]:
        """Images that show the network's progress on some samples: one row per sample, each image
        uint8 [H, W, 3]."""
        return []

    def finish(self) -> Any:
        """The network to save, with statistics that are measured at the end."""
        return self.network

    @property
    def extras(self) -> dict[str, Any]:
        """Further keyword arguments for `save_checkpoint`."""
        return {}
