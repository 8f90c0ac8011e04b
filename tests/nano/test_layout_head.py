from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
import stages
from stages import OBJECTIVES

from moyin.backend import autograd, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import Dataset
from moyin.nano.config import LayoutHeadConfig, LayoutHeadObjectiveConfig
from moyin.nano.layout_facts import FACTS, VALUES, WORDS, facts, ordinals
from moyin.nano.layout_head import hidden_states
from moyin.ocr.colours import COLOURS
from moyin.prompt.generator_inputs import generation_sequence
from moyin.prompt.grid import Grid
from moyin.prompt.tokenizer import TextTokenizer
from moyin.train.objectives.base import SampleRng, Source
from moyin.train.trainer import Trainer

CONFIG = LayoutHeadObjectiveConfig(network=replace(networks.CONFIGS["generator"], layers=5))


@pytest.fixture
def source(dataset: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(dataset), Checkpoint.open(small_checkpoint))


@pytest.fixture
def editing(pairs: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(pairs), Checkpoint.open(small_checkpoint))


def test_facts_by_hand() -> None:
    """Text over rows 1 and 2 and columns 2 to 4 of 4x6 ids, in two squares and a blank of no ink;
    and none at all."""
    squares = [[64, 32, 96, 96], [0, 0, 160, 96], [96, 32, 160, 96], [96, 32, 160, 96]]
    line = {"text": "a bc", "squares": squares, "box": [0, 0, 192, 128], "colour": "red"}
    red, blue = (1 + list(COLOURS).index(name) for name in ("red", "blue"))
    meta = {"lines": [line], "background": {"kind": "flat", "colour": "blue"}}
    assert facts(meta, (4, 6)).tolist() == [
        *(2, 2, 3, 3, blue, red),
        *(1, 2, 0, 0),  # characters of the words
        *(3, 0, 0, 0),  # first columns of the rows
        *(3, 0, 0, 0),  # how many
    ]
    below = [[0, 96, 64, 128], [64, 96, 128, 128]]
    line |= {"text": "a bcde", "squares": [*squares, *below]}
    assert facts(meta, (4, 6)).tolist()[-2 * WORDS :] == [3, 1, 0, 0, 3, 4, 0, 0]
    nothing = {"lines": [], "background": {"kind": "photograph"}}
    assert facts(nothing, (4, 6)).tolist() == [0] * len(FACTS)


def test_ordinals_by_hand() -> None:
    """Of each id by the last quoted character that it spells; blanks and closing marks count on."""
    tokenizer = TextTokenizer.train(["-- -- -- 写「牛」", 'd" in'] * 5, size=300)
    caption = "写「ab c--牛」牛'牛' \"d\" in"
    pieces = [caption[a:b] for a, b in tokenizer.spans(caption)]
    said = {"a": (1, 1), "b": (1, 2), " ": (1, 3), "c": (2, 1), "--": (2, 3), "牛": (2, 4)}
    assert pieces[:9] == ["写", "「", *said, "」"]
    assert pieces[9:] == ["牛", "'", "牛", "'", " ", '"', "d", '"', " in"]
    after = [(0, 0), (0, 0), (1, 1), (1, 2), (0, 0), (0, 0), (1, 1), (1, 2), (0, 0)]
    expected = [(0, 0), (0, 0), *said.values(), (2, 5), *after]
    assert [tuple(told) for told in ordinals(tokenizer, caption).tolist()] == expected


def test_a_prefix_ends_with_the_mark(source: Source) -> None:
    made = CONFIG.build(source, networks.tiny("generator"))
    batch = made.batch(np.array([0, 5, 3]), SampleRng(0, 0))
    vocabulary = made.tokenizer.vocabulary
    for ids, mark in zip(batch["prefix_tokens"], batch["prefix_marks"], strict=True):
        assert ids[mark] == vocabulary.image_start
        assert (ids[mark + 1 :] == vocabulary.pad).all()
    rows = source.images.read(["meta", "tokens"], [0, 5, 3])
    expected = [facts(row["meta"], row["tokens"].shape) for row in rows]
    np.testing.assert_array_equal(batch["layout_facts"], expected)


