"""Which configuration a training state belongs to, and how another one differs from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from moyin.train.config import Training

FREE = (  # what a training may be continued with another value of
    *("out", "data", "checkpoint", "save_every", "log_every", "threads", "workers", "compile"),
    *("keep", "keep_every", "validation", "recompute", "shard"),
)


def plain(training: Training) -> dict[str, Any]:
    """The configuration as JSON holds it."""
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(training)))
    return found


def identity(configuration: dict[str, Any]) -> dict[str, Any]:
    """What must not change between a training and its continuation, by dotted names."""
    return dict(_flat({k: v for k, v in configuration.items() if k not in FREE}))


def difference(training: Training, begun: dict[str, Any]) -> list[str]:
    """What differs from the configuration that a training was begun with, and how.

    What that one does not name, for it is older, has its default.
    """
    t = training
    defaults = plain(Training(objective=t.objective, steps=t.steps, batch=t.batch))
    ours, theirs = identity(plain(training)), identity(begun)
    for name, value in identity(defaults).items():
        theirs.setdefault(name, value)
    names = sorted(k for k in ours | theirs if ours.get(k) != theirs.get(k))
    return [f"{k} ({theirs.get(k)}, now {ours.get(k)})" for k in names]


def _flat(nested: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
