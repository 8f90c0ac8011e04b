from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from stages import OBJECTIVES

from moyin.backend import device, ops
from moyin.train import Trainer, Training, Validation
from moyin.train.samples import GAP, sheet
from moyin.train.validation import averaged, held_out

Make = Callable[..., Training]


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "peak_flops", lambda dtype: 1e11)


@pytest.mark.parametrize(("share", "held"), [(0.0, []), (0.25, [3, 7]), (0.5, [1, 3, 5, 7])])
def test_what_is_held_out_is_evenly_spaced(share: float, held: list[int]) -> None:
    assert np.flatnonzero(held_out(8, share)).tolist() == held


def test_a_dataset_that_grows_keeps_what_was_held_out() -> None:
    assert (held_out(1000, 0.07)[:300] == held_out(300, 0.07)).all()


@pytest.mark.parametrize("stage", ["autoencoder", "decoder", "generator"])
def test_held_out_samples_are_never_trained_on_and_are_shown(stage: str, make: Make) -> None:
    looked = Validation(every=2, images=1)
    config = OBJECTIVES[stage]
    trainer = Trainer(make(stage, held_out=0.25, validation=looked, objective=config))
    trainer.run()
    trained_on = np.concatenate([trainer._rows(micro) for micro in range(8)])
    assert sorted(set(trained_on)) == [0, 1, 2, 4, 5, 6]
    rows = [json.loads(x) for x in (trainer.out / "validation.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]
    assert rows[0]["validation_loss"] != rows[1]["validation_loss"]
    image = np.asarray(Image.open(trainer.out / "samples" / "step-00000004.png"))
    original = trainer.source.images.sample(3).image
    assert image.shape == (512, 2 * 512 + GAP, 3)
    assert (image[:, :512] == original).all()
    assert image[:, 512 + GAP :].std() > 0


def test_validation_does_not_change_the_training(make: Make) -> None:
    weights = []
    for name, every in (("looked", 1), ("not", 100)):
        looked = Validation(every=every, images=0)
        trainer = Trainer(make("glyph", name, held_out=0.25, validation=looked))
        trainer.run()
        weights.append({n: ops.numpy(p) for n, p in trainer.parameters.items()})
    assert all((weights[0][n] == weights[1][n]).all() for n in weights[0])


def test_the_averages_are_in_place_only_within(make: Make) -> None:
    trainer = Trainer(replace(make("glyph"), steps=1))
    name = next(iter(trainer.parameters))
    average = {n: ops.zeros(p.shape) for n, p in trainer.parameters.items()}
    before = np.array(ops.numpy(trainer.parameters[name]))
    with averaged(trainer.parameters, average):
        assert not ops.numpy(trainer.parameters[name]).any()
    assert (ops.numpy(trainer.parameters[name]) == before).all()


def test_a_share_that_holds_nothing_out(make: Make) -> None:
    with pytest.raises(ValueError, match=r"held_out=0.01 of 8 samples is none"):
        Trainer(make("autoencoder", held_out=0.01))


def test_a_sheet_by_hand() -> None:
    black, grey = np.zeros((4, 6, 3), np.uint8), np.full((2, 2, 3), 90, np.uint8)
    whole = sheet([[black, grey], [grey]])
    assert whole.shape == (8 + GAP, 12 + GAP, 3)
    assert (whole[:4, :6] == 0).all()
    assert (whole[:2, 6 + GAP : 8 + GAP] == 90).all()
    assert (whole[4 + GAP : 6 + GAP, :2] == 90).all()
    assert (whole == 255).sum() == 3 * (whole.shape[0] * whole.shape[1] - 24 - 8)
