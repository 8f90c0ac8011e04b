"""GLM-4-0414 folders, written by transformers, as the start of a generator."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest

from moyin.backend import NAME, autograd, ops
from moyin.checkpoint.glm4 import generator_from, half_split

CONFIG = networks.CONFIGS["generator"]


def test_rows_change_places_by_hand() -> None:
    """Two heads of six channels, of which four turn: pairs (0, 1), (2, 3) become (0, 2), (1, 3)."""
    rows = ops.asarray(np.arange(12, dtype=np.float32))
    found = ops.numpy(half_split(rows, 6, 4)).tolist()
    assert found == [0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """transformers' own, with random weights and biases, and its folder."""
    if NAME != "torch":
        pytest.skip("the reference runs on torch")
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    torch.manual_seed(0)
    config = transformers.Glm4Config(
        vocab_size=networks.TEXT,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        rms_norm_eps=1e-5,
        pad_token_id=0,
    )
    made = transformers.Glm4ForCausalLM(config).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("glm4")
    made.save_pretrained(folder)
    return made, folder


def test_text_reads_as_in_the_language_model(model: tuple[Any, Path]) -> None:
    theirs, folder = model
    ours = generator_from(folder, CONFIG)
    assert (ours.config.layers, ours.config.vocab) == (3, CONFIG.vocab)
    text = np.random.default_rng(0).integers(0, networks.TEXT, (2, 11))
    places = np.tile(np.arange(11), (3, 2, 1))
    with autograd.no_grad():
        expected = theirs.model(ops.asarray(text)).last_hidden_state
        found = ours.states(ops.asarray(text + CONFIG.vision_vocab), ops.asarray(places))
    np.testing.assert_allclose(ops.numpy(found), ops.numpy(expected), atol=2e-5)
    vision = ops.numpy(ours.embedding.weight)[: CONFIG.vision_vocab]
    assert vision.std() == pytest.approx(0.3, rel=0.05)


def test_other_folders_are_refused(model: tuple[Any, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(model[1], tmp_path / "copy")
    with pytest.raises(ValueError, match="has 300 text ids, and the text tokenizer 299"):
        generator_from(folder, replace(CONFIG, vocab=CONFIG.vocab - 1))
    with pytest.raises(ValueError, match="rotary_sections must add up to 2"):
        generator_from(folder, replace(CONFIG, rotary_sections=(1, 1, 1)))
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"num_hidden_layers": 4}))
    with pytest.raises(ValueError, match=r"the folder lacks model\.layers\.3\.input_layernorm"):
        generator_from(folder, CONFIG)
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": "glm"}))
    with pytest.raises(ValueError, match="is no GLM-4-0414: its model_type is glm"):
        generator_from(folder, CONFIG)
