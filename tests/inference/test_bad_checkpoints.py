"""Broken checkpoints, told before anything is drawn, and LoRAs for other models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generating import generated

from moyin.backend import NAME, io, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.inference.pipeline import GlmImagePipeline

pytestmark = pytest.mark.skipif(NAME != "torch", reason="the reference libraries run on PyTorch")

FOLDERS = ["vision_language_encoder", "transformer", "text_encoder", "vae"]


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Theirs in shards, as save_pretrained cuts them."""
    pytest.importorskip("diffusers")
    import reference

    folder = tmp_path_factory.mktemp("sharded") / "small"
    reference.build().save_pretrained(folder, max_shard_size=20_000)
    return folder


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_their_shards_hold_the_same(sharded: Path, reference_folder: Path) -> None:
    for folder in FOLDERS:
        assert len(shards(sharded / folder)) > 1
    assert Checkpoint.open(sharded).digest() == Checkpoint.open(reference_folder).digest()
    pipeline = GlmImagePipeline.from_pretrained(sharded, dtype="float32")
    settings = replace(pipeline.defaults, height=64, width=64, steps=1, preview=False)
    assert generated(pipeline, "“春”", settings)[0].pixels.shape == (64, 64, 3)


def load(pipeline: GlmImagePipeline) -> None:
    assert pipeline.generator
    assert pipeline.decoder


def missing(folder: Path) -> str:
    file = shards(folder)[1]
    file.unlink()
    return rf"the shard .*{file.name} is missing: fetch it again"


def truncated(folder: Path) -> str:
    file = shards(folder)[1]
    file.write_bytes(file.read_bytes()[:-100])
    return rf"{file.name} has \d+ bytes where its header says \d+: fetch it again"


def lying(folder: Path) -> str:
    """Two tensors change places in the index."""
    index = next(folder.glob("*.index.json"))
    told = json.loads(index.read_text())
    names = {place: name for name, place in told["weight_map"].items()}
    (one, a), (other, b), *_ = sorted(names.items())
    told["weight_map"] |= {a: other, b: one}
    index.write_text(json.dumps(told))
    return rf"{index.name} does not say what the shards hold \(.*{a}.*fetch the checkpoint again$"


@pytest.mark.parametrize("damage", [missing, truncated, lying], ids=lambda d: d.__name__)
@pytest.mark.parametrize("folder", FOLDERS)
def test_damage_is_named(
    sharded: Path, tmp_path: Path, folder: str, damage: Callable[[Path], str]
) -> None:
    copy = Path(shutil.copytree(sharded, tmp_path / "copy"))
    told = damage(copy / folder)
    with pytest.raises(ValueError, match=told) as e:
        GlmImagePipeline.from_pretrained(copy, dtype="float32")
    assert folder in str(e.value)
    assert "\n" not in str(e.value)


def test_no_weights_at_all(sharded: Path, tmp_path: Path) -> None:
    shutil.copy(sharded / "model_index.json", tmp_path)
    with pytest.raises(ValueError, match="holds no weights: fetch the checkpoint again"):
        GlmImagePipeline.from_pretrained(tmp_path, dtype="float32")


@pytest.mark.parametrize(
    ("layer", "shape", "told"),
    [
        ("unet.down_blocks.0.attn.to_q", (8, 8), "is no LoRA for this model: unet"),
        ("transformer.transformer_blocks.0.attn1.to_q", (8, 8), "is a LoRA for another decoder"),
        (
            "base_model.model.model.language_model.layers.7.mlp.down_proj",
            (32, 48),
            r"another generator: layers\.7\.mlp\.down is not there",
        ),
    ],
)
def test_lora_for_another_model(
    reference_folder: Path, tmp_path: Path, layer: str, shape: tuple[int, int], told: str
) -> None:
    outputs, inputs = shape
    tensors = {
        f"{layer}.lora_A.weight": ops.asarray(np.ones((2, inputs), np.float32)),
        f"{layer}.lora_B.weight": ops.asarray(np.ones((outputs, 2), np.float32)),
    }
    file = tmp_path / "strange.safetensors"
    io.save(file, tensors)
    pipeline = GlmImagePipeline.from_pretrained(reference_folder, dtype="float32")
    with pytest.raises(ValueError, match=told) as e:
        pipeline.load_lora_weights(file)
    assert str(file) in str(e.value)
