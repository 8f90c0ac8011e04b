"""What each stage learns."""

from moyin.train.objectives.base import Batch, Objective, Source

__all__ = ["Batch", "Objective", "Source"]
