from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import pytest

from moyin.backend import ops
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.save import save_checkpoint
from moyin.dataset import tokens
from moyin.dataset.concat import ConcatDataset
from moyin.dataset.dataset import Dataset
from moyin.dataset.sample import Sample
from moyin.inference.encode_image import encode_tokens
from moyin.nano.codebook_layout import CodebookLayout
from moyin.prompt.grid import Grid
from moyin.train import columns
from moyin.train.objectives.base import Source


def checkpoint(folder: Path, seed: int) -> Checkpoint:
    some = {name: networks.tiny(name, seed) for name in ("autoencoder", "semantic")}
    return Checkpoint.open(save_checkpoint(folder, some, dtype="float32"))


@pytest.fixture
def source(own_dataset: Path, tmp_path: Path) -> Source:
    return Source(Dataset.open(own_dataset), checkpoint(tmp_path / "checkpoint", 3))


def test_columns_are_what_the_networks_say(source: Source) -> None:
    columns.semantic_columns(source)
    columns.latent_column(source, ops.float32)
    rows = source.images.read(["image", "tokens", "preview_tokens", "latents"], [0, 7])
    images = [row["image"] for row in rows]
    ids = encode_tokens(source.network("semantic"), images)
    pixels = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    autoencoder = source.network("autoencoder")
    latents = autoencoder.normalize(autoencoder.encode(ops.asarray(pixels))[0])
    for i, row in enumerate(rows):
        assert (row["tokens"] == ids[i]).all()
        assert (row["preview_tokens"] == ids[i]).all()  # of 512x512 the preview is the image
        np.testing.assert_allclose(row["latents"], ops.numpy(latents)[i], rtol=1e-2, atol=1e-2)
    assert len(np.unique(ids)) > 5


def test_a_preview_is_made_of_a_larger_image() -> None:
    image = np.zeros((1024, 512, 3), np.uint8)
    image[:, 256:] = 200
    small = tokens.preview_image(image)
    assert small.shape == (22 * 32, 11 * 32, 3)
    assert abs(int(small[300, -9, 0]) - 200) < 3


def test_a_stale_column_is_refused_by_name(source: Source, tmp_path: Path) -> None:
    columns.semantic_columns(source)
    columns.semantic_columns(source)  # the same network: nothing to do
    other = Source(source.dataset, checkpoint(tmp_path / "other", 4))
    with pytest.raises(ValueError, match=r"column 'tokens' of .* is stale"):
        columns.semantic_columns(other)


def test_the_digest_knows_weights_and_configuration() -> None:
    one = tokens.digest(networks.tiny("semantic", 0))
    assert one == tokens.digest(networks.tiny("semantic", 0))
    assert one != tokens.digest(networks.tiny("semantic", 1))


def test_a_layout_stands_for_the_tokenizer(source: Source) -> None:
    layout = CodebookLayout(sides=(64,), levels=2)
    columns.semantic_columns(source, layout)
    for number in (0, 5):
        row = source.images.read(["tokens", "preview_tokens"], [number])[0]
        wanted = layout.ids(source.images.sample(number))
        assert (row["tokens"] == wanted).all()
        assert (row["preview_tokens"] == wanted).all()
    with pytest.raises(ValueError, match=r"column 'tokens' of .* is stale"):
        columns.semantic_columns(source)


def test_images_of_two_sizes(source: Source, tmp_path: Path) -> None:
    sizes = [(512, 544), (544, 512), (544, 512)]
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    dataset = Dataset.create(tmp_path / "sizes", {}, seed=0, count=3, digest="maker")
    dataset.append(Sample(p, (), (), {}, (), 0, i) for i, p in enumerate(images))
    dataset.add_column("bucket", "maker", [f"{w}x{h}" for h, w in sizes], "text")
    mixed = Source(ConcatDataset([dataset]), source.checkpoint)
    columns.semantic_columns(mixed)
    columns.latent_column(mixed, ops.float32)
    rows = dataset.read(["tokens", "preview_tokens", "latents"], range(3))
    network = source.network("semantic")
    for row, image in zip(rows, images, strict=True):
        height, width, _ = image.shape
        assert row["tokens"].shape == (height // 32, width // 32)
        assert (row["tokens"] == encode_tokens(network, [image])[0]).all()
        wanted = Grid(height // 32, width // 32).preview()
        assert row["preview_tokens"].shape == (wanted.rows, wanted.columns) != row["tokens"].shape
        assert row["latents"].shape[1:] == (height // 8, width // 8)


def test_an_image_that_the_tokenizer_enlarges_is_refused(source: Source, tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "low", {}, seed=0, count=1, digest="maker")
    dataset.append([Sample(np.zeros((384, 640, 3), np.uint8), (), (), {}, (), 0, 0)])
    with pytest.raises(
        ValueError, match=r"640x384 has 16 rows of \d+ tokens: sides of at least 512"
    ):
        columns.semantic_columns(Source(dataset, source.checkpoint))


def test_datasets_without_edits_are_told(source: Source, pairs: Path) -> None:
    columns.check_edits(Source(ConcatDataset.open(f"{source.images.path},{pairs}"), None))
    with pytest.raises(ValueError, match=r"edit_probability: .* holds no edits; add a dataset"):
        columns.check_edits(source)
