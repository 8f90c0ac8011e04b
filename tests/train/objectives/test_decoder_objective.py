from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.backend import autograd, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import Dataset
from moyin.inference.denoise import cache_references, encode_prompt_glyphs
from moyin.train.objectives.base import SampleRng, Source
from moyin.train.objectives.decoder import DecoderObjective, gathered, glyph_batch


@pytest.fixture
def source(dataset: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(dataset), Checkpoint.open(small_checkpoint))


def objective(source: Source, **changes: Any) -> DecoderObjective:
    made = replace(OBJECTIVES["decoder"], **changes).build(source, None)
    assert isinstance(made, DecoderObjective)
    return made


def test_training_reads_the_glyph_states_that_generation_reads() -> None:
    """One string (no pad), two (with a pad each), none (an empty one), three."""
    prompts = ["“春天”", "“Tea” and “水果店”", "nothing", "“a”“bc”「海」"]
    strings = [["春天"], ["Tea", "水果店"], [], ["a", "bc", "海"]]
    glyph = networks.tiny("glyph")
    batch = {name: ops.asarray(x) for name, x in glyph_batch(strings).items()}
    with autograd.no_grad():
        states = glyph(batch["glyph_ids"], batch["glyph_mask"])
    tokens, real = gathered(states, batch["glyph_rows"], batch["glyph_columns"])
    for prompt, sample, mask in zip(prompts, ops.numpy(tokens), ops.numpy(real), strict=True):
        expected = encode_prompt_glyphs(glyph, prompt)
        assert mask.sum() == len(expected)
        np.testing.assert_allclose(sample[mask], expected, atol=1e-5)


def test_crops_lie_on_the_grid_of_ids(source: Source) -> None:
    made = objective(source)
    chosen = np.array([6, 0, 3, 1])
    batch = made.batch(chosen, SampleRng(0, 0))
    side = made.config.crop
    for i, row in enumerate(source.images.read(["tokens", "latents"], chosen)):
        top, left = (batch["origin"][i] / 2).astype(int)
        assert (batch["origin"][i] % 2 == 0).all()
        assert (batch["tokens"][i] == row["tokens"][top : top + side, left : left + side]).all()
        y, x = 4 * top, 4 * left
        cut = row["latents"][:, y : y + 4 * side, x : x + 4 * side]
        assert (batch["latents"][i] == cut.astype(np.float32)).all()
    whole = objective(source, crop=0).batch(chosen, SampleRng(0, 0))
    assert whole["latents"].shape == (4, 16, 64, 64)
    assert not whole["origin"].any()


def test_crops_on_text_meet_a_line(source: Source) -> None:
    made = objective(source, text_crop_probability=1.0)
    for step in range(4):
        chosen = np.arange(8)
        corners = made.batch(chosen, SampleRng(0, step))["origin"] * 16
        for corner, row in zip(corners, source.images.read(["meta"], chosen), strict=True):
            top, left = corner
            assert any(
                left < line["box"][2]
                and line["box"][0] < left + 64
                and top < line["box"][3]
                and line["box"][1] < top + 64
                for line in row["meta"]["lines"]
            )


def test_dropped_samples_read_neither_ids_nor_strings(source: Source) -> None:
    batch = objective(source, condition_dropout=1.0).batch(np.arange(4), SampleRng(0, 0))
    nothing = glyph_batch([[]])
    assert batch["dropped"].all()
    assert (batch["glyph_ids"] == nothing["glyph_ids"]).all()
    kept = objective(source, condition_dropout=0.0).batch(np.arange(4), SampleRng(0, 0))
    assert not kept["dropped"].any()
    assert kept["glyph_ids"].shape[1] > nothing["glyph_ids"].shape[1]


@pytest.mark.parametrize("name", ["token_dropout", "glyph_dropout"])
def test_ids_and_strings_are_dropped_apart(source: Source, name: str) -> None:
    plain = objective(source, condition_dropout=0.0).batch(np.arange(4), SampleRng(0, 0))
    batch = objective(source, condition_dropout=0.0, **{name: 1.0}).batch(
        np.arange(4), SampleRng(0, 0)
    )
    assert batch["dropped"].all() == (name == "token_dropout")
    strings = glyph_batch([[]] if name == "glyph_dropout" else [[], ["春天"]])
    assert (batch["glyph_ids"].shape == plain["glyph_ids"].shape) == (name == "token_dropout")
    if name == "glyph_dropout":
        assert (batch["glyph_ids"] == strings["glyph_ids"]).all()
    assert (batch["latents"] == plain["latents"]).all()


