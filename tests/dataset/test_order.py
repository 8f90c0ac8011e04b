from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moyin.dataset.order import ROUNDS, Interleaver, key, mixed, quotas, shuffled


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 3000), epoch=st.integers(0, 10**9), seed=st.integers(0, 2**63))
def test_every_epoch_holds_each_number_once(count: int, epoch: int, seed: int) -> None:
    row = shuffled(np.arange(epoch * count, (epoch + 1) * count), count, seed)
    assert sorted(row.tolist()) == list(range(count))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10**12), st.lists(st.integers(0, 2**62), min_size=1, max_size=5))
def test_a_position_leads_to_the_same_number_however_it_is_asked_for(
    count: int, positions: list[int]
) -> None:
    together = shuffled(np.array(positions), count, 5)
    alone = [int(shuffled(np.array([position]), count, 5)[0]) for position in positions]
    assert together.tolist() == alone
    assert all(0 <= number < count for number in alone)


def test_the_mixing_is_that_of_splitmix64() -> None:
    """Its first two numbers from seed 1234567, as published with the algorithm's other ports."""
    states = np.array([1234567, 1234567 + 0x9E3779B97F4A7C15], np.uint64)
    assert mixed(states).tolist() == [6457827717110365317, 3203168211198807973]


@pytest.mark.parametrize("count", [1, 2, 12, 1000])
def test_the_network_digit_by_digit(count: int) -> None:
    """The same in Python's whole numbers, one position at a time."""

    def mix(x: int) -> int:
        return int(mixed(np.array([x % 2**64], np.uint64))[0])

    def walk(position: int) -> int:
        epoch, at = divmod(position, count)
        high = next(side for side in itertools.count(1) if side * side >= count)
        sides = (high, math.ceil(count / high))
        own = mix(epoch ^ key(3, count))
        while True:
            right, left = divmod(at, high)
            for turn in range(ROUNDS):
                told = mix(right ^ mix(own + turn)) >> 32
                left, right = right, (left + told) % sides[turn % 2]
            at = right * high + left
            if at < count:
                return at

    positions = [0, 1, count - 1, count, 7 * count + 1]
    assert shuffled(np.array(positions), count, 3).tolist() == [walk(p) for p in positions]


def test_permutations_of_four_are_about_equally_frequent() -> None:
    epochs = 24_000
    rows = shuffled(np.arange(4 * epochs), 4, 3).reshape(-1, 4)
    counts = np.array(list(Counter(map(tuple, rows.tolist())).values()))
    assert len(counts) == math.factorial(4)
    chi_square = float(((counts - 1000) ** 2 / 1000).sum())
    assert chi_square < 49.7  # with 23 degrees of freedom, exceeded once in a thousand


def test_neighbours_come_apart() -> None:
    """Of a random permutation, neighbours stay neighbours twice, on average."""
    row = shuffled(np.arange(100_000), 100_000, 1)
    assert (np.abs(np.diff(row)) == 1).sum() < 12
    assert abs(np.corrcoef(np.arange(100_000), row)[0, 1]) < 0.02


def test_seeds_and_epochs_differ() -> None:
    first, second = shuffled(np.arange(100), 50, 0).reshape(2, 50)
    assert (first != second).any()
    assert (first != shuffled(np.arange(50), 50, 1)).any()
    assert key(1, 2) != key(2, 1)


def test_quotas_by_hand() -> None:
    assert quotas([1], 7) == (7,)
    assert quotas([7, 3], 10) == (7, 3)
    assert quotas([1, 1, 1], 10) == (4, 3, 3)
    assert quotas([0.5, 0.3, 0.2], 7) == (4, 2, 1)  # 3.5, 2.1, 1.4: the half is the largest rest
    assert quotas([1000, 1], 10) == (10, 1)  # nobody is left out


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 1000))
def test_in_every_cycle_each_has_its_quota_and_goes_on_in_order(
    shares: list[int], cycle: int
) -> None:
    total = sum(shares)
    whose, place = Interleaver(tuple(shares), 9)(np.arange(cycle * total, (cycle + 1) * total))
    for number, share in enumerate(shares):
        mine = place[whose == number]
        assert sorted(mine.tolist()) == list(range(cycle * share, (cycle + 1) * share))


@pytest.mark.parametrize("positions", [[0, 1, 2, 10**12]])
def test_one_row_alone_needs_no_turns(positions: list[int]) -> None:
    whose, place = Interleaver((5,), 1)(np.array(positions))
    assert (whose.tolist(), place.tolist()) == ([0] * 4, positions)
