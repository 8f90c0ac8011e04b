from __future__ import annotations

import networks
import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.prompt.quotes import EOS, FIRST_BYTE, PAD
from moyin.train.objectives.base import Draws, Source
from moyin.train.objectives.glyph import GlyphObjective, bitmap, pooled

A, B, C = (FIRST_BYTE + ord(c) for c in "abc")
SPRING = [FIRST_BYTE + byte for byte in "春".encode()]


@pytest.mark.parametrize("padded", [False, True])
def test_pooling_averages_the_bytes_of_each_character(padded: bool) -> None:
    ids, mask, pool = pooled(["a春", "bc"], padded)
    front = [PAD] * padded
    assert ids.tolist() == [
        [*front, A, *SPRING, EOS],
        [*front, B, C, EOS, PAD, PAD],
    ]
    assert mask.sum(1).tolist() == [5 + padded, 3 + padded]
    at = int(padded)
    expected = np.zeros_like(pool)
    expected[0, 0, at] = expected[1, 0, at] = expected[1, 1, at + 1] = 1
    expected[0, 1, at + 1 : at + 4] = 1 / 3
    np.testing.assert_allclose(pool, expected)


def test_bitmaps_show_the_character() -> None:
    one = bitmap("一", "NotoSansSC-Bold", 24).reshape(24, 24)
    inked = np.argwhere(one > 128)
    (top, left), (bottom, right) = inked.min(0), inked.max(0)
    assert right - left > 15  # one level stroke
    assert bottom - top < 6
    ten = bitmap("十", "NotoSansSC-Bold", 24).reshape(24, 24)
    assert np.argwhere(ten > 128)[:, 0].ptp() > 15


def test_every_string_holds_the_character_it_was_asked_for() -> None:
    config: GlyphObjective.Config = OBJECTIVES["glyph"]
    objective = GlyphObjective(config, networks.tiny("glyph"))
    assert objective.count == len(objective.characters) > config.characters
    lengths = set()
    for step in range(12):
        asked = np.arange(3) + 3 * step
        batch = objective.batch(asked, Draws(0, step))
        b, length, _ = batch["pool"].shape
        lengths.add(length)
        assert batch["target"].shape == (3, length, config.side**2)
        for row, number in zip(batch["target"], asked, strict=True):
            wanted = objective.bitmaps[number].astype(np.float32) / 127.5 - 1
            assert (row == wanted).all(-1).any()
    assert lengths == {1, 2, 3}
    assert config.build(Source(None, None), None).network.config == config.network
