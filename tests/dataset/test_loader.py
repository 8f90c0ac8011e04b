from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moyin.dataset.concat import ConcatDataset
from moyin.dataset.dataset import Dataset
from moyin.dataset.loader import BatchSampler, BucketBatches, RowPool, WeightRule, prefetch
from moyin.dataset.sample import Sample


def filled(path: Path, count: int) -> Dataset:
    dataset = Dataset.create(path, {}, seed=0, count=count, digest="maker")
    image = np.zeros((32, 64, 3), np.uint8)
    dataset.append(Sample(image, (str(i),), (), {}, (), 0, i) for i in range(count))
    return dataset


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> ConcatDataset:
    """Twelve rows of two sizes, six of each, and eight of one; texts of 1 to 12 characters."""
    first = filled(tmp_path_factory.mktemp("a") / "a", 12)
    first.add_column("bucket", "", ["64x32", "32x64"] * 6, "text")
    first.add_column("characters", "", range(1, 13), "int64")
    first.add_column("language", "", ["zh"] * 8 + ["en"] * 4, "text")
    second = filled(tmp_path_factory.mktemp("b") / "b", 8)
    second.add_column("characters", "", range(1, 9), "int64")
    second.add_column("language", "", ["zh"] * 8, "text")
    return ConcatDataset([first, second], [0.75, 0.25])


def read(stream: BatchSampler, batches: range) -> list[int]:
    return np.concatenate([stream.rows(number) for number in batches]).tolist()


def test_one_dataset_is_read_in_shuffled_epochs(tmp_path: Path) -> None:
    stream = BatchSampler(ConcatDataset([filled(tmp_path / "s", 10)]), batch=4, seed=5)
    rows = read(stream, range(5))
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert rows[:10] != rows[10:]


@given(
    counts=st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=3), min_size=1, max_size=3),
    batch=st.sampled_from([2, 4, 12]),
    start=st.integers(0, 10**6),
)
@settings(max_examples=20, deadline=None)
def test_batches_do_not_depend_on_what_was_read_before(
    counts: list[list[int]], batch: int, start: int
) -> None:
    firsts = itertools.accumulate(itertools.chain([0], *counts))
    buckets = [[RowPool(next(firsts), count, count) for count in bucket] for bucket in counts]
    whole, fresh = BucketBatches(buckets, batch, 7), BucketBatches(buckets, batch, 7)
    rows = [whole(number) for number in range(start, start + 4)]
    assert fresh(start + 3).tolist() == rows[3].tolist()
    for some in rows:
        ends = list(itertools.accumulate(sum(bucket) for bucket in counts))
        assert len({int(np.searchsorted(ends, row, "right")) for row in some}) == 1


@given(number=st.integers(0, 10**6), ranks=st.sampled_from([1, 2, 3, 4, 6, 12]))
@settings(max_examples=20, deadline=None)
def test_ranks_share_out_the_same_batches(mixed: ConcatDataset, number: int, ranks: int) -> None:
    stream = BatchSampler(mixed, batch=12, seed=1)
    parts = [stream.rows(number, rank, ranks) for rank in range(ranks)]
    assert np.stack(parts, 1).ravel().tolist() == stream.rows(number).tolist()


def test_a_batch_that_cannot_be_shared_out(mixed: ConcatDataset) -> None:
    with pytest.raises(ValueError, match="batch=4 is not divisible by 3 ranks"):
        BatchSampler(mixed, batch=4, seed=1).rows(0, 0, 3)


def test_batches_have_one_size_and_datasets_their_weights(mixed: ConcatDataset) -> None:
    stream = BatchSampler(mixed, batch=2, seed=1)
    tall = {row for row in range(12) if row % 2}
    counted: Counter[str] = Counter()
    for number in range(400):
        rows = stream.rows(number).tolist()
        assert len({row in tall for row in rows}) == 1
        counted.update("b" if row >= 12 else "tall" if row in tall else "wide" for row in rows)
    # 20 rows are 10 batches a cycle: of tall 0.375, rounded to 4; of the rest 6, a third of it wide
    # by 0.375 : 0.25 of 14 rows, rounded to 8 and 6.
    assert counted["tall"] == 800 * 4 // 10
    assert counted["wide"] == pytest.approx(800 * 0.6 * 8 / 14, abs=10)
    assert counted["b"] == pytest.approx(800 * 0.6 * 6 / 14, abs=10)


def test_rows_count_by_their_columns(mixed: ConcatDataset) -> None:
    """zh three times, characters above 8 none: of a, rows 0 … 7 alone; of b all alike."""
    only = ConcatDataset([mixed.parts[1]])
    rules = [WeightRule.parse("characters<=2:3"), WeightRule.parse("characters>6:0")]
    counted = Counter(read(BatchSampler(only, 6, 3, rules), range(100)))
    # Rows 0, 1 at weight 3 and 2 … 5 at 1 share cycles of six rows as 3.6 : 2.4, rounded 4 : 2.
    assert counted.keys() == set(range(6))
    assert [counted[row] for row in (0, 1)] == pytest.approx([200, 200], abs=4)
    assert [counted[row] for row in range(2, 6)] == pytest.approx([50] * 4, abs=4)


def test_rows_that_are_held_out_are_not_read(mixed: ConcatDataset) -> None:
    held = np.arange(20) % 4 == 1
    stream = BatchSampler(mixed, 2, 3, held=held)
    assert set(read(stream, range(60))) == set(np.flatnonzero(~held).tolist())


def test_a_rule_ends_with_its_step(mixed: ConcatDataset) -> None:
    rules = [WeightRule.parse("language!=zh:0@5"), WeightRule.parse("bucket=32x64:0")]
    stream = BatchSampler(ConcatDataset([mixed.parts[0]]), 2, 3, rules, steps_of=4)
    assert set(read(stream, range(20))) == {0, 2, 4, 6}
    assert set(read(stream, range(20, 60))) == {0, 2, 4, 6, 8, 10}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("characters", "'characters' is no weight rule: write COLUMN<=VALUE:WEIGHT"),
        ("length>2:1", "no column 'length'; it has"),
        ("characters>many:1", "'characters' holds numbers, and 'many' is not a number"),
        ("language<zh:1", "'language' holds text"),
        ("characters>0:0", "the weights leave no row of"),
        ("meta=1:2", "holds json, not scalars"),
    ],
)
def test_rules_that_cannot_be(mixed: ConcatDataset, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchSampler(mixed, 2, 0, [WeightRule.parse(text)])


def test_a_column_that_is_not_complete_is_named(tmp_path: Path) -> None:
    dataset = filled(tmp_path / "s", 300)
    with pytest.raises(ValueError, match="ends after"):
        dataset.add_column("level", "", range(256), "int64")
    with pytest.raises(ValueError, match=r"column 'level' of .* has 256 of 300 rows"):
        BatchSampler(ConcatDataset([dataset]), 2, 0, [WeightRule.parse("level>1:2")])


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_made_ahead_in_order(workers: int) -> None:
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number * number

    batches = prefetch(make, 4, workers)
    assert list(itertools.islice(batches, 5)) == [16, 25, 36, 49, 64]
    batches.close()
    assert sorted(made) == list(range(4, 4 + len(made)))
    assert len(made) <= 5 + workers


def test_what_goes_wrong_in_a_worker_is_told() -> None:
    def broken(number: int) -> int:
        raise ValueError("no such row")

    with pytest.raises(ValueError, match="no such row"):
        next(prefetch(broken, 0, 2))