def test_shares_are_drawn_apart(source: Source) -> None:
    """Half of 400 samples without ids, half without strings, and a quarter without both."""
    made = objective(source, condition_dropout=0.0, token_dropout=0.5, glyph_dropout=0.5)
    sample_rng = SampleRng(0, 0)
    hidden = made._dropped([sample_rng.of(number, "crops") for number in range(400)], sample_rng)
    assert hidden[:, :2].mean(0) == pytest.approx([0.5, 0.5], abs=0.08)
    assert hidden[:, :2].all(1).mean() == pytest.approx(0.25, abs=0.08)
    assert not hidden[:, 2].any()


def test_text_weighs_more(source: Source) -> None:
    """Three times what the ground does, in a loss whose weights are 1 in the mean."""
    made = objective(source, crop=0, condition_dropout=0.0, text_weight=3.0)
    batch = made.batch(np.arange(4), SampleRng(0, 0))
    plain = objective(source, crop=0, condition_dropout=0.0).batch(np.arange(4), SampleRng(0, 0))
    np.testing.assert_allclose(batch["weights"].mean((1, 2, 3)), 1, rtol=1e-5)
    for weights, row in zip(batch["weights"], source.images.read(["meta"], range(4)), strict=True):
        inside = np.zeros((64, 64), bool)  # latents of 8 pixels, whose middles lie in a square
        at = 8 * np.arange(64) + 4
        for line in row["meta"]["lines"]:
            for left, top, right, bottom in line["squares"]:
                rows, columns = (at >= top) & (at < bottom), (at >= left) & (at < right)
                inside |= rows[:, None] & columns
        low = weights[0][~inside].mean()
        np.testing.assert_allclose(weights[0], np.where(inside, 3 * low, low), rtol=1e-5)
    with autograd.no_grad():
        loss, _ = made.loss({n: ops.asarray(x) for n, x in batch.items()}, ops.float32)
    expected = (np.square(plain["noise"] - plain["latents"]) * batch["weights"]).mean()
    assert float(ops.numpy(loss)) == pytest.approx(expected, rel=1e-5)  # fresh: it says nothing


def test_a_crop_has_the_weights_of_its_part(source: Source) -> None:
    part = objective(source, text_weight=2.0).batch(np.arange(4), SampleRng(0, 0))
    whole = objective(source, text_weight=2.0, crop=0).batch(np.arange(4), SampleRng(0, 0))
    for crop, weights, origin in zip(
        part["weights"], whole["weights"], part["origin"], strict=True
    ):
        y, x = (2 * origin).astype(int)
        cut = weights[:, y : y + 8, x : x + 8]
        np.testing.assert_allclose(crop, cut / cut.mean(), rtol=1e-5)


@pytest.fixture
def editing(pairs: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(pairs), Checkpoint.open(small_checkpoint))


def test_an_edit_is_read_as_generation_reads_it(editing: Source) -> None:
    """The network called as the pipeline calls it, sample by sample, with what it remembers."""
    made = objective(editing, edit_probability=1.0, condition_dropout=0.0)
    made.network = networks.tiny("decoder")
    batch = made.batch(np.arange(4), SampleRng(0, 2))
    assert batch["referred"].tolist() == [False, True, False, True]
    rows = editing.images.read(["meta", "tokens", "latents"], range(4))
    t = np.clip(1 / (1 + np.exp(-batch["time"])), 0.001, 1)
    sigma = 1 / (1 + (1 / t - 1) / (0.75 * (32 * 32 / 256) ** 0.5 + 0.25))
    wrong = []
    for i, row in enumerate(rows):
        edit = row["meta"].get("edit")
        prompt = edit["captions"][0] if edit else row["meta"]["captions"][0]
        noise, data = batch["noise"][i : i + 1], batch["latents"][i : i + 1]
        x = (1 - sigma[i]) * data + sigma[i] * noise
        seen = [(rows[i - 1]["tokens"], rows[i - 1]["latents"].astype(np.float32))] if edit else []
        with autograd.no_grad():
            tokens = batch["tokens"][i : i + 1].repeat(2, 1).repeat(2, 2).reshape(1, -1)
            said = networks.velocity(
                made.network,
                ops.asarray(x.astype(np.float32)),
                ops.asarray((1000 * t[i : i + 1] - 1).astype(np.float32)),
                ops.asarray(np.full((1, 2), 512, np.float32)),
                ops.zeros((1, 2)),
                glyphs=ops.asarray(encode_prompt_glyphs(made.frozen[0], prompt)[None]),
                tokens=ops.asarray(tokens),
                tokens_dropped=ops.zeros((1,), ops.bool_),
                references=cache_references(made.network, [seen]),
                origin=ops.asarray(batch["origin"][i : i + 1]),
            )
        wrong.append(ops.numpy(said) - (noise - data))
    with autograd.no_grad():
        loss, _ = made.loss({n: ops.asarray(x) for n, x in batch.items()}, ops.float32)
    assert float(ops.numpy(loss)) == pytest.approx(np.square(np.stack(wrong)).mean(), rel=1e-5)


