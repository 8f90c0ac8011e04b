from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import stages
from networks import CONFIGS

from moyin.backend import autograd, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.save import save_checkpoint
from moyin.data.rendered import render
from moyin.dataset.dataset import Dataset
from moyin.nano.codebook_layout import CodebookLayout
from moyin.nano.config import DecoderCodebookConfig, InkProbeObjectiveConfig
from moyin.nano.ink_probe import coverage
from moyin.render.renderer import Renderer
from moyin.train.objectives.base import SampleRng, Source
from moyin.train.trainer import Trainer

LAYOUT = CodebookLayout(sides=(64,), width=64, levels=2)
CODEBOOK = (DecoderCodebookConfig(codebook_layout=LAYOUT),)
CONFIG = InkProbeObjectiveConfig(
    network=CONFIGS["decoder"], after_blocks=1, crop=2, auxiliary=CODEBOOK
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text in squares of 128 pixels, black on white or white on black."""
    config = Renderer.Config(
        characters=10,
        fonts=("NotoSansSC-Bold",),
        prominent=1.0,
        squares=(128,),
        backgrounds={"flat": 1.0},
        object_share=0.0,
    )
    folder = tmp_path_factory.mktemp("squares") / "dataset"
    render(config, folder, count=6, seed=3, workers=1)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, small_checkpoint: Path) -> Path:
    """The small one, with as many codes as the layout needs."""
    tokenizer = replace(CONFIGS["semantic"], codes=LAYOUT.count).build()
    folder = tmp_path_factory.mktemp("codes") / "checkpoint"
    save_checkpoint(folder, {"semantic": tokenizer}, base=Checkpoint.open(small_checkpoint))
    return folder


@pytest.fixture
def source(images: Path, checkpoint: Path) -> Source:
    return Source(Dataset.open(images), Checkpoint.open(checkpoint))


def test_coverage_is_the_ink_of_the_image(images: Path) -> None:
    """On a flat ground, the pixels that are not the ground's are the ink."""
    for row in Dataset.open(images).read(["image", "meta"], range(6)):
        image = np.asarray(row["image"]).astype(float)
        away = np.abs(image - image[0, 0]).max(-1)
        ink = (away / away.max()).reshape(128, 4, 128, 4).mean((1, 3))
        found = coverage(row["meta"]["lines"], (16, 16))
        assert found.shape == (128, 128)
        assert np.corrcoef(found.ravel(), ink.ravel())[0, 1] > 0.99
        assert np.abs(found - ink).mean() < 0.01


def test_coverage_is_cut_at_the_images_edges() -> None:
    line = {"text": "口", "font": "NotoSansSC-Bold", "squares": [(-64.0, 32.0, 64.0, 160.0)]}
    whole = {"text": "口", "font": "NotoSansSC-Bold", "squares": [(0.0, 32.0, 128.0, 160.0)]}
    cut, all_of_it = coverage([line], (4, 4)), coverage([whole], (4, 4))
    assert cut.max() > 0.9
    np.testing.assert_array_equal(cut[:, :16], all_of_it[:, 16:])
    assert not cut[:, 16:].any()


def test_cells_lie_under_their_tokens(source: Source) -> None:
    """A token of 16 x 16 pixels has its own four by four cells, row by row."""
    made = CONFIG.build(source, None)
    batch = made.batch(np.array([4, 1]), SampleRng(0, 0))
    for number, index in enumerate((4, 1)):
        (row,) = source.images.read(["meta"], [index])
        whole = coverage(row["meta"]["lines"], (16, 16))
        top, left = (4 * batch["origin"][number]).astype(int)
        for token in range(16):
            y, x = top + 4 * (token // 4), left + 4 * (token % 4)
            expected = whole[y : y + 4, x : x + 4].ravel()
            np.testing.assert_array_equal(batch["ink"][number, token], expected)


def test_saying_nothing_reads_nothing(source: Source) -> None:
    """With the mean coverage for every token under text, all of its variance is unread."""
    made = CONFIG.build(source, None)
    batch = {k: ops.asarray(v) for k, v in made.batch(np.arange(4), SampleRng(0, 0)).items()}
    written = np.repeat(np.repeat(ops.numpy(batch["tokens"]) < LAYOUT.grounds, 2, 1), 2, 2)
    mean = ops.numpy(batch["ink"])[written.reshape(4, -1)].mean()
    nn.set_parameter(made.ink.weight, ops.zeros(made.ink.weight.shape))
    nn.set_parameter(made.ink.bias, ops.full(made.ink.bias.shape, float(mean)))
    with autograd.no_grad():
        _, shown = made.loss(batch, ops.float32)
    assert float(ops.numpy(shown["unexplained_ink"])) == pytest.approx(1, abs=1e-5)


def test_only_what_reads_is_trained(images: Path, checkpoint: Path, tmp_path: Path) -> None:
    training = replace(stages.training("decoder", tmp_path, images, checkpoint), objective=CONFIG)
    trainer = Trainer(training)
    network = trainer.objective.network
    before = {n: np.array(ops.numpy(p)) for n, p in nn.named_parameters(network).items()}
    trainer.run()
    after = {n: ops.numpy(p) for n, p in nn.named_parameters(network).items()}
    moved = {
        n.split(".weight")[0].split(".bias")[0] for n in before if (before[n] != after[n]).any()
    }
    assert {"prior_embedding", "glyphs.up", "patches", "blocks.0.attention.q"} <= moved
    assert not {n for n in moved if n.startswith(("blocks.1", "condition", "out"))}
    assert (before["blocks.0.modulation.weight"] == after["blocks.0.modulation.weight"]).all()


@pytest.mark.parametrize("blocks", [0, 3])
def test_blocks_that_are_not_there(blocks: int) -> None:
    with pytest.raises(ValueError, match=f"after_blocks={blocks} of a network of 2"):
        replace(CONFIG, after_blocks=blocks)


def test_a_codebook_layout_is_needed() -> None:
    with pytest.raises(ValueError, match="lacks a codebook layout"):
        replace(CONFIG, auxiliary=())
