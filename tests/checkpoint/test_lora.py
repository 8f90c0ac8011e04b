"""LoRA files of PEFT and diffusers, put onto our networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from generating import generated

from moyin.backend import NAME, autograd, io, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.lora import Lora
from moyin.inference.pipeline import GlmImagePipeline

QUERY = "transformer_blocks.0.attn1.to_q"


def pair(rank: int = 2, inputs: int = 8, outputs: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "lora_A": rng.standard_normal((rank, inputs)).astype(np.float32),
        "lora_B": rng.standard_normal((outputs, rank)).astype(np.float32),
    }


def save(
    path: Path, layers: dict[str, dict[str, np.ndarray]], metadata: dict[str, str] | None = None
) -> Path:
    tensors = {
        f"{layer}.{part}.weight": ops.asarray(x)
        for layer, p in layers.items()
        for part, x in p.items()
    }
    io.save(path, tensors, metadata)
    return path


def decoder() -> Any:
    return networks.tiny("decoder")


def dim() -> int:
    return int(networks.CONFIGS["decoder"].dim)


@pytest.mark.parametrize("merge", [False, True])
def test_a_layer_by_hand(tmp_path: Path, merge: bool) -> None:
    """diffusers' names and header; alpha 8 over rank 2, half of it: W + 2·B·A."""
    d, x = dim(), np.random.default_rng(1).standard_normal((3, dim())).astype(np.float32)
    parts = pair(2, d, d)
    settings = {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": 8})}
    file = save(tmp_path / "a.safetensors", {f"transformer.{QUERY}": parts}, settings)
    network = decoder()
    layer = nn.submodule(network, "blocks.0.attention.q")
    expected = x @ (ops.numpy(layer.weight) + 2 * parts["lora_B"] @ parts["lora_A"]).T
    expected += ops.numpy(layer.bias)
    Lora.open(file).apply("decoder", network, 0.5, merge)
    with autograd.no_grad():
        found = ops.numpy(nn.submodule(network, "blocks.0.attention.q")(ops.asarray(x)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("merge", [False, True])
def test_several_add_up(tmp_path: Path, merge: bool) -> None:
    d, x = dim(), np.ones((1, dim()), np.float32)
    files = [
        save(tmp_path / f"{i}.safetensors", {QUERY: pair(i + 1, d, d, seed=i)}) for i in range(2)
    ]
    network = decoder()
    with autograd.no_grad():
        plain = ops.numpy(nn.submodule(network, "blocks.0.attention.q")(ops.asarray(x)))
        for file, weight in zip(files, (1.0, -0.25), strict=True):
            Lora.open(file).apply("decoder", network, weight, merge)
        found = ops.numpy(nn.submodule(network, "blocks.0.attention.q")(ops.asarray(x)))
    parts = [pair(i + 1, d, d, seed=i) for i in range(2)]
    added = sum(
        w * x @ (p["lora_B"] @ p["lora_A"]).T for w, p in zip((1.0, -0.25), parts, strict=True)
    )
    np.testing.assert_allclose(found, plain + added, rtol=1e-4, atol=1e-4)


def test_peft_settings(tmp_path: Path) -> None:
    """A folder with adapter_config.json; alpha by pattern, and over the root of the rank."""
    d = dim()
    layers = {
        f"base_model.model.{QUERY}": pair(4, d, d),
        QUERY.replace("to_q", "to_k"): pair(4, d, d),
    }
    save(tmp_path / "adapter_model.safetensors", layers)
    settings = {"r": 4, "lora_alpha": 6, "use_rslora": True, "alpha_pattern": {"to_k": 10}}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    pairs = Lora.open(tmp_path).pairs["decoder"]
    assert pairs["blocks.0.attention.q"].scale == 3
    assert pairs["blocks.0.attention.k"].scale == 5


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lora_alpha": "abc"}, "lora_alpha must be a number, not 'abc'"),
        ({"lora_alpha": float("nan")}, "lora_alpha must be a number, not nan"),
        ({"alpha_pattern": {"to_k": [1]}}, r"alpha_pattern\.to_k must be a number, not \[1\]"),
        ({"alpha_pattern": 3}, "alpha_pattern must be an object of numbers, not 3"),
    ],
)
def test_settings_that_are_no_numbers(tmp_path: Path, settings: Any, told: str) -> None:
    file = save(tmp_path / "adapter_model.safetensors", {QUERY: pair()})
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=rf"{tmp_path}/adapter_config\.json: {told}$"):
        Lora.open(tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    save(file, {QUERY: pair()}, {"lora_adapter_metadata": json.dumps(settings)})
    with pytest.raises(ValueError, match=rf"{file}: {told}$"):
        Lora.open(tmp_path)
    save(file, {QUERY: pair()}, {"lora_adapter_metadata": "{"})
    with pytest.raises(ValueError, match=rf"{file}: .* is no JSON object$"):
        Lora.open(tmp_path)


def test_the_digest_sees_what_scales(tmp_path: Path) -> None:
    save(tmp_path / "adapter_model.safetensors", {QUERY: pair()})
    digests = [Lora.open(tmp_path).digest()]
    for settings in (
        {"lora_alpha": 8},
        {"lora_alpha": 8, "use_rslora": True},
        {"lora_alpha": 8, "alpha_pattern": {"to_q": 3}},
    ):
        (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
        digests.append(Lora.open(tmp_path).digest())
    assert len(set(digests)) == 4


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's where the file has the name that all have."""
    for place, name in (
        ("posters/adapter_model.safetensors", "posters"),
        ("runs/menus/lora/pytorch_lora_weights.safetensors", "menus"),
        ("seals.safetensors", "seals.safetensors"),
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        assert Lora.open(save(tmp_path / place, {QUERY: pair()})).name == name
    monkeypatch.chdir(tmp_path / "posters")
    assert Lora.open(".").name == "posters"


def test_alpha_as_a_tensor(tmp_path: Path) -> None:
    tensors = {
        "transformer.transformer_blocks.0.ff.net.2.lora.down.weight": ops.ones((4, 8)),
        "transformer.transformer_blocks.0.ff.net.2.lora.up.weight": ops.ones((8, 4)),
        "transformer.transformer_blocks.0.ff.net.2.alpha": ops.asarray(np.float32(2)),
    }
    io.save(tmp_path / "x.safetensors", tensors)
    assert Lora.open(tmp_path / "x.safetensors").pairs["decoder"]["blocks.0.mlp.down"].scale == 0.5


def test_generator_layers(tmp_path: Path) -> None:
    layer = "base_model.model.model.language_model.layers.1.mlp.gate_up_proj"
    file = save(tmp_path / "g.safetensors", {layer: pair()})
    assert list(Lora.open(file).pairs) == ["generator"]
    assert list(Lora.open(file).pairs["generator"]) == ["layers.1.mlp.gate_up"]


def test_another_models_lora_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path / "u.safetensors", {"unet.down_blocks.0.attn.to_q": pair()})
    with pytest.raises(ValueError, match=r"no LoRA for this model: unet\.down_blocks"):
        Lora.open(file)
    file = save(tmp_path / "w.safetensors", {QUERY: pair(2, dim() + 1, dim())})
    with pytest.raises(ValueError, match=r"for another decoder: blocks\.0\.attention\.q is"):
        Lora.open(file).apply("decoder", decoder())
    for layer, told in (
        ("transformer_blocks.99.attn1.to_q", "blocks.99.attention.q is not there"),
        ("prior_token_embedding", "prior_embedding is no linear layer"),
    ):
        file = save(tmp_path / "l.safetensors", {layer: pair(2, dim(), dim())})
        with pytest.raises(ValueError, match=told):
            Lora.open(file).apply("decoder", decoder())
    half = {QUERY: {"lora_A": pair()["lora_A"]}}
    with pytest.raises(ValueError, match="half of decoder"):
        Lora.open(save(tmp_path / "h.safetensors", half))


def test_another_models_lora_is_told_before_anything_is_drawn(
    tmp_path: Path, small_checkpoint: Path
) -> None:
    file = save(tmp_path / "w.safetensors", {QUERY: pair(2, dim() + 1, dim())})
    with pytest.raises(ValueError, match=r"for another decoder: blocks\.0\.attention\.q is"):
        GlmImagePipeline.from_pretrained(small_checkpoint).load_lora_weights(file)


def test_no_lora(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no LoRA at"):
        Lora.open(tmp_path)
    (tmp_path / "t.safetensors").write_text("text")
    with pytest.raises(ValueError, match="no safetensors file"):
        Lora.open(tmp_path / "t.safetensors")


def test_images_and_digest(tmp_path: Path, small_checkpoint: Path) -> None:
    d = dim()
    file = save(tmp_path / "a.safetensors", {QUERY: pair(2, d, d)})
    plain = GlmImagePipeline.from_pretrained(small_checkpoint, dtype="float32")
    beside, merged = (
        GlmImagePipeline.from_pretrained(small_checkpoint, dtype="float32") for _ in range(2)
    )
    beside.load_lora_weights(file, 0.5)
    merged.load_lora_weights(file, 0.5, merge=True)
    images = [generated(p, "“春”", seed=1)[0] for p in (plain, beside, merged)]
    assert (images[0].pixels != images[1].pixels).any()
    np.testing.assert_allclose(images[1].pixels, images[2].pixels.astype(float), atol=1)
    assert images[1].metadata["loras"] == "a.safetensors=0.5"
    assert plain.digest != beside.digest == merged.digest


@pytest.mark.skipif(NAME != "torch", reason="the reference runs on torch")
class TestPeft:
    def test_their_decoder_with_an_adapter(self, tmp_path: Path) -> None:
        """Trained by nobody, but saved by diffusers and PEFT: the same velocity."""
        diffusers, peft = pytest.importorskip("diffusers"), pytest.importorskip("peft")
        import torch

        from moyin.checkpoint.key_mapping import Names
        from moyin.checkpoint.names import decoder as names

        ours = decoder()
        config = networks.CONFIGS["decoder"]
        theirs = diffusers.GlmImageTransformer2DModel.from_config(names.to_config(config))
        rename = Names(names.RULES)
        theirs.load_state_dict({rename.theirs(n): p for n, p in nn.named_parameters(ours).items()})
        settings = peft.LoraConfig(
            r=3, lora_alpha=5, target_modules=["to_q", "to_v", "net.2"], init_lora_weights=False
        )
        theirs.add_adapter(settings)
        theirs.save_lora_adapter(tmp_path)
        given = {
            "hidden_states": torch.randn(1, 16, 8, 8),
            "encoder_hidden_states": torch.randn(1, 5, config.glyph_dim),
            "prior_token_id": torch.randint(config.codes, (1, 16)),
            "prior_token_drop": torch.zeros(1, 16, dtype=torch.bool),
            "timestep": torch.tensor([300.0]),
            "target_size": torch.tensor([[64.0, 64.0]]),
            "crop_coords": torch.zeros(1, 2),
        }
        with torch.no_grad():
            expected = theirs(**given)[0]
        Lora.open(tmp_path).apply("decoder", ours)
        with torch.no_grad():
            found = networks.velocity(
                ours,
                latents=given["hidden_states"],
                glyphs=given["encoder_hidden_states"],
                glyph_mask=None,
                tokens=given["prior_token_id"],
                tokens_dropped=torch.zeros(1, dtype=torch.bool),
                timestep=given["timestep"],
                target_size=given["target_size"],
                crop=given["crop_coords"],
            )
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-4)

    @pytest.mark.parametrize("merge", [False, True])
    def test_their_generator_with_adapters(
        self, tmp_path: Path, reference_folder: Path, merge: bool
    ) -> None:
        """One of PEFT's on transformers' model, and two of different layers, ranks and scales with
        weights: the same logits."""
        peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
        folder = reference_folder / "vision_language_encoder"
        model = transformers.GlmImageForConditionalGeneration.from_pretrained(folder)
        everywhere = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"]
        first = peft.LoraConfig(
            r=3, lora_alpha=5, target_modules=everywhere, init_lora_weights=False
        )
        second = peft.LoraConfig(
            r=4,
            lora_alpha=3,
            use_rslora=True,
            target_modules=["q_proj", "gate_up_proj", "lm_head"],
            init_lora_weights=False,
        )
        theirs = peft.get_peft_model(model, first, adapter_name="first")
        theirs.add_adapter("second", second)
        theirs.add_weighted_adapter(["first", "second"], [0.5, -1.5], "both", "cat")
        theirs.save_pretrained(tmp_path, selected_adapters=["first", "second"])
        rng = np.random.default_rng(0)
        ids = ops.asarray(rng.integers(0, 400, (2, 24)))
        positions = ops.asarray(rng.integers(0, 40, (3, 2, 24)))

        def compare(name: str, weights: dict[str, float]) -> np.ndarray:
            theirs.set_adapter(name)
            network = Checkpoint.open(reference_folder).network("generator")
            for adapter, weight in weights.items():
                Lora.open(tmp_path / adapter).apply("generator", network, weight, merge)
            with autograd.no_grad():
                mask = ops.ones((2, 24), ops.int64)
                given = {"input_ids": ids, "position_ids": positions, "attention_mask": mask}
                expected = ops.numpy(theirs(**given).logits)
                np.testing.assert_allclose(ops.numpy(network(ids, positions)), expected, atol=1e-4)
            return expected

        one = compare("first", {"first": 1.0})
        both = compare("both", {"first": 0.5, "second": -1.5})
        assert np.abs(one - both).max() > 0.1
