from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import Dataset
from moyin.nano.boundaries import boundaries, boundary_mask, truncated
from moyin.nano.config import BoundaryWeightConfig, LayoutHeadConfig, TruncationConfig
from moyin.prompt.generator_inputs import Example
from moyin.train.objectives.base import SampleRng, Source
from moyin.train.text_mask import text_mask

IMAGE = 16 * 16  # tokens of an image of 512x512, and of its preview


@pytest.fixture
def source(dataset: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(dataset), Checkpoint.open(small_checkpoint))


def test_where_text_begins_and_ends_by_hand() -> None:
    """A square over rows 1 and 2, columns 1 and 2, of an image of 4x5 tokens; then half as fine."""
    line = {
        "text": "ab",
        "squares": [[32, 32, 64, 96], [64, 32, 96, 96]],
        "box": [0, 0, 160, 128],
    }
    found = boundaries([line], (4, 5), (4, 5))
    expected = np.zeros((4, 5), bool)
    expected[1:3, [1, 3]] = True
    expected[0, 0] = True
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        boundaries([{"box": [0, 0, 64, 64]}], (4, 4), (2, 2)), [[1, 1], [0, 0]]
    )


def test_boundary_mask_by_hand() -> None:
    """Two rows of text, each two rows of ids high: all up to the first, and what is before the
    second where it begins, but not where it goes on."""
    edge = np.zeros((6, 5), bool)
    edge[1:3, [1, 4]] = True
    edge[3:5, [2, 3]] = True
    edge[0, 0] = True
    expected = edge.copy()
    expected[0] = True
    expected[1, 0] = True
    expected[3, :2] = True
    np.testing.assert_array_equal(boundary_mask(edge), expected.reshape(-1))
    nothing = np.zeros((2, 2), bool)
    nothing[0, 0] = True
    assert boundary_mask(nothing).tolist() == [True, False, False, False]


def test_truncation_by_hand() -> None:
    """Two rows of four columns of text above two of two: what the last one repeats is left out."""
    text = np.zeros((6, 6), bool)
    text[1:3, 1:5] = text[3:5, 2:4] = True
    edge = text != np.pad(text, ((0, 0), (1, 0)))[:, :-1]
    edge[0, 0] = True
    ids = np.arange(2 + edge.size)
    example = Example(ids, np.tile(ids, (3, 1)), np.ones(len(ids), np.float32), 2)
    found = truncated(example, edge)
    stop = 2 + 3 * 6 + 4 + 1  # with the ground that ends the text
    assert found.ids.tolist() == ids[:stop].tolist()
    assert found.positions.shape == (3, stop)
    assert found.weights.shape == (stop,)
    assert truncated(example, edge & False) is example


def test_boundaries_and_all_before_the_text_weigh_more(source: Source) -> None:
    config = replace(
        OBJECTIVES["generator"],
        preview_probability=1.0,
        auxiliary=(BoundaryWeightConfig(weight=4.0),),
    )
    made = config.build(source, networks.tiny("generator"))
    batch = made.batch(np.array([1, 4]), SampleRng(0, 0))
    for weights, row in zip(
        batch["weights"], source.images.read(["meta", "tokens"], [1, 4]), strict=True
    ):
        counted = weights[weights > 0]
        at = boundary_mask(boundaries(row["meta"]["lines"], row["tokens"].shape, (16, 16)))
        assert 0 < at.sum() < IMAGE
        preview = made.config.preview_weight
        np.testing.assert_allclose(counted[:IMAGE], np.where(at, 4 * preview, preview))
        np.testing.assert_allclose(counted[IMAGE:-1], np.where(at, 4, 1))


@pytest.mark.parametrize("preview", [0.0, 1.0])
def test_truncation_ends_with_the_last_row_that_differs(source: Source, preview: float) -> None:
    config = replace(OBJECTIVES["generator"], preview_probability=preview)
    indices = np.array([1, 4])
    whole, made = (
        replace(
            config,
            auxiliary=(TruncationConfig(probability=share), LayoutHeadConfig(weight=1.0)),
        ).build(source, networks.tiny("generator"))
        for share in (0.0, 1.0)
    )
    expected, batch = (objective.batch(indices, SampleRng(0, 0)) for objective in (whole, made))
    for number, row in enumerate(source.images.read(["meta", "tokens"], indices)):
        text = text_mask(row["meta"]["lines"], row["tokens"].shape, (16, 16))
        differs = [r for r in range(16) if text[r].any() and (text[r] != text[max(r, 1) - 1]).any()]
        last = 16 * differs[-1] + int(text[differs[-1]].nonzero()[0][-1]) + 1  # what ends the text
        weights = batch["weights"][number]
        assert (weights > 0).sum() == last + 1
        start = int(np.flatnonzero(weights)[0])
        stop = start + last + 1
        for name in ("tokens", "weights"):
            np.testing.assert_array_equal(batch[name][number, :stop], expected[name][number, :stop])
        np.testing.assert_array_equal(
            batch["kinds"][number, :, :stop], expected["kinds"][number, :, :stop]
        )
    assert len(batch["prefix_tokens"]) == 2
