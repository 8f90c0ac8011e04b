from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
from stages import OBJECTIVES, training

from moyin.backend import autograd, device, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import Dataset
from moyin.prompt.generator_inputs import generation_sequence
from moyin.prompt.grid import Grid
from moyin.train import Trainer, run
from moyin.train.objectives.base import SampleRng, Source
from moyin.train.objectives.generator import GeneratorObjective

IMAGE = 16 * 16  # ids of an image of 512x512, and of its preview


@pytest.fixture
def source(dataset: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(dataset), Checkpoint.open(small_checkpoint))


def objective(source: Source, preview: float) -> GeneratorObjective:
    config = replace(OBJECTIVES["generator"], preview_probability=preview)
    made = config.build(source, networks.tiny("generator"))
    assert isinstance(made, GeneratorObjective)
    return made


@pytest.mark.parametrize("preview", [0.0, 1.0])
def test_only_image_ids_and_the_end_mark_count(source: Source, preview: float) -> None:
    made = objective(source, preview)
    vocabulary = made.tokenizer.vocabulary
    batch = made.batch(np.array([0, 5, 3]), SampleRng(0, 0))
    rows = source.images.read(["tokens", "preview_tokens"], [0, 5, 3])
    for ids, weights, row in zip(batch["tokens"], batch["weights"], rows, strict=True):
        counted = ids[weights > 0]
        images = [row["preview_tokens"], row["tokens"]] if preview else [row["tokens"]]
        expected = [*np.concatenate([p.reshape(-1) for p in images]), vocabulary.image_end]
        assert counted.tolist() == expected
        assert ids[np.flatnonzero(weights)[0] - 1] == vocabulary.image_start
        weighed = weights[weights > 0].tolist()
        assert weighed == [made.config.preview_weight] * (IMAGE * bool(preview)) + [1] * (IMAGE + 1)


def test_the_loss_by_hand(source: Source) -> None:
    """The weighted mean of −log p(next id), p from all logits, in NumPy."""
    made = objective(source, 1.0)
    batch = made.batch(np.array([2, 7]), SampleRng(0, 1))
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    with autograd.no_grad():
        loss = float(ops.numpy(made.loss(tensors, ops.float32)[0]))
        logits = ops.numpy(made.network(tensors["tokens"], tensors["positions"]))
    logits = logits.astype(np.float64)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    total = weight = 0.0
    for b, i in np.argwhere(batch["weights"] > 0):
        total -= batch["weights"][b, i] * np.log(p[b, i - 1, batch["tokens"][b, i]])
        weight += batch["weights"][b, i]
    assert loss == pytest.approx(total / weight, rel=1e-5)


def test_the_tokenizer_is_the_checkpoints_where_it_fits(source: Source) -> None:
    made = objective(source, 0.5)
    assert made.extras["tokenizer"].vocabulary.codes == networks.CODES
    fresh = OBJECTIVES["generator"].build(source, None)
    assert fresh.network.config.vocab == made.tokenizer.vocabulary.size


def test_without_a_tokenizer_one_is_trained_on_the_captions(dataset: Path, tmp_path: Path) -> None:
    from moyin.checkpoint.save import save_checkpoint

    semantic = {"semantic": networks.tiny("semantic")}
    folder = save_checkpoint(tmp_path / "c", semantic, dtype="float32")
    source = Source(Dataset.open(dataset), Checkpoint.open(folder))
    made = replace(OBJECTIVES["generator"], text_vocab_size=300).build(source, None)
    assert made.tokenizer.vocabulary.codes == networks.CODES
    caption = source.images.sample(0).captions[0]
    assert made.tokenizer.decode(made.tokenizer.encode(caption)) == caption


def test_an_edit_reads_the_other_image_first(pairs: Path, small_checkpoint: Path) -> None:
    """What generation reads of a reference and what is asked for, and then the image's ids;
    images that are no edits are learned as ever beside them."""
    source = Source(Dataset.open(pairs), Checkpoint.open(small_checkpoint))
    config = replace(OBJECTIVES["generator"], edit_probability=1.0, preview_probability=1.0)
    made = config.build(source, networks.tiny("generator"))
    batch = made.batch(np.arange(4), SampleRng(0, 0))
    rows = source.images.read(["meta", "tokens"], range(4))
    tokenizer = made.tokenizer
    for i, row in enumerate(rows):
        edit = row["meta"].get("edit")
        assert (edit is None) == (i % 2 == 0)
        start = int(np.flatnonzero(batch["weights"][i])[0])
        seen = [rows[i - 1]["tokens"].astype(np.int64)] if edit else []
        prefixes = {
            tuple(generation_sequence(tokenizer, c, Grid(16, 16), True, seen).ids)
            for c in (edit or row["meta"])["captions"]
        }
        assert tuple(batch["tokens"][i][:start]) in prefixes
        counted = batch["tokens"][i][batch["weights"][i] > 0]
        assert len(counted) == IMAGE * (1 if edit else 2) + 1
        assert (counted[-IMAGE - 1 : -1] == row["tokens"].reshape(-1)).all()


def test_a_dropped_caption_leaves_the_unconditional_sequence(source: Source) -> None:
    config = replace(OBJECTIVES["generator"], condition_dropout=1.0, preview_probability=0.0)
    made = config.build(source, networks.tiny("generator"))
    batch = made.batch(np.arange(2), SampleRng(0, 0))
    wanted = generation_sequence(made.tokenizer, None, Grid(16, 16), False).ids
    for ids in batch["tokens"]:
        assert (ids[: len(wanted)] == wanted).all()


def test_the_text_embedding_is_frozen_on_request(
    dataset: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    """Bit for bit, over a stop too; in the checkpoint as bf16, rounded to the nearest even."""
    small = training("generator", tmp_path, dataset, small_checkpoint)
    frozen = replace(small, objective=replace(small.objective, freeze_text=True), fine_tune=True)
    start = Checkpoint.open(small_checkpoint).network("generator")
    before, text = ops.numpy(start.embedding.weight), start.config.vision_vocab
    run(frozen, until=2)
    trainer = Trainer(frozen)
    written = Checkpoint.open(trainer.run()).network("generator")
    after = ops.numpy(trainer.objective.network.embedding.weight)
    assert after[text:].tobytes() == before[text:].tobytes()
    assert (after[:text] != before[:text]).any()
    bits = np.ascontiguousarray(before[text:]).view(np.uint32)
    as_bf16 = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    assert ops.numpy(written.embedding.weight)[text:].tobytes() == as_bf16.tobytes()


def test_a_frozen_text_embedding_changes_no_loss(source: Source) -> None:
    config = replace(OBJECTIVES["generator"], preview_probability=1.0)
    found = []
    for freeze in (False, True):
        device.seed(3)
        made = replace(config, freeze_text=freeze).build(source, networks.tiny("generator"))
        batch = {n: ops.asarray(x) for n, x in made.batch(np.arange(3), SampleRng(0, 1)).items()}
        names = [n for n in nn.named_parameters(made) if made.trained(n)]
        loss, _, gradients = autograd.value_and_grad(
            lambda x, m=made: m.loss(x, ops.float32), made, names
        )(batch)
        table = next(g for n, g in gradients.items() if "embedding" in n)
        vision = made.network.config.vision_vocab
        found.append((float(ops.numpy(loss)), ops.numpy(table)[:vision]))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])
