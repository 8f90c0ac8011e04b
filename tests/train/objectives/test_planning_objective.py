from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
import stages
from stages import OBJECTIVES

from moyin.backend import autograd, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.data.colours import COLOURS
from moyin.data.store import Store
from moyin.prompt.tokenizer import TextTokenizer
from moyin.train.objectives.base import Draws, Source
from moyin.train.objectives.plan import FACTS, VALUES, facts, ordinals
from moyin.train.objectives.planning import PlanningObjective
from moyin.train.trainer import Trainer

CONFIG = PlanningObjective.Config(network=networks.CONFIGS["generator"])


@pytest.fixture
def source(store: Path, small_checkpoint: Path) -> Source:
    return Source(Store.open(store), Checkpoint.open(small_checkpoint))


def test_facts_by_hand() -> None:
    """Text over rows 1 and 2 and columns 2 to 4 of 4x6 ids, in two squares; and none at all."""
    squares = [[64, 32, 96, 96], [96, 32, 160, 96]]
    line = {"text": "ab", "squares": squares, "box": [0, 0, 192, 128], "colour": "red"}
    red, blue = (1 + list(COLOURS).index(name) for name in ("red", "blue"))
    meta = {"lines": [line], "background": {"kind": "flat", "colour": "blue"}}
    assert facts(meta, (4, 6)).tolist() == [2, 2, 3, 3, blue, red]
    assert facts({"lines": [], "background": {"kind": "photograph"}}, (4, 6)).tolist() == [0] * 6


def test_ordinals_by_hand() -> None:
    """Of each id by the last of the characters that it spells; the closing mark counts on."""
    tokenizer = TextTokenizer.train(["-- -- -- 写「牛」"] * 5, size=300)
    caption = "写「ab--牛」牛'牛'"
    pieces = [caption[a:b] for a, b in tokenizer.spans(caption)]
    assert pieces == ["写", "「", "a", "b", "--", "牛", "」", "牛", "'", "牛", "'"]
    assert ordinals(tokenizer, caption).tolist() == [0, 0, 1, 2, 4, 5, 6, 0, 0, 1, 2]


def test_a_prefix_ends_with_the_mark(source: Source) -> None:
    made = CONFIG.build(source, networks.tiny("generator"))
    batch = made.batch(np.array([0, 5, 3]), Draws(0, 0))
    vocabulary = made.tokenizer.vocabulary
    for ids, mark in zip(batch["plan_ids"], batch["plan_marks"], strict=True):
        assert ids[mark] == vocabulary.image_start
        assert (ids[mark + 1 :] == vocabulary.pad).all()
    rows = source.pictures.read(["meta", "ids"], [0, 5, 3])
    expected = [facts(row["meta"], row["ids"].shape) for row in rows]
    np.testing.assert_array_equal(batch["plan_facts"], expected)


def test_the_loss_by_hand(source: Source) -> None:
    """−log p of the facts and of the ordinals, each a mean, from the states, in NumPy."""
    made = CONFIG.build(source, networks.tiny("generator"))
    batch = made.batch(np.array([2, 7]), Draws(0, 1))
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    with autograd.no_grad():
        loss, shown = made.loss(tensors, ops.float32)
        states = ops.numpy(made.network.states(tensors["plan_ids"], tensors["plan_positions"]))
        maps = [
            (ops.numpy(m.weight), ops.numpy(m.bias)) for m in (made.plan.facts, made.plan.ordinals)
        ]
    at_mark = states[np.arange(2), batch["plan_marks"]] @ maps[0][0].T + maps[0][1]
    told = at_mark.reshape(2, len(FACTS), VALUES)
    said = states @ maps[1][0].T + maps[1][1]
    expected = np.mean(
        [
            _missed(told[i], batch["plan_facts"][i])
            + _missed(said[i, :mark], batch["plan_ordinals"][i, :mark])
            for i, mark in enumerate(batch["plan_marks"])
        ]
    )
    assert float(ops.numpy(loss)) == pytest.approx(expected, rel=1e-4)
    for name, at in (("columns", 3), ("ground", 4)):
        right = (told[:, at].argmax(-1) == batch["plan_facts"][:, at]).sum()
        assert ops.numpy(shown[f"planned_{name}"]).tolist() == [right, 2]


def _missed(logits: np.ndarray, true: np.ndarray) -> float:
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    return float(-np.log(np.take_along_axis(p, true[..., None], -1)).mean())


def test_while_writing_all_captions_are_planned_from(source: Source) -> None:
    config = replace(OBJECTIVES["generator"], preview=0.0, plan=2.0)
    made = config.build(source, networks.tiny("generator"))
    batch = {k: ops.asarray(v) for k, v in made.batch(np.array([1, 4]), Draws(0, 0)).items()}
    captions = [row["meta"]["captions"] for row in source.pictures.read(["meta"], [1, 4])]
    assert len(batch["plan_ids"]) == sum(map(len, captions))
    with autograd.no_grad():
        whole = float(ops.numpy(made.loss(batch, ops.float32)[0]))
        plan = float(ops.numpy(made.plan(made.network, batch, ops.float32)[0]).sum())
        made.config = replace(config, plan=0.0)
        alone = float(ops.numpy(made.loss(batch, ops.float32)[0]))
    weight = float(ops.numpy(batch["weights"]).sum())
    assert whole == pytest.approx(alone + 2 * plan / weight, rel=1e-5)


def test_halves_of_a_batch_give_its_loss(source: Source) -> None:
    """Weighed by what each was divided by, as accumulation and several processes do."""
    made = replace(OBJECTIVES["generator"], preview=0.0, plan=2.0).build(
        source, networks.tiny("generator")
    )
    parts = [
        made.batch(np.array(indices), Draws(0, first))
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


def test_all_but_the_head_is_trained(store: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    training = replace(
        stages.training("generator", tmp_path, store, small_checkpoint), objective=CONFIG
    )
    trainer = Trainer(training)
    network = trainer.objective.network
    before = {n: np.array(ops.numpy(p)) for n, p in nn.named_parameters(network).items()}
    trainer.run()
    after = {n: ops.numpy(p) for n, p in nn.named_parameters(network).items()}
    same = {n for n in before if (before[n] == after[n]).all()}
    assert same == {"head.weight"}
