from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest

from moyin.backend import autograd, nn, ops, optim
from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import Dataset
from moyin.inference.encode_image import encode_tokens
from moyin.nano.codebook_layout import CodebookLayout
from moyin.nano.config import TokenizerObjectiveConfig
from moyin.nano.tokenizer_objective import SHARPNESS
from moyin.train.objectives.base import SampleRng, Source

LAYOUT = CodebookLayout(sides=(64,), width=64, levels=2)  # 48 ids of text, 8 of grounds
CONFIG = TokenizerObjectiveConfig(
    network=replace(networks.CONFIGS["semantic"], codes=60),
    codebook_layout=LAYOUT,
    text_weight=3.0,
    places=256,
)


@pytest.fixture
def source(own_dataset: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(own_dataset), Checkpoint.open(small_checkpoint))


def test_the_loss_by_hand(source: Source) -> None:
    """−log of a softmax over cosines with all codes, ids with text counted three times."""
    made = CONFIG.build(source, networks.drawn(CONFIG.network.build()))
    batch = made.batch(np.array([1, 4]), SampleRng(0, 0))
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    with autograd.no_grad():
        loss, shown = made.loss(tensors, ops.float32)
        z = ops.numpy(made.network.project(made.network.features(tensors["pixels"])))
    ids = source.images.read(["tokens"], np.array([1, 4]))
    ids = np.stack([row["tokens"] for row in ids]).astype(np.int64)
    codes = ops.numpy(made.network.codebook.weight).astype(np.float64)
    logits = SHARPNESS * z @ (codes / np.linalg.norm(codes, axis=1, keepdims=True)).T
    surprise = np.log(np.exp(logits).sum(-1))
    surprise -= np.take_along_axis(logits, ids[..., None], -1)[..., 0]
    text = ids < LAYOUT.grounds
    assert 0 < text.mean() < 1
    weights = np.where(text, 3.0, 1.0)
    assert float(ops.numpy(loss)) == pytest.approx(np.average(surprise, weights=weights), rel=1e-5)
    right = (logits.argmax(-1) == ids)[text].mean()
    assert float(ops.numpy(shown["text_right"])) == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize("places", [2, 4, 8])
def test_the_places_asked_for_stand_for_all(source: Source, places: int) -> None:
    """Text first, but for an eighth; a kind's weights add up to what all of it would weigh."""
    whole = CONFIG.build(source, None).batch(np.arange(8), SampleRng(0, 0))
    made = replace(CONFIG, places=places).build(source, None)
    batch = made.batch(np.arange(8), SampleRng(0, 0))
    assert batch["tokens"].shape == batch["places"].shape == batch["weights"].shape == (8, places)
    for row in range(8):
        every = dict(zip(whole["places"][row], whole["tokens"][row], strict=True))
        assert len(set(batch["places"][row])) == places
        assert [every[at] for at in batch["places"][row]] == [*batch["tokens"][row]]
        text, asked = (one["tokens"][row] < LAYOUT.grounds for one in (whole, batch))
        assert asked.sum() == min(text.sum(), places - min((~text).sum(), places // 8))
        for kind, there in ((asked, text), (~asked, ~text)):
            if kind.any():
                weight = batch["weights"][row][kind].sum()
                assert weight == pytest.approx(whole["weights"][row][there].sum(), rel=1e-6)


def test_the_network_comes_to_say_what_the_layout_says(source: Source) -> None:
    """The grounds of eight images at least, which are plain colours."""
    made = CONFIG.build(source, None)
    parameters = nn.named_parameters(made)
    optimizer = optim.AdamW(parameters, (0.9, 0.99), weight_decay=0.0)
    gradient = autograd.value_and_grad(
        lambda batch: made.loss(batch, ops.float32), made, list(parameters)
    )
    batch = {n: ops.asarray(x) for n, x in made.batch(np.arange(8), SampleRng(0, 0)).items()}
    for _ in range(25):
        _, _, found = gradient(batch)
        optimizer.step(found, 3e-3)
    image = source.images.sample(0)
    wanted = LAYOUT.ids(image)
    said = encode_tokens(made.network, [image.image])[0]
    ground = wanted >= LAYOUT.grounds
    assert (said == wanted)[ground].mean() > 0.8


def test_a_fresh_codebook_begins_with_the_layout(source: Source) -> None:
    made = CONFIG.build(source, None)
    rows = LAYOUT.rows(60, CONFIG.network.code_width, 1.0)
    np.testing.assert_allclose(ops.numpy(made.network.codebook.weight), rows)
    with pytest.raises(ValueError, match="40 codes: the codebook layout needs 56"):
        replace(CONFIG, network=networks.CONFIGS["semantic"]).build(source, None)
