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
from moyin.prompt.generator_inputs import Example, generation_sequence
from moyin.prompt.grid import Grid
from moyin.train import Trainer, run
from moyin.train.objectives.base import SampleRng, Source
from moyin.train.objectives.generator import GeneratorObjective, _opening, edges, telling
from moyin.train.objectives.plan import VALUES, distances, written

IMAGE = 16 * 16  # ids of an image of 512x512, and of its preview


@pytest.fixture
def source(dataset: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(dataset), Checkpoint.open(small_checkpoint))


def objective(source: Source, preview: float) -> GeneratorObjective:
    config = replace(OBJECTIVES["generator"], preview=preview)
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
    made = replace(OBJECTIVES["generator"], text=300).build(source, None)
    assert made.tokenizer.vocabulary.codes == networks.CODES
    caption = source.images.sample(0).captions[0]
    assert made.tokenizer.decode(made.tokenizer.encode(caption)) == caption


def test_where_text_begins_and_ends_by_hand() -> None:
    """A square over rows 1 and 2, columns 1 and 2, of an image of 4x5 ids; then half as fine."""
    line = {
        "text": "ab",
        "squares": [[32, 32, 64, 96], [64, 32, 96, 96]],
        "box": [0, 0, 160, 128],
    }
    found = edges([line], (4, 5), (4, 5))
    expected = np.zeros((4, 5), bool)
    expected[1:3, [1, 3]] = True
    expected[0, 0] = True
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        edges([{"box": [0, 0, 64, 64]}], (4, 4), (2, 2)), [[1, 1], [0, 0]]
    )


def test_what_tells_where_text_is_by_hand() -> None:
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
    np.testing.assert_array_equal(telling(edge), expected.reshape(-1))
    nothing = np.zeros((2, 2), bool)
    nothing[0, 0] = True
    assert telling(nothing).tolist() == [True, False, False, False]


def test_the_edges_and_all_before_the_text_weigh_more(source: Source) -> None:
    config = replace(OBJECTIVES["generator"], preview=1.0, edges=4.0)
    made = config.build(source, networks.tiny("generator"))
    batch = made.batch(np.array([1, 4]), SampleRng(0, 0))
    for weights, row in zip(
        batch["weights"], source.images.read(["meta", "tokens"], [1, 4]), strict=True
    ):
        counted = weights[weights > 0]
        at = telling(edges(row["meta"]["lines"], row["tokens"].shape, (16, 16)))
        assert 0 < at.sum() < IMAGE
        preview = made.config.preview_weight
        np.testing.assert_allclose(counted[:IMAGE], np.where(at, 4 * preview, preview))
        np.testing.assert_allclose(counted[IMAGE:-1], np.where(at, 4, 1))


@pytest.mark.parametrize("preview", [0.0, 1.0])
def test_openings_end_with_the_last_row_that_differs(source: Source, preview: float) -> None:
    config = replace(OBJECTIVES["generator"], preview=preview, plan=1.0)
    indices = np.array([1, 4])
    whole, made = (
        replace(config, opening=share).build(source, networks.tiny("generator"))
        for share in (0.0, 1.0)
    )
    expected, batch = (objective.batch(indices, SampleRng(0, 0)) for objective in (whole, made))
    for number, row in enumerate(source.images.read(["meta", "tokens"], indices)):
        text = written(row["meta"]["lines"], row["tokens"].shape, (16, 16))
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
    assert len(batch["plan_ids"]) == 2


def test_an_edit_reads_the_other_image_first(pairs: Path, small_checkpoint: Path) -> None:
    """What generation reads of a reference and what is asked for, and then the image's ids;
    images that are no edits are learned as ever beside them."""
    source = Source(Dataset.open(pairs), Checkpoint.open(small_checkpoint))
    config = replace(OBJECTIVES["generator"], edits=1.0, preview=1.0)
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
    config = replace(OBJECTIVES["generator"], drop=1.0, preview=0.0)
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
    config = replace(OBJECTIVES["generator"], preview=1.0, plan=0.5)
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


