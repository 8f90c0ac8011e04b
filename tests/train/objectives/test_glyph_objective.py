from __future__ import annotations

from dataclasses import replace

import networks
import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.backend import autograd, ops
from moyin.nano.codebook_layout import numbered
from moyin.prompt.quotes import EOS, FIRST_BYTE, PAD
from moyin.train.objectives.base import SampleRng, Source
from moyin.train.objectives.glyph_encoder import GlyphObjective, bitmap, encoded, owners

A, B, C = (FIRST_BYTE + ord(c) for c in "abc")
SPRING = [FIRST_BYTE + byte for byte in "春".encode()]


@pytest.mark.parametrize("padded", [False, True])
def test_bytes_share_out_their_character_from_top_to_bottom(padded: bool) -> None:
    """Of a bitmap of 6 rows, each of the three bytes of 春 is to know two, and that of a all."""
    ids, mask = encoded(["a春", "bc"], padded)
    front = [PAD] * padded
    assert ids.tolist() == [
        [*front, A, *SPRING, EOS],
        [*front, B, C, EOS, PAD, PAD],
    ]
    assert mask.sum(1).tolist() == [5 + padded, 3 + padded]
    owner, band = owners(["a春", "bc"], ids.shape[1], padded, side=6)
    nobody = [-1] * padded
    assert owner.tolist() == [[*nobody, 0, 1, 1, 1, -1], [*nobody, 0, 1, -1, -1, -1]]
    every, none = [1] * 6, [0] * 6
    before = [none] * padded
    assert band[0].tolist() == [
        *before,
        every,
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 1],
        none,
    ]
    assert band[1].tolist() == [*before, every, every, none, none, none]


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
    seen = set()
    for step in range(12):
        asked = np.arange(3) + 3 * step
        batch = objective.batch(asked, SampleRng(0, 3 * step, step))
        seen.add(int(batch["owner"].max()) + 1)
        assert batch["target"].shape == (*batch["owner"].shape, config.side, config.side)
        for row, owner, number in zip(batch["target"], batch["owner"], asked, strict=True):
            wanted = objective.bitmaps[number].astype(np.float32) / 127.5 - 1
            found = (row.reshape(len(row), -1) == wanted).all(-1)
            assert (found & (owner >= 0)).any()
    assert seen == {1, 2, 3}
    assert config.build(Source(None, None), None).network.config == config.network


def test_words_are_told_beside_the_characters_in_them() -> None:
    """Every word begins anew, a blank belongs to none, and Latin strings hold one other."""
    config = replace(OBJECTIVES["glyph"], words=3, latin=1.0)
    objective = GlyphObjective(config, networks.tiny("glyph"))
    last = objective.count - 1
    words = set()
    for step in range(12):
        batch = objective.batch(np.array([last, last]), SampleRng(0, 3 * step, step))
        for ids, owner, word, letter in zip(
            *(batch[name] for name in ("tokens", "owner", "word", "letter")), strict=True
        ):
            text = bytes(int(i) - FIRST_BYTE for i in ids if i not in (PAD, EOS)).decode()
            owned = owner >= 0
            firsts = owned & (np.diff(owner, prepend=-1) != 0)
            told = list(zip(word[firsts].tolist(), letter[firsts].tolist(), strict=True))
            assert told == [at for at in numbered(text) if at is not None]
            assert sum(not c.isascii() for c in text) == 1
            words.add(text.count(" ") + 1)
    assert words == {1, 2, 3}
    entropies = objective.loss({n: ops.asarray(x) for n, x in batch.items()}, ops.float32)[1]
    assert float(entropies["place_error"]) > np.log(config.longest)


def test_the_loss_by_hand() -> None:
    """The mean squared error of the rows that each byte predicts, and 0.05 times the cross-entropy
    of the characters' numbers, a mean over bytes and then over strings, in NumPy."""
    config = replace(OBJECTIVES["glyph"], words=2)
    objective = networks.drawn(GlyphObjective(config, networks.tiny("glyph")))
    batch = objective.batch(np.array([3, 75, 20]), SampleRng(0, 0, 4))
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    with autograd.no_grad():
        loss, shown = objective.loss(tensors, ops.float32)
        states = ops.numpy(objective.network(tensors["tokens"], tensors["mask"]))
    shapes, places = (
        states.astype(np.float64) @ ops.numpy(head.weight).T + ops.numpy(head.bias)
        for head in (objective.shape, objective.place)
    )
    squared = rows = entropy = 0.0
    for string, owners_l in enumerate(batch["owner"]):
        owned = np.flatnonzero(owners_l >= 0)
        for byte in owned:
            wrong = shapes[string, byte].reshape(8, 8) - batch["target"][string, byte]
            band = batch["band"][string, byte] > 0
            squared, rows = squared + (wrong[band] ** 2).mean(1).sum(), rows + band.sum()
            letter, word = (batch[name][string, byte] for name in ("letter", "word"))
            missed = surprise(places[string, byte, :3], letter)
            missed += surprise(places[string, byte, 3:], word)
            entropy += missed / len(owned) / len(batch["owner"])
    assert float(ops.numpy(shown["bitmap_error"])) == pytest.approx(squared / rows, rel=1e-5)
    assert float(ops.numpy(shown["place_error"])) == pytest.approx(entropy, rel=1e-5)
    assert float(ops.numpy(loss)) == pytest.approx(squared / rows + 0.05 * entropy, rel=1e-5)


def surprise(logits: np.ndarray, true: int) -> float:
    return float(np.log(np.exp(logits).sum()) - logits[true])