def test_a_dropped_reference_is_not_seen(editing: Source) -> None:
    """Then what the reference holds makes no difference; without `edit_probability` it is not
    read."""
    made = objective(editing, edit_probability=1.0, condition_dropout=0.0, reference_dropout=1.0)
    made.network = networks.tiny("decoder")
    batch = made.batch(np.array([1, 3]), SampleRng(0, 0))
    assert not batch["referred"].any()
    losses = []
    for references in (batch["references"], -batch["references"]):
        tensors = {n: ops.asarray(x) for n, x in (batch | {"references": references}).items()}
        with autograd.no_grad():
            losses.append(float(ops.numpy(made.loss(tensors, ops.float32)[0])))
    assert losses[0] == pytest.approx(losses[1], abs=1e-7)
    assert "references" not in objective(editing, condition_dropout=0.0).batch(
        np.arange(4), SampleRng(0, 0)
    )


def test_the_reference_teaches_too(editing: Source) -> None:
    """Through its keys and values the loss has a gradient at the network that wrote them."""
    made = objective(editing, edit_probability=1.0, condition_dropout=0.0)
    made.network = networks.tiny("decoder")
    gradient = autograd.value_and_grad(lambda b: made.loss(b, ops.float32), made)
    batch = made.batch(np.array([1, 3]), SampleRng(0, 0))
    found = []
    for referred in (batch["referred"], ~batch["referred"]):
        tensors = {n: ops.asarray(x) for n, x in (batch | {"referred": referred}).items()}
        found.append(ops.numpy(gradient(tensors)[2]["network.patches.weight"]))
    assert np.abs(found[0] - found[1]).max() > 1e-4


@pytest.mark.parametrize(
    "wrong", [{"glyph_dropout": 1.5}, {"edit_probability": -0.1}, {"text_weight": 0.0}]
)
def test_impossible_shares(source: Source, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(OBJECTIVES["decoder"], **wrong)


def test_a_fresh_network_errs_by_the_whole_velocity(source: Source) -> None:
    """Its last layer is zero, so that the loss is the mean square of noise − data."""
    made = objective(source)
    batch = made.batch(np.arange(4), SampleRng(0, 0))
    with autograd.no_grad():
        loss, _ = made.loss({n: ops.asarray(x) for n, x in batch.items()}, ops.float32)
    expected = np.square(batch["noise"] - batch["latents"]).mean()
    assert float(ops.numpy(loss)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_by_hand(source: Source) -> None:
    """Noise levels shifted as the whole image's 32 x 32 patches ask for, not the crop's."""
    made = objective(source, condition_dropout=0.5)
    made.network = networks.tiny("decoder")
    batch = made.batch(np.arange(4), SampleRng(0, 2))
    assert 0 < batch["dropped"].sum() < 4
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    mu = 0.75 * (32 * 32 / 256) ** 0.5 + 0.25
    t = np.clip(1 / (1 + np.exp(-batch["time"])), 0.001, 1)
    sigma = (mu / (mu + 1 / t - 1))[:, None, None, None]
    x = (1 - sigma) * batch["latents"] + sigma * batch["noise"]
    with autograd.no_grad():
        loss, _ = made.loss(tensors, ops.float32)
        states = made.frozen[0](tensors["glyph_ids"], tensors["glyph_mask"])
        glyphs = gathered(states, tensors["glyph_rows"], tensors["glyph_columns"])
        said = networks.velocity(
            made.network,
            ops.asarray(x.astype(np.float32)),
            ops.asarray((1000 * t - 1).astype(np.float32)),
            ops.asarray(np.full((4, 2), 512, np.float32)),
            ops.zeros((4, 2)),
            glyphs=glyphs[0],
            glyph_mask=glyphs[1],
            tokens=ops.asarray(batch["tokens"].repeat(2, 1).repeat(2, 2).reshape(4, -1)),
            tokens_dropped=tensors["dropped"],
            origin=tensors["origin"],
        )
    wrong = ops.numpy(said) - (batch["noise"] - batch["latents"])
    assert float(ops.numpy(loss)) == pytest.approx(np.square(wrong).mean(), rel=1e-5)
