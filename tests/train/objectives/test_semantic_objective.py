from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.backend import autograd, nn, ops
from moyin.dataset.dataset import Dataset
from moyin.dataset.sample import Box, Line, Sample
from moyin.train.objectives.base import SampleRng, Source
from moyin.train.objectives.semantic_tokenizer import (
    LAYOUT,
    THUMBNAIL,
    SemanticObjective,
    balanced,
    ink,
    k_means,
    layout,
    thumbnails,
)

BLUE, RED = (0, 0, 255), (255, 0, 0)


def sample(text: str, *characters: Box) -> Sample:
    """64x128 in blue; each box has a red square of half its sides in its middle."""
    image = np.full((64, 128, 3), BLUE, np.uint8)
    for left, top, right, bottom in characters:
        y, x = int(bottom - top) // 4, int(right - left) // 4
        image[int(top) + y : int(bottom) - y, int(left) + x : int(right) - x] = RED
    sides = np.array(characters)
    box = (*sides[:, :2].min(0).tolist(), *sides[:, 2:].max(0).tolist())
    line = Line(text, box, characters, characters, "red", "Font", "middle")
    return Sample(image, ("",), (line,), {"kind": "flat"}, (), 0, 0)


def test_layout_of_one_character() -> None:
    """A square of 64 about (64, 32) holds the centres at x = 48 and 80."""
    found = layout(sample("春", (32.0, 0.0, 96.0, 64.0))).reshape(2, 4, -1)
    assert found[..., 0].tolist() == [[-1, 1, 1, -1]] * 2
    for row, down in ((0, -0.5), (1, 0.5)):
        for column, across in ((1, -0.5), (2, 0.5)):
            np.testing.assert_allclose(
                found[row, column], [1, 1, -1, -1, down, across, -1, -1], rtol=1e-6
            )
    assert not found[:, [0, 3], 1:].any()


def test_layout_takes_the_nearest_character_and_skips_blanks() -> None:
    """Squares of 64 that overlap by half: x = 16 is nearer the first's middle, 48 and 80 the
    second's, which is at 64; the third is a blank."""
    boxes = ((-16.0, 0.0, 48.0, 64.0), (32.0, 0.0, 96.0, 64.0), (80.0, 0.0, 144.0, 64.0))
    found = layout(sample("ab ", *boxes)).reshape(2, 4, -1)
    assert found[0, :, 7].tolist() == [-1, -0.5, -0.5, 0]
    assert found[0, :, 5].tolist() == [0, -0.5, 0.5, 0]
    assert found[0, :, 0].tolist() == [1, 1, 1, -1]


def test_a_character_smaller_than_an_ids_square_is_seen() -> None:
    found = layout(sample("一", (40.0, 8.0, 52.0, 20.0))).reshape(2, 4, -1)
    assert (found[..., 0] > 0).sum() == 1
    assert found[0, 1, 6] == pytest.approx(np.log2(12 / 128))


def test_ink_is_what_differs_from_the_rim() -> None:
    made = sample("春", (32.0, 0.0, 96.0, 64.0))
    np.testing.assert_allclose(ink(made.image, made.lines[0].box), [1, -1, -1])


def test_thumbnails_are_mean_colours() -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    image[:8, 32:40] = (255, 0, 51)  # the first part of the second square
    image[8:12, :8, 1] = 255  # half of the part below the first, in green
    found = thumbnails(image).reshape(2, THUMBNAIL, THUMBNAIL, 3)
    np.testing.assert_allclose(found[1, 0, 0], [1, -1, -0.6], atol=1e-6)
    np.testing.assert_allclose(found[0, 1, 0], [-1, 0, -1], atol=0.004)
    assert (found == -1).sum() == found.size - 3


