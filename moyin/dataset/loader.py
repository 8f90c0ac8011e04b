"""The batches that training reads: which rows of a mixture of datasets make up each batch.

Batch n is computed from n alone. So training resumes exactly where it stopped, and any number of
ranks can divide the batches among themselves.
"""

from __future__ import annotations

import bisect
import itertools
import operator
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from moyin.dataset.concat import ConcatDataset
from moyin.dataset.dataset import BUCKET, Dataset
from moyin.dataset.order import Interleaver, key, quotas, shuffled

Array = np.ndarray[Any, Any]
T = TypeVar("T")

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
RULE = re.compile(r"(\w+)(<=|>=|!=|<|>|=)([^:@]*):([\d.e+-]+)(?:@(\d+))?")


@dataclass(frozen=True, kw_only=True)
class WeightRule:
    """Multiplies the weight of rows whose `column` compares with `value`, before step `until`."""

    column: str
    compare: str  # one of OPERATORS
    value: str
    weight: float
    until: int | None = None

    @classmethod
    def parse(cls, text: str) -> WeightRule:
        """Parse `characters<=4:3`, `language=zh:2` or `characters>8:0@2000`. ValueError for other
        text."""
        match = RULE.fullmatch(text.replace(" ", ""))
        if match is None:
            raise ValueError(
                f"{text!r} is no weight rule: write COLUMN<=VALUE:WEIGHT, "
                "or COLUMN<=VALUE:WEIGHT@STEP for one that ends at that step"
            )
        column, compare, value, weight, until = match.groups()
        last = int(until) if until else None
        return cls(column=column, compare=compare, value=value, weight=float(weight), until=last)

    def matches(self, dataset: Dataset) -> Array:
        """Whether each row matches, bool [rows]. ValueError if the column cannot be compared."""
        values = dataset.values(self.column)
        if len(values) != len(dataset):
            rows = f"{len(values)} of {len(dataset)} rows"
            raise ValueError(f"column {self.column!r} of {dataset.path} has {rows}")
        is_text = values.dtype == object
        try:
            value = self.value if is_text else float(self.value)
        except ValueError:
            raise ValueError(
                f"column {self.column!r} holds numbers, and {self.value!r} is not a number"
            ) from None
        if is_text and self.compare not in ("=", "!="):
            raise ValueError(f"column {self.column!r} holds text: compare it with = or !=")
        return np.asarray(OPERATORS[self.compare](values, value), bool)


@dataclass(frozen=True)
class RowPool:
    """Rows of one weight: those in `numbers`, or `count` rows from `first` on. share: of all rows
    that are read."""

    first: int
    count: int
    share: float
    numbers: Array | None = None

    def at(self, positions: Array, seed: int) -> Array:
        """Row numbers at these positions of the pool's endless shuffled sequence."""
        index = shuffled(positions, self.count, seed)
        return self.first + (index if self.numbers is None else self.numbers[index])


class BatchSampler:
    """Batches of row numbers; all rows of a batch have one image size.

    batch: rows of a batch over all ranks. datasets: their weights are those of the mixture.
    rules: change the weights of rows, by their columns. steps_of: batches per training step, in
    which the rules' steps are counted. held: rows of all datasets that are held out, bool [rows].
    ValueError if no row of a dataset has a weight.
    """

    def __init__(
        self,
        datasets: ConcatDataset,
        batch: int,
        seed: int,
        rules: Sequence[WeightRule] = (),
        steps_of: int = 1,
        held: Array | None = None,
    ) -> None:
        self.held = held
        self.datasets, self.batch, self.seed, self.rules = datasets, batch, seed, tuple(rules)
        ends = {rule.until * steps_of for rule in self.rules if rule.until is not None}
        self.starts = [0, *sorted(ends - {0})]
        self.steps_of = steps_of
        self._phase = lru_cache(maxsize=2)(self._build_phase)
        self._phase(0)

    def rows(self, number: int, rank: int = 0, world_size: int = 1) -> Array:
        """Row numbers of batch `number`, counted through all datasets, int64 [batch / world_size].

        Each rank gets every `world_size`-th row of the same batch.
        """
        if self.batch % world_size:
            raise ValueError(f"batch={self.batch} is not divisible by {world_size} ranks")
        phase = bisect.bisect_right(self.starts, number) - 1
        return self._phase(phase)(number - self.starts[phase])[rank::world_size]

    def _build_phase(self, phase: int) -> BucketBatches:
        """The batches of the steps between the ends of two rules."""
        step = self.starts[phase] // self.steps_of
        rules = [rule for rule in self.rules if rule.until is None or step < rule.until]
        buckets: dict[str, list[RowPool]] = {}
        for first, dataset, weight in self.datasets.with_offsets():
            held = None if self.held is None else self.held[first : first + len(dataset)]
            pools = list(_pools(dataset, first, rules, held))
            total = sum(pool.share for _, pool in pools)
            for bucket, pool in pools:
                share = weight * pool.share / total
                scaled = RowPool(pool.first, pool.count, share, pool.numbers)
                buckets.setdefault(bucket, []).append(scaled)
        return BucketBatches(list(buckets.values()), self.batch, key(self.seed, phase))


