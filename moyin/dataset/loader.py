"""The stream that training reads: which rows make up a batch, from a mixture of datasets.

Batch n is computed from n alone. So any batch can be asked for, a training goes on exactly where it
stopped, and the ranks of any number share it out among themselves.
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
from moyin.dataset.order import Turns, key, quotas, shuffled

Array = np.ndarray[Any, Any]
T = TypeVar("T")

COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
RULE = re.compile(r"(\w+)(<=|>=|!=|<|>|=)([^:@]*):([\d.e+-]+)(?:@(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Rows whose `column` compares so with `value` count `weight` times, before step `until`."""

    column: str
    compare: str
    value: str
    weight: float
    until: int | None = None

    @classmethod
    def parse(cls, text: str) -> Rule:
        """`characters<=4:3`, `language=zh:2`, `characters>8:0@2000`; ValueError otherwise."""
        found = RULE.fullmatch(text.replace(" ", ""))
        if found is None:
            told = "write COLUMN<=VALUE:WEIGHT, or …:WEIGHT@STEP for what holds until that step"
            raise ValueError(f"{text!r} gives no weight: {told}")
        column, compare, value, weight, until = found.groups()
        last = int(until) if until else None
        return cls(column=column, compare=compare, value=value, weight=float(weight), until=last)

    def holds(self, dataset: Dataset) -> Array:
        """For which rows it does: bool [rows]. ValueError where values cannot be compared so."""
        values = dataset.values(self.column)
        if len(values) != len(dataset):
            rows = f"{len(values)} of {len(dataset)} rows"
            raise ValueError(f"column {self.column!r} of {dataset.path} has {rows}")
        text = values.dtype == object
        try:
            value = self.value if text else float(self.value)
        except ValueError:
            raise ValueError(f"{self.column!r} holds numbers, and {self.value!r} is none") from None
        if text and self.compare not in ("=", "!="):
            raise ValueError(f"{self.column!r} holds texts: they are compared by = and != alone")
        return np.asarray(COMPARED[self.compare](values, value), bool)


@dataclass(frozen=True)
class Pool:
    """Rows that are read equally often: those numbered, or all from `first` on; and their share."""

    first: int
    count: int
    share: float
    numbers: Array | None = None

    def at(self, positions: Array, seed: int) -> Array:
        """Row numbers at positions of the pool's endless shuffled row."""
        place = shuffled(positions, self.count, seed)
        return self.first + (place if self.numbers is None else self.numbers[place])


class Stream:
    """Batches of rows of one size. ValueError where the weights leave nothing to read.

    batch: rows of a batch over all ranks. datasets: from which, with weights where they are a
    mixture; without, a dataset counts by its rows. rules: what rows count for, by their columns;
    steps_of: batches a step, by which the rules' steps are told. held: which rows, of all datasets'
    side by side, are held out, bool [rows].
    """

    def __init__(
        self,
        datasets: ConcatDataset,
        batch: int,
        seed: int,
        rules: Sequence[Rule] = (),
        steps_of: int = 1,
        held: Array | None = None,
    ) -> None:
        self.held = held
        self.datasets, self.batch, self.seed, self.rules = datasets, batch, seed, tuple(rules)
        ends = {rule.until * steps_of for rule in self.rules if rule.until is not None}
        self.starts = [0, *sorted(ends - {0})]
        self.steps_of = steps_of
        self._phase = lru_cache(maxsize=2)(self._made)
        self._phase(0)

    def rows(self, number: int, rank: int = 0, ranks: int = 1) -> Array:
        """Row numbers of batch `number`, counted over the datasets as they stand side by side.

        Of several ranks, each gets every `ranks`-th of the same batch. int64 [batch / ranks].
        """
        if self.batch % ranks:
            raise ValueError(f"batch={self.batch} cannot be shared out evenly to {ranks} ranks")
        phase = bisect.bisect_right(self.starts, number) - 1
        return self._phase(phase)(number - self.starts[phase])[rank::ranks]

    def _made(self, phase: int) -> Batches:
        step = self.starts[phase] // self.steps_of
        rules = [rule for rule in self.rules if rule.until is None or step < rule.until]
        buckets: dict[str, list[Pool]] = {}
        for first, dataset, weight in self.datasets.placed():
            held = None if self.held is None else self.held[first : first + len(dataset)]
            pools = list(_pools(dataset, first, rules, held))
            total = sum(pool.share for _, pool in pools)
            for bucket, pool in pools:
                share = weight * pool.share / total
                shared = Pool(pool.first, pool.count, share, pool.numbers)
                buckets.setdefault(bucket, []).append(shared)
        return Batches(list(buckets.values()), self.batch, key(self.seed, phase))


class Batches:
    """Endless batches, each of rows of one bucket; buckets take turns, and the pools in them."""

    def __init__(self, buckets: Sequence[Sequence[Pool]], batch: int, seed: int) -> None:
        self.buckets, self.batch, self.seed = buckets, batch, seed
        shares = [sum(pool.share for pool in pools) for pools in buckets]
        rows = sum(pool.count for pools in buckets for pool in pools)
        self.turns = Turns(quotas(shares, max(1, rows // batch)), key(seed, 0))
        self.inner = [
            Turns(quotas([p.share for p in pools], sum(p.count for p in pools)), key(seed, 1, i))
            for i, pools in enumerate(buckets)
        ]

    def __call__(self, number: int) -> Array:
        """Row numbers of batch `number`."""
        whose, place = self.turns(np.array([number]))
        bucket, first = int(whose[0]), int(place[0]) * self.batch
        pools = self.buckets[bucket]
        whose, place = self.inner[bucket](np.arange(first, first + self.batch))
        rows = np.empty(self.batch, np.int64)
        for i, pool in enumerate(pools):
            mine = whose == i
            rows[mine] = pool.at(place[mine], key(self.seed, 2, bucket, i))
        return rows


def ahead(make: Callable[[int], T], first: int, workers: int) -> Generator[T, None, None]:
    """make(first), make(first + 1), … in order, made ahead by so many threads."""
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(make, first + i) for i in range(workers))
        try:
            for number in itertools.count(first + workers):
                waiting.append(pool.submit(make, number))
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _pools(
    dataset: Dataset, first: int, rules: Sequence[Rule], held: Array | None
) -> Iterator[tuple[str, Pool]]:
    """A dataset's rows by bucket and weight, each with the sum of its weights as its share."""
    sizes = dataset.values(BUCKET) if BUCKET in dataset.columns else None
    if sizes is None and not rules and held is None:
        yield _size(dataset), Pool(first, len(dataset), len(dataset))
        return
    weights = np.ones(len(dataset)) if held is None else 1.0 - held
    for rule in rules:
        weights[rule.holds(dataset)] *= rule.weight
    if not weights.any():
        raise ValueError(f"the weights leave no row of {dataset.path}")
    buckets = np.array([_size(dataset)]) if sizes is None else np.unique(sizes)
    for bucket in buckets:
        inside = np.ones(len(dataset), bool) if sizes is None else sizes == bucket
        for weight in np.unique(weights[inside & (weights > 0)]):
            numbers = np.flatnonzero(inside & (weights == weight)).astype(np.uint32)
            yield str(bucket), Pool(first, len(numbers), len(numbers) * float(weight), numbers)


def _size(dataset: Dataset) -> str:
    height, width, _ = dataset.read(["image"], [0])[0]["image"].shape
    return f"{height}x{width}"
