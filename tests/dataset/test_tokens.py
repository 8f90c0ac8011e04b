from __future__ import annotations

import dataclasses
from pathlib import Path

import networks
import pytest

from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.save import save_checkpoint
from moyin.cli.app import main
from moyin.data.preparation import Preparation, prepare
from moyin.data.prepare import prepared
from moyin.dataset import dataset as datasets
from moyin.dataset import tokens
from moyin.dataset.dataset import Dataset
from moyin.dataset.tokenize import Tokenize
from moyin.inference.encode_image import encode_tokens
from moyin.render.renderer import Renderer

RENDERER = Renderer.Config(fonts=("NotoSansSC-Bold",), characters=100, max_lines=1)


def checkpoint(folder: Path, seed: int, *names: str) -> str:
    some = {name: networks.tiny(name, seed) for name in names or ("autoencoder", "semantic")}
    return str(save_checkpoint(folder, some, dtype="float32"))


@pytest.fixture
def recipe(tmp_path: Path) -> Preparation:
    made = Tokenize(columns=("tokens", "latents"), checkpoint=checkpoint(tmp_path / "networks", 3))
    return Preparation(count=5, renderer=RENDERER, workers=1, tokenize=made)


def test_one_command_filters_and_tokenizes(tmp_path: Path) -> None:
    place, out = checkpoint(tmp_path / "networks", 3), tmp_path / "dataset"
    small = [
        "inputs=",
        "count=2",
        "workers=1",
        "tokenize.columns=tokens",
        f"tokenize.checkpoint={place}",
    ]
    assert main(["prepare", "smoke/data", "--out", str(out), *small]) == 0
    dataset = Dataset.open(out)
    rows = dataset.read(["image", "tokens", "preview_tokens"], range(2))
    network = Checkpoint.open(place).whole("semantic", "float32")
    assert {"tokens", "preview_tokens", "source"} < set(dataset.columns)
    assert "latents" not in dataset.columns
    for row in rows:
        assert (row["tokens"] == encode_tokens(network, [row["image"]])[0]).all()
        assert (row["preview_tokens"] == row["tokens"]).all()  # of 512x512 the preview is the image


def test_tokenizing_goes_on_where_it_stopped(
    recipe: Preparation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "SHARD", 2)
    whole = prepared(recipe, tmp_path / "whole")
    seen: list[int] = []

    def stopping(*call: object) -> object:
        seen.append(len(call[1]))  # type: ignore[arg-type]
        if len(seen) == 2:
            raise KeyboardInterrupt
        return encode_tokens(*call)  # type: ignore[arg-type]

    monkeypatch.setattr(tokens, "encode_tokens", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepared(recipe, tmp_path / "cut")
    assert Dataset.open(tmp_path / "cut").rows_of("tokens") == 2
    assert prepared(recipe, tmp_path / "cut").digest() == whole.digest()
    assert seen == [2, 2, 2, 1]


def test_a_finished_dataset_gets_columns_and_another_networks_are_refused_by_name(
    recipe: Preparation, tmp_path: Path
) -> None:
    out = tmp_path / "dataset"
    plain = prepare(recipe, out)
    before = plain.digest()
    assert not {"tokens", "latents"} & set(plain.columns)
    assert set(prepared(recipe, out).columns) > {"tokens", "preview_tokens", "latents"}
    for name in ("tokens", "preview_tokens", "latents"):
        Dataset.open(out).drop_column(name)
    assert Dataset.open(out).digest() == before
    for column, stale in (("tokens", "tokens"), ("latents", "latents")):
        one = dataclasses.replace(recipe.tokenize, columns=(column,))
        prepared(dataclasses.replace(recipe, tokenize=one), out)
        other = Tokenize(columns=(column,), checkpoint=checkpoint(tmp_path / f"other {column}", 4))
        with pytest.raises(ValueError, match=f"column '{stale}' of .* is stale"):
            prepared(dataclasses.replace(recipe, tokenize=other), out)


def test_other_preprocessing_makes_ids_stale(
    recipe: Preparation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = prepared(recipe, tmp_path / "dataset")
    monkeypatch.setattr(tokens, "PREPROCESSING", 99)
    with pytest.raises(ValueError, match=r"column 'tokens' of .* is stale"):
        recipe.tokenize(dataset)


def test_a_checkpoint_without_the_network_is_told_before_any_work(
    recipe: Preparation, tmp_path: Path
) -> None:
    place = checkpoint(tmp_path / "half", 1, "autoencoder")
    lacking = Tokenize(columns=("latents", "tokens"), checkpoint=place)
    with pytest.raises(ValueError, match=r"tokens needs a trained semantic.*tokenize.checkpoint"):
        prepared(dataclasses.replace(recipe, tokenize=lacking), tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()