def test_an_edit_is_layout_from_the_other_image(editing: Source) -> None:
    """What generation reads, up to the mark; the facts and ordinals are those of the result, and
    images that are no edits are planned as ever."""
    config = replace(CONFIG, edit_probability=1.0, preview_probability=0.0)
    made = config.build(editing, networks.tiny("generator"))
    batch = made.batch(np.arange(4), SampleRng(0, 0))
    rows = editing.images.read(["meta", "tokens"], range(4))
    for i, row in enumerate(rows):
        edit = row["meta"].get("edit")
        assert (edit is None) == (i % 2 == 0)
        seen = [rows[i - 1]["tokens"].astype(np.int64)] if edit else []
        prefixes = {
            tuple(generation_sequence(made.tokenizer, c, Grid(16, 16), False, seen).ids)
            for c in (edit or row["meta"])["captions"]
        }
        start, mark = batch["prefix_starts"][i], batch["prefix_marks"][i]
        assert start == (256 + 2 if edit else 0)
        assert tuple(batch["prefix_tokens"][i][: mark + 1]) in prefixes
        assert batch["layout_facts"][i].tolist() == facts(row["meta"], (16, 16)).tolist()
        before = facts(rows[i - 1]["meta"], (16, 16)).tolist() if edit else [0] * len(FACTS)
        assert batch["reference_facts"][i].tolist() == before
        assert not batch["ordinals"][i, :start].any()
        said = row["meta"]["lines"][0]["text"]
        assert batch["ordinals"][i, start:mark, 1].max() == len(said) + 1


@pytest.mark.parametrize("edits", [False, True])
def test_the_loss_by_hand(edits: bool, source: Source, editing: Source) -> None:
    """−log p of the facts, from the states after four of five layers, of the caption's ordinals,
    after three, each a mean, and of the reference's facts, after two, in NumPy."""
    config = replace(CONFIG, edit_probability=1.0 if edits else 0.0)
    made = config.build(editing if edits else source, networks.drawn(CONFIG.network.build()))
    networks.drawn(made.layout_head)
    batch = made.batch(np.array([2, 3]), SampleRng(0, 1))
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    with autograd.no_grad():
        loss, shown = made.loss(tensors, ops.float32)
        read = (tensors["prefix_tokens"], tensors["prefix_positions"])
        early, middle, states = map(
            ops.numpy, hidden_states(made.network, *read, (2, 3, 4), ops.float32)
        )
        heads = (
            made.layout_head.facts,
            made.layout_head.ordinals,
            made.layout_head.reference_facts,
        )
        maps = [(ops.numpy(m.weight), ops.numpy(m.bias)) for m in heads]
    normed = _normed(states, made.layout_head.norm)
    at_end = _normed(early, made.layout_head.early_norm)[np.arange(2), batch["prefix_starts"] - 1]
    seen = (at_end @ maps[2][0].T + maps[2][1]).reshape(2, len(FACTS), VALUES)
    at_mark = normed[np.arange(2), batch["prefix_marks"]] @ maps[0][0].T + maps[0][1]
    told = at_mark.reshape(2, len(FACTS), VALUES)
    said = _normed(middle, made.layout_head.middle_norm) @ maps[1][0].T + maps[1][1]
    said = said.reshape(*normed.shape[:2], 2, VALUES)
    expected = np.mean(
        [
            _missed(told[i], batch["layout_facts"][i])
            + _missed(said[i, start:mark], batch["ordinals"][i, start:mark])
            + (_missed(seen[i], batch["reference_facts"][i]) if start else 0)
            for i, (start, mark) in enumerate(
                zip(batch["prefix_starts"], batch["prefix_marks"], strict=True)
            )
        ]
    )
    assert float(ops.numpy(loss)) == pytest.approx(expected, rel=1e-4)
    for name, at in (("columns", 3), ("ground", 4)):
        right = (told[:, at].argmax(-1) == batch["layout_facts"][:, at]).sum()
        assert ops.numpy(shown[f"layout_{name}"]).tolist() == [right, 2]


