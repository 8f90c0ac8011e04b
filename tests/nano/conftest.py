"""The datasets that training tests use."""

from train.conftest import dataset, make, own_dataset, pairs

__all__ = ["dataset", "make", "own_dataset", "pairs"]
