"""Packed checkpoints and layers that stay on disk, against the same weights held plainly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import all_tiny

from moyin.backend import autograd, io, nn, ops
from moyin.checkpoint import packed, shards
from moyin.checkpoint.export import export
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.lazy_tensor import LazyEmbedding, LazyLinear
from moyin.checkpoint.load import Loading
from moyin.checkpoint.save import save_checkpoint
from moyin.cli.inspect import report
from moyin.models.quantization import BITS, pack, packable, unpack


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "small"
    return save_checkpoint(folder, all_tiny(), dtype="bfloat16", notes={"size": [64, 64]})


@pytest.fixture(scope="module", params=["int8", "int4"])
def both(
    request: pytest.FixtureRequest, plain: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    kind = request.param
    return kind, export(Checkpoint.open(plain), tmp_path_factory.mktemp("packed") / kind, kind)


def layers(network: Any) -> dict[str, Any]:
    """The packed layers by name, as what they multiply the unit vectors into."""
    found = {}
    for name in packable(all_tiny()["generator" if hasattr(network, "head") else "decoder"]):
        layer = nn.submodule(network, name)
        assert isinstance(layer, nn.PackedLinear)
        with autograd.no_grad():
            seen = layer(ops.asarray(np.eye(layer.inputs, dtype=np.float32)))
        found[name] = ops.numpy(seen)
    return found


@pytest.mark.parametrize("network", ["generator", "decoder"])
def test_packed_while_read_or_before(network: str, plain: Path, both: tuple[str, Path]) -> None:
    """The same integers either way, and those that `pack` gives."""
    kind, folder = both
    early = Checkpoint.open(folder, Loading(dtype="float32")).network(network)
    late = Checkpoint.open(plain, Loading(dtype="float32", quantization=kind)).network(network)
    whole = Checkpoint.open(plain).whole(network, "float32")
    first, second = layers(early), layers(late)
    assert first.keys() == second.keys() == set(packable(whole))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
        layer = nn.submodule(whole, name)
        expected = ops.numpy(unpack(pack(layer.weight, BITS[kind]))).T
        if layer.bias is not None:
            expected = expected + ops.numpy(layer.bias)
        np.testing.assert_allclose(first[name], expected, atol=1e-6)
    rest = nn.named_parameters(late)
    for name, parameter in nn.named_parameters(whole).items():
        if name.rpartition(".")[0] not in first:
            np.testing.assert_array_equal(ops.numpy(rest[name]), ops.numpy(parameter))


def test_the_folder_says_what_it_is(both: tuple[str, Path]) -> None:
    kind, folder = both
    assert Checkpoint.open(folder).packed == kind
    for place in ("transformer", "vision_language_encoder"):
        config = json.loads((folder / place / "config.json").read_text())
        assert config["quantization_config"]["bits"] == BITS[kind]
        assert config["quantization_config"]["quant_method"] == "moyin"


def test_what_is_packed_stays_as_it_is(both: tuple[str, Path], tmp_path: Path) -> None:
    kind, folder = both
    other = "int4" if kind == "int8" else "int8"
    opened = Checkpoint.open(folder, Loading(quantization=other))
    with pytest.raises(ValueError, match=f"are {kind} already"):
        opened.network("generator")
    with pytest.raises(ValueError, match="cannot be trained"):
        Checkpoint.open(folder).whole("decoder")
    with pytest.raises(ValueError, match="already"):
        export(Checkpoint.open(folder), tmp_path / "x", kind)
    with pytest.raises(ValueError, match="int8 or int4"):
        Loading(quantization="int3")
    assert not (tmp_path / "x").exists()


def test_a_folder_that_is_there_is_kept(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="exists already"):
        export(Checkpoint.open(plain), tmp_path / "mine", "int8")


def test_what_does_not_fit_its_config_is_not_packed(plain: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(plain, tmp_path / "x"))
    file = next((folder / "transformer").glob("*.safetensors"))
    tensors = io.load(file)
    tensors["proj_out.bias"] = tensors["proj_out.bias"][:-1]
    io.save(file, tensors)
    with pytest.raises(ValueError, match=r"x/transformer does not hold .*proj_out\.bias \[63\]"):
        export(Checkpoint.open(folder), tmp_path / "packed", "int8")
    assert not (tmp_path / "packed").exists()


def test_inspect_says_that_it_is_packed(plain: Path, both: tuple[str, Path]) -> None:
    kind, folder = both
    assert f"quantized    {kind} (generator and decoder)" in report(folder)
    assert not any(line.startswith("quantized") for line in report(plain))


def test_scales_that_are_missing(both: tuple[str, Path]) -> None:
    kind, folder = both
    entries = shards.read_folder(folder / "transformer")
    layer = next(n for n in entries if n.endswith(f"weight_{kind}")).rpartition(".")[0]
    some = {n: e for n, e in entries.items() if n != f"{layer}.weight_scale"}
    with pytest.raises(ValueError, match=r"weight_scale is missing"):
        packed.read(some, layer, kind)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layers_that_stay_on_disk(plain: Path, dtype: str, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "x", {}, base=Checkpoint.open(plain), dtype=dtype)
    ids = np.array([[3, 0, 17], [17, 17, 2]])
    for network, name in (("generator", "embedding"), ("decoder", "prior_embedding")):
        kept = nn.submodule(Checkpoint.open(folder).network(network), name)
        stored = nn.submodule(Checkpoint.open(folder, Loading(lazy=True)).network(network), name)
        assert isinstance(stored, LazyEmbedding)
        found = ops.numpy(stored(ops.asarray(ids)))
        expected = ops.numpy(ops.cast(kept(ops.asarray(ids)), ops.float32))
        np.testing.assert_array_equal(found, expected)
    opened = Checkpoint.open(folder, Loading(lazy=True)).network("decoder")
    x = ops.asarray(np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32))
    with autograd.no_grad():
        for name in ("out_modulation", "blocks.1.modulation"):
            kept = nn.submodule(Checkpoint.open(folder).network("decoder"), name)
            stored = nn.submodule(opened, name)
            assert isinstance(stored, LazyLinear) == name.endswith(".modulation")
            np.testing.assert_array_equal(ops.numpy(stored(x)), ops.numpy(kept(x)))