def _normed(states: np.ndarray, norm: Any) -> np.ndarray:
    size = ((states**2).mean(-1, keepdims=True) + CONFIG.network.eps) ** 0.5
    return np.asarray(states / size * ops.numpy(norm.weight))


def _missed(logits: np.ndarray, true: np.ndarray) -> float:
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    return float(-np.log(np.take_along_axis(p, true[..., None], -1)).mean())


def test_beside_tokens_the_layout_of_all_captions_is_predicted(source: Source) -> None:
    config = replace(
        OBJECTIVES["generator"], preview_probability=0.0, auxiliary=(LayoutHeadConfig(weight=2.0),)
    )
    made = config.build(source, networks.tiny("generator"))
    batch = {k: ops.asarray(v) for k, v in made.batch(np.array([1, 4]), SampleRng(0, 0)).items()}
    captions = [row["meta"]["captions"] for row in source.images.read(["meta"], [1, 4])]
    assert len(batch["prefix_tokens"]) == sum(map(len, captions))
    with autograd.no_grad():
        whole = float(ops.numpy(made.loss(batch, ops.float32)[0]))
        plan = float(ops.numpy(made.auxiliary[0].losses(made.network, batch, ops.float32)[0]).sum())
        made.auxiliary = nn.ModuleList([])
        alone = float(ops.numpy(made.loss(batch, ops.float32)[0]))
    weight = float(ops.numpy(batch["weights"]).sum())
    assert whole == pytest.approx(alone + 2 * plan / weight, rel=1e-5)


def test_halves_of_a_batch_give_its_loss(source: Source) -> None:
    """Weighed by what each was divided by, as accumulation and several processes do."""
    made = replace(
        OBJECTIVES["generator"], preview_probability=0.0, auxiliary=(LayoutHeadConfig(weight=2.0),)
    ).build(source, networks.tiny("generator"))
    parts = [
        made.batch(np.array(indices), SampleRng(0, first))
        for indices, first in (([1, 4], 0), ([1], 0), ([4], 1))
    ]
    with autograd.no_grad():
        whole, *halves = [
            float(ops.numpy(made.loss({k: ops.asarray(v) for k, v in b.items()}, ops.float32)[0]))
            for b in parts
        ]
    total, *weights = map(made.weight, parts)
    assert sum(weights) == total
    assert np.average(halves, weights=weights) == pytest.approx(whole, rel=1e-5)


def test_what_plans_is_trained(dataset: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    training = replace(
        stages.training("generator", tmp_path, dataset, small_checkpoint), objective=CONFIG
    )
    trainer = Trainer(training)
    network = trainer.objective.network
    before = {n: np.array(ops.numpy(p)) for n, p in nn.named_parameters(network).items()}
    trainer.run()
    after = {n: ops.numpy(p) for n, p in nn.named_parameters(network).items()}
    above = {n for n in before if n.startswith("layers.4.")}
    assert above
    same = {n for n in before if (before[n] == after[n]).all()}
    assert same == {"norm.weight", "head.weight", *above}


def test_hidden_states_are_those_of_a_network_with_fewer_layers() -> None:
    model, lower = (replace(CONFIG.network, layers=n).build() for n in (3, 2))
    theirs = nn.named_parameters(model)
    for name, parameter in nn.named_parameters(lower).items():
        nn.set_parameter(parameter, theirs[name])
    tokens = ops.asarray(np.random.default_rng(0).integers(0, 300, (2, 20)))
    positions = ops.asarray(np.tile(np.arange(20), (3, 2, 1)))
    with autograd.no_grad():
        first, second = hidden_states(model, tokens, positions, (1, 2), None)
        whole = lower.states(tokens, positions)
        np.testing.assert_allclose(ops.numpy(model.norm(second)), ops.numpy(whole), atol=1e-6)
        again = hidden_states(model, tokens, positions, (1,), None)[0]
    np.testing.assert_array_equal(ops.numpy(first), ops.numpy(again))
