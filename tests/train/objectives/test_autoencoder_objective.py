from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
from stages import IMAGES, OBJECTIVES

from moyin.backend import autograd, nn, ops
from moyin.dataset.dataset import Dataset
from moyin.train.objectives.autoencoder import AutoencoderObjective, corner
from moyin.train.objectives.base import SampleRng, Source

CONFIG: AutoencoderObjective.Config = OBJECTIVES["autoencoder"]


@pytest.fixture
def source(dataset: Path) -> Source:
    return Source(Dataset.open(dataset), None)


def test_crops_are_cut_from_the_images(source: Source) -> None:
    objective = CONFIG.build(source, None)
    batch = objective.batch(np.array([3, 1]), SampleRng(0, 0))
    side, crops = CONFIG.crop, CONFIG.crops
    assert batch["pixels"].shape == (2 * crops, 3, side, side)
    assert batch["noise"].shape == (2 * crops, 16, side // 8, side // 8)
    image = source.images.sample(1).image
    last = np.round((batch["pixels"][-1].transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
    found = np.lib.stride_tricks.sliding_window_view(image, (side, side, 3))[:, :, 0]
    assert (found[..., :1, :1, :] == last[:1, :1]).all(-1).any()
    assert any((window == last).all() for row in found[::1] for window in row)


def test_crops_on_text_lie_on_a_line(source: Source) -> None:
    rng = np.random.default_rng(0)
    sample = source.images.sample(0)
    for _ in range(50):
        top, left = corner(sample, 16, True, rng)
        y, x = top + 8, left + 8
        margin = 1
        assert any(
            line.box[0] - margin <= x <= line.box[2] + margin
            and line.box[1] - margin <= y <= line.box[3] + margin
            for line in sample.lines
        )
    places = np.array([corner(sample, 512, on, rng) for on in (True, False)])
    assert not places.any()


def test_the_loss_by_hand(source: Source) -> None:
    objective = AutoencoderObjective(
        replace(CONFIG, kl_weight=0.5), source, networks.tiny("autoencoder")
    )
    batch = objective.batch(np.array([0]), SampleRng(0, 0))
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    with autograd.no_grad():
        loss, shown = objective.loss(tensors, ops.float32)
        mean, logvar = map(ops.numpy, objective.network.encode(tensors["pixels"]))
        latents = mean + np.exp(logvar / 2) * batch["noise"]
        pixels = ops.numpy(objective.network.decode(ops.asarray(latents)))
    error = np.square(pixels - batch["pixels"]).mean()
    kl = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).mean()
    assert float(shown["squared_error"]) == pytest.approx(error, rel=1e-4)
    assert float(loss) == pytest.approx(error + 0.5 * kl, rel=1e-4)


def test_fresh_latents_are_nearly_certain(source: Source) -> None:
    objective = CONFIG.build(source, None)
    with autograd.no_grad():
        _, logvar = objective.network.encode(ops.zeros((1, 3, 16, 16)))
    assert ops.numpy(logvar).mean() == pytest.approx(-6, abs=0.5)


def test_a_frozen_encoder(source: Source) -> None:
    network = networks.tiny("autoencoder")
    objective = AutoencoderObjective(replace(CONFIG, encoder=False), source, network)
    trained = [n for n in nn.named_parameters(objective) if objective.trained(n)]
    assert trained
    assert all(name.startswith("network.decoder.") for name in trained)
    assert objective.finish().config == network.config


def test_the_written_statistics_normalise_the_latents(source: Source) -> None:
    network = AutoencoderObjective(CONFIG, source, networks.tiny("autoencoder")).finish()
    images = [source.images.sample(i).image for i in range(IMAGES)]
    pixels = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    with autograd.no_grad():
        latents = ops.numpy(network.normalize(network.encode(ops.asarray(pixels))[0]))
    np.testing.assert_allclose(latents.mean((0, 2, 3)), 0, atol=1e-3)
    np.testing.assert_allclose(latents.std((0, 2, 3)), 1, atol=1e-3)


def test_a_crop_must_fit_the_latents() -> None:
    with pytest.raises(ValueError, match="crop=20 must be a multiple of 8"):
        replace(CONFIG, crop=20)
