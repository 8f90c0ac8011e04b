"""One trainer for all stages: `run(training)`; what a stage learns is its objective."""

from moyin.train.config import Lora, Optimizer, Training, Validation
from moyin.train.trainer import Interrupted, Trainer, run

__all__ = ["Interrupted", "Lora", "Optimizer", "Trainer", "Training", "Validation", "run"]