def test_half_of_the_codebook_is_fitted_to_text() -> None:
    on_text = np.zeros(100, bool)
    on_text[[3, 50, 99]] = True
    chosen = balanced(on_text, np.random.default_rng(0))
    assert sorted(chosen[:3]) == [3, 50, 99]
    assert len(set(chosen.tolist())) == 6
    assert not on_text[chosen[3:]].any()
    assert balanced(on_text[:3], np.random.default_rng(0)).tolist() == [0, 1, 2]


def directions(*degrees: float) -> Any:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_k_means_centres_are_the_means_of_what_is_nearest_to_them() -> None:
    around = directions(*(c + d for c in (10, 100, 250) for d in (-2, 0, 2)))
    found = []
    for seed in range(5):
        centres = k_means(around, 3, 10, np.random.default_rng(seed))
        nearest = (around @ centres.T).argmax(1)
        assert set(nearest) == {0, 1, 2}
        means = np.stack([around[nearest == i].sum(0) for i in range(3)])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        np.testing.assert_allclose(centres, means, atol=1e-6)
        degrees = np.degrees(np.arctan2(centres[:, 1], centres[:, 0])) % 360
        found.append(np.sort(degrees).round(3).tolist())
    assert [10, 100, 250] in found  # from some starts; others end between two of them


def test_there_may_be_more_codes_than_vectors() -> None:
    centres = k_means(directions(0, 90), 4, 3, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, rtol=1e-6)


def objective(own_dataset: Path, **changes: Any) -> SemanticObjective:
    config = replace(OBJECTIVES["semantic"], **changes)
    source = Source(Dataset.open(own_dataset), None)
    made = config.build(source, networks.tiny("semantic"))
    assert isinstance(made, SemanticObjective)
    return networks.drawn(made)


def test_the_loss_by_hand(own_dataset: Path) -> None:
    """With a head that only adds a bias every token is predicted alike: errors of thumbnails, a
    fifth under text, and twice those of layouts, a quarter of them where text is, in NumPy."""
    made = objective(own_dataset, layout_weight=2.0)
    batch = made.batch(np.array([0, 3]), SampleRng(0, 0))
    bias = np.linspace(-0.5, 0.5, 3 * THUMBNAIL**2 + LAYOUT).astype(np.float32)
    nn.set_parameter(made.head_out.weight, ops.zeros(made.head_out.weight.shape))
    nn.set_parameter(made.head_out.bias, ops.asarray(bias))
    with autograd.no_grad():
        tensors = {name: ops.asarray(x) for name, x in batch.items()}
        loss, _ = made.loss(tensors, ops.float32)
    text = batch["layout"][..., 0] > 0
    assert 0 < text.sum() < text.size
    colours = ((bias[: 3 * THUMBNAIL**2] - batch["thumbnail"]) ** 2).mean(2)
    thumbnail = np.where(text, 0.2, 1.0) * colours
    wrong = (bias[3 * THUMBNAIL**2 :] - batch["layout"]) ** 2
    detail = [wrong[i, text[i], 1:].sum() / (text[i].sum() + 1) for i in range(2)]
    expected = thumbnail.mean() + 2 * (wrong[..., 0].mean() + 0.25 * np.mean(detail))
    assert float(ops.numpy(loss)) == pytest.approx(expected, rel=1e-5)


def test_the_head_reads_the_noised_codes(own_dataset: Path) -> None:
    """Noise of length 0.4 beside codes of length 1: other noise, another loss."""
    made = objective(own_dataset)
    batch = made.batch(np.array([0, 3]), SampleRng(0, 0))
    length = 0.4 * np.linalg.norm(batch["noise"], axis=-1) / batch["noise"].shape[-1] ** 0.5
    assert length.mean() == pytest.approx(0.4, rel=0.05)
    losses = []
    for noise in (batch["noise"], -batch["noise"]):
        tensors = {n: ops.asarray(x) for n, x in (batch | {"noise": noise}).items()}
        with autograd.no_grad():
            losses.append(float(ops.numpy(made.loss(tensors, ops.float32)[0])))
    assert abs(losses[0] - losses[1]) > 1e-6
