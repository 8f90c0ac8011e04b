from __future__ import annotations

import json

from moyin.train.loss_guard import WINDOW, Watch


def watch(*losses: float) -> Watch:
    """A watch that saw each of the losses for a whole window."""
    made = Watch()
    for loss in losses:
        for _ in range(WINDOW):
            made.see(loss)
    return made


def test_learning_is_fine_and_so_is_a_bad_batch() -> None:
    made = watch(8.0, 4.0, 2.0)
    for _ in range(WINDOW // 2 - 1):
        made.see(1e6)
    assert not made.rising
    assert not made.diverged


def test_back_above_the_start_and_twice_the_best() -> None:
    assert watch(8.0, 4.0, 10.0).diverged
    assert not watch(8.0, 4.0, 9.0).rising  # bad, yet no worse than it began
    assert not watch(8.0, 6.0, 11.0).diverged
    assert watch(8.0, 6.0, 11.0).rising


def test_nothing_is_said_too_early_or_of_negative_losses() -> None:
    made = Watch()
    for _ in range(WINDOW - 1):
        made.see(1e9)
    assert not made.rising
    assert not watch(-3.0, -4.0, 100.0).rising


def test_it_goes_on_after_json() -> None:
    made, again = watch(8.0, 4.0), Watch()
    again.restore(json.loads(json.dumps(made.record())))
    for one in (made, again):
        for _ in range(WINDOW // 2 + 1):
            one.see(10.0)
    assert again.record() == made.record()
    assert again.diverged
    fresh = Watch()
    fresh.restore(json.loads(json.dumps(Watch().record())))
    assert not fresh.diverged