class BucketBatches:
    """Endless batches, each from one bucket. Buckets, and the pools in them, are interleaved."""

    def __init__(self, buckets: Sequence[Sequence[RowPool]], batch: int, seed: int) -> None:
        self.buckets, self.batch, self.seed = buckets, batch, seed
        shares = [sum(pool.share for pool in pools) for pools in buckets]
        rows = sum(pool.count for pools in buckets for pool in pools)
        self.outer = Interleaver(quotas(shares, max(1, rows // batch)), key(seed, 0))
        self.inner = [
            Interleaver(
                quotas([pool.share for pool in pools], sum(pool.count for pool in pools)),
                key(seed, 1, i),
            )
            for i, pools in enumerate(buckets)
        ]

    def __call__(self, number: int) -> Array:
        """Row numbers of batch `number`, int64 [batch]."""
        chosen, position = self.outer(np.array([number]))
        bucket, first = int(chosen[0]), int(position[0]) * self.batch
        pools = self.buckets[bucket]
        chosen, positions = self.inner[bucket](np.arange(first, first + self.batch))
        rows = np.empty(self.batch, np.int64)
        for i, pool in enumerate(pools):
            of_pool = chosen == i
            rows[of_pool] = pool.at(positions[of_pool], key(self.seed, 2, bucket, i))
        return rows


def prefetch(make: Callable[[int], T], first: int, workers: int) -> Generator[T, None, None]:
    """make(first), make(first + 1), … in order, computed in advance by `workers` threads."""
    with ThreadPoolExecutor(workers) as pool:
        pending = deque(pool.submit(make, first + i) for i in range(workers))
        try:
            for number in itertools.count(first + workers):
                pending.append(pool.submit(make, number))
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _pools(
    dataset: Dataset, first: int, rules: Sequence[WeightRule], held: Array | None
) -> Iterator[tuple[str, RowPool]]:
    """A dataset's rows by bucket and weight. The share of a pool is the sum of its weights."""
    sizes = dataset.values(BUCKET) if BUCKET in dataset.columns else None
    if sizes is None and not rules and held is None:
        yield _size(dataset), RowPool(first, len(dataset), len(dataset))
        return
    weights = np.ones(len(dataset)) if held is None else 1.0 - held
    for rule in rules:
        weights[rule.matches(dataset)] *= rule.weight
    if not weights.any():
        raise ValueError(f"the weights leave no row of {dataset.path}")
    buckets = [_size(dataset)] if sizes is None else sorted(np.unique(sizes), key=_height_first)
    for bucket in buckets:
        inside = np.ones(len(dataset), bool) if sizes is None else sizes == bucket
        for weight in np.unique(weights[inside & (weights > 0)]):
            numbers = np.flatnonzero(inside & (weights == weight)).astype(np.uint32)
            yield str(bucket), RowPool(first, len(numbers), len(numbers) * float(weight), numbers)


def _height_first(bucket: str) -> str:
    """The key that orders buckets, which determines the order of batches."""
    return "x".join(reversed(bucket.split("x")))


def _size(dataset: Dataset) -> str:
    height, width, _ = dataset.read(["image"], [0])[0]["image"].shape
    return f"{width}x{height}"