def test_distances_by_hand() -> None:
    """Text at columns 2 and 3 of the second row and 1 and 2 of the third."""
    text = np.zeros((4, 5), bool)
    text[1, 2:4] = text[2, 1:3] = True
    n = VALUES - 1
    across = [[n] * 5, [2, 1, 0, 1, 0], [1, 0, 1, 0, n], [n] * 5]
    down = [[1] * 5, [0, 0, 0, 0, 1], [0, 0, 0, n, n], [n] * 5]
    assert distances(text).tolist() == [across, down]
    assert (distances(np.zeros((2, 3), bool)) == n).all()


@pytest.mark.parametrize("opening", [0.0, 1.0])
def test_what_is_ahead_is_told_at_each_id(source: Source, opening: float) -> None:
    config = replace(OBJECTIVES["generator"], preview=1.0, opening=opening, ahead=2.0)
    made = config.build(source, networks.tiny("generator"))
    numbers = np.array([0, 5, 3])
    batch = made.batch(numbers, SampleRng(0, 0))
    rows = source.images.read(["meta", "tokens", "preview_tokens"], numbers)
    for ids, ahead, row in zip(batch["tokens"], batch["ahead"], rows, strict=True):
        grids = [
            distances(written(row["meta"]["lines"], row["tokens"].shape, row[name].shape))
            for name in ("preview_tokens", "tokens")
        ]
        true = np.concatenate([g.reshape(2, -1) for g in grids], 1)
        known = np.flatnonzero(ahead[0] >= 0)
        first = np.flatnonzero(ids == made.tokenizer.vocabulary.image_start)[0] + 1
        assert (known == first + np.arange(len(known))).all()
        assert (ahead[:, known] == true[:, : len(known)]).all()
        assert opening or len(known) == true.shape[1]
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    with autograd.no_grad():
        told = made.loss(tensors, ops.float32)
        without = GeneratorObjective(
            replace(config, ahead=0.0), source, made.network, made.tokenizer
        ).loss(tensors, ops.float32)
    missed, count = ops.numpy(told[1]["loss_ahead"])
    assert count == (batch["ahead"] >= 0).sum()
    more = float(ops.numpy(told[0])) - float(ops.numpy(without[0]))
    assert more == pytest.approx(2 * missed / batch["weights"].sum(), rel=1e-4)


def test_heads_of_a_fresh_generator_look_back(source: Source) -> None:
    """Those of a generator that goes on stay as they are; a language model's look already."""
    config = replace(OBJECTIVES["generator"], looking_back=2)
    bias = "layers.0.attention.k.bias"
    fresh = nn.named_parameters(config.build(source, None).network)
    assert ops.numpy(fresh[bias])[-8:].max() > 1
    start = networks.tiny("generator")
    before = np.array(ops.numpy(nn.named_parameters(start)[bias]))
    after = nn.named_parameters(config.build(source, start).network)
    np.testing.assert_array_equal(ops.numpy(after[bias]), before)
    with pytest.raises(ValueError, match="language model look already"):
        replace(config, language_model="glm")


def test_an_opening_by_hand() -> None:
    """Two rows of four columns of text above two of two: what the last one repeats is left out."""
    text = np.zeros((6, 6), bool)
    text[1:3, 1:5] = text[3:5, 2:4] = True
    edge = text != np.pad(text, ((0, 0), (1, 0)))[:, :-1]
    edge[0, 0] = True
    ids = np.arange(2 + edge.size)
    example = Example(ids, np.tile(ids, (3, 1)), np.ones(len(ids), np.float32), 2)
    found = _opening(example, edge)
    stop = 2 + 3 * 6 + 4 + 1  # with the ground that ends the text
    assert found.ids.tolist() == ids[:stop].tolist()
    assert found.positions.shape == (3, stop)
    assert found.weights.shape == (stop,)
    assert _opening(example, edge & False) is example
