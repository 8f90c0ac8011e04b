"""Adapters that the trainer makes, read back by the pipeline, by diffusers and by PEFT."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
import stages
from PIL import Image

from moyin.backend import NAME, autograd, device, io, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.lora import Lora as LoraFile
from moyin.cli.app import main
from moyin.train import Lora, Trainer, Training, run

Make = Callable[..., Training]
LAYERS = {
    "decoder": ("q", "k", "v", "out", "up", "down"),
    "generator": ("q", "k", "v", "out", "gate_up", "down"),
}


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "peak_flops", lambda dtype: 1e11)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (96, 96), (80 * i, 40, 200)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f'a card that says "{i}"')
    return folder


def trained(make: Make, stage: str, **changes: Any) -> tuple[Trainer, Path]:
    lora = Lora(rank=3, alpha=6, layers=LAYERS[stage])
    trainer = Trainer(make(stage, lora=lora, **changes))
    return trainer, trainer.run()


@pytest.mark.parametrize("stage", LAYERS)
def test_only_the_adapters_learn(stage: str, make: Make, small_checkpoint: Path) -> None:
    trainer, folder = trained(make, stage)
    assert folder.name == "lora"
    assert all(".adapters." in name for name in trainer.parameters)
    stored = nn.named_parameters(Checkpoint.open(small_checkpoint).network(stage))
    for name, parameter in nn.named_parameters(trainer.objective.network).items():
        if ".adapters." in name:
            assert np.abs(ops.numpy(parameter)).max() > 0, name
        else:
            plain = stored[name.replace(".base.", ".")]
            assert (ops.numpy(parameter) == ops.numpy(plain)).all(), name


@pytest.mark.parametrize("stage", LAYERS)
def test_what_is_written_is_what_was_trained(
    stage: str, make: Make, small_checkpoint: Path
) -> None:
    """The checkpoint's network with the file on it has the trained network's loss, to rounding."""
    trainer, folder = trained(make, stage)
    batch = {n: ops.asarray(x) for n, x in trainer._batch(0).items()}
    network = Checkpoint.open(small_checkpoint).network(stage)
    losses = []
    for adapted in (True, False):
        if not adapted:
            trainer.objective.network = network
        with autograd.no_grad():
            losses.append(float(ops.numpy(trainer.objective.loss(batch, ops.float32)[0])))
    plain = losses[1]
    LoraFile.open(folder).apply(stage, network)
    with autograd.no_grad():
        again = float(ops.numpy(trainer.objective.loss(batch, ops.float32)[0]))
    assert again == pytest.approx(losses[0], rel=1e-5)
    assert abs(plain - losses[0]) > 1e-4


def test_two_halves_equal_the_whole(make: Make) -> None:
    lora = Lora(rank=2)
    whole = run(make("decoder", "whole", lora=lora))
    run(make("decoder", "halves", lora=lora), until=2)
    halves = run(make("decoder", "halves", lora=lora))
    one, two = (io.load(folder / "pytorch_lora_weights.safetensors") for folder in (whole, halves))
    assert one.keys() == two.keys()
    assert all((ops.numpy(one[n]) == ops.numpy(two[n])).all() for n in one)


def test_a_folder_of_images_in_one_command(
    images: Path, small_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "lora/decoder", f"checkpoint={small_checkpoint}"]
    command += [f"out={tmp_path / 'out'}", "steps=2", "lora.rank=2", "threads=1"]
    assert main([*command, f"data={images}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "out" / "lora")
    drawn = ["generate", 'a card that says "1"', "--checkpoint", str(small_checkpoint)]
    drawn += ["--lora", str(tmp_path / "out" / "lora"), "--out", str(tmp_path / "a.png")]
    assert main(drawn) == 0
    assert main([*command, f"data={tmp_path}"]) == 2
    assert "a.png has no caption" in capsys.readouterr().err


def test_fine_tuning_takes_the_same_folder(
    images: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    command = ["train", "sft/generator", f"data={images}", f"checkpoint={small_checkpoint}"]
    assert main([*command, f"out={tmp_path / 'out'}", "steps=2", "batch=1", "threads=1"]) == 0
    assert Checkpoint.open(tmp_path / "out" / "weights").has("decoder")


def test_a_decoder_goes_on_at_the_times_that_it_knows(
    make: Make, small_checkpoint: Path, tmp_path: Path
) -> None:
    place = shutil.copytree(small_checkpoint, tmp_path / "near-noise")
    known = {"decoder": {"configuration": {"objective.time_mean": 2.5}}}
    (place / "moyin.json").write_text(json.dumps({"training": known}))
    tuned = Trainer(make("decoder", checkpoint=str(place), fine_tune=True, steps=1))
    assert tuned.objective.times == (2.5, 1.0)
    noted = Checkpoint.open(tuned.run()).notes["training"]["decoder"]["configuration"]
    assert noted["objective.time_mean"] == 2.5  # what is tuned once more knows it too
    adapted = make("decoder", checkpoint=str(place), lora=Lora())
    assert Trainer(adapted).objective.times == (2.5, 1.0)
    # What is named comes first, and fresh weights know nothing.
    named = replace(adapted, objective=small("decoder", time_mean=0.5, time_std=2.0))
    assert Trainer(named).objective.times == (0.5, 2.0)
    assert Trainer(make("decoder", checkpoint=str(place))).objective.times == (0.0, 1.0)


def small(stage: str, **changes: Any) -> Any:
    return replace(stages.OBJECTIVES[stage], **changes)


def test_faults_are_named(make: Make) -> None:
    with pytest.raises(ValueError, match=r"no layer is called query: there are .*'q'"):
        Trainer(make("decoder", lora=Lora(layers=("query",))))
    with pytest.raises(ValueError, match="a LoRA is for decoder or generator"):
        Trainer(make("semantic", lora=Lora()))
    with pytest.raises(ValueError, match="rank=0"):
        Lora(rank=0)


@pytest.mark.skipif(NAME != "torch", reason="the reference libraries run on torch")
def test_diffusers_opens_the_decoders(make: Make) -> None:
    """The same velocity from diffusers' network with the file loaded by diffusers."""
    diffusers = pytest.importorskip("diffusers")
    pytest.importorskip("peft")
    import torch

    from moyin.checkpoint.key_mapping import Names
    from moyin.checkpoint.names import decoder as names

    trainer, folder = trained(make, "decoder")
    network, config = trainer.objective.network, networks.CONFIGS["decoder"]
    theirs = diffusers.GlmImageTransformer2DModel.from_config(names.to_config(config))
    rename, plain = Names(names.RULES), nn.named_parameters(network)
    base = {n.replace(".base.", "."): p for n, p in plain.items() if ".adapters." not in n}
    theirs.load_state_dict({rename.theirs(n): p for n, p in base.items()})
    latents, glyphs = torch.randn(1, 16, 8, 8), torch.randn(1, 5, config.glyph_dim)
    prior, size = torch.randint(config.codes, (1, 16)), torch.tensor([[64.0, 64.0]])
    time, corner = torch.tensor([300.0]), torch.zeros(1, 2)

    def said() -> Any:
        shown = {"prior_token_id": prior, "prior_token_drop": torch.zeros(1, 16, dtype=torch.bool)}
        with torch.no_grad():
            return theirs(
                hidden_states=latents,
                encoder_hidden_states=glyphs,
                timestep=time,
                target_size=size,
                crop_coords=corner,
                **shown,
            )[0]

    before = said()
    theirs.load_lora_adapter(folder, weight_name="pytorch_lora_weights.safetensors")
    with torch.no_grad():
        ours = networks.velocity(
            network,
            latents,
            time,
            size,
            corner,
            glyphs=glyphs,
            tokens=prior,
            tokens_dropped=torch.zeros(1).bool(),
        )
    np.testing.assert_allclose(said(), ours, atol=1e-4)
    assert (said() - before).abs().max() > 1e-3


@pytest.mark.skipif(NAME != "torch", reason="the reference libraries run on torch")
def test_peft_opens_the_generators(make: Make, small_checkpoint: Path) -> None:
    """PEFT finds every layer in transformers' own model and leaves no tensor over."""
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    _, folder = trained(make, "generator")
    model = transformers.GlmImageForConditionalGeneration.from_pretrained(
        small_checkpoint / "vision_language_encoder"
    )
    loaded = peft.get_peft_model_state_dict(peft.PeftModel.from_pretrained(model, folder))
    ours = io.load(folder / "adapter_model.safetensors")
    assert loaded.keys() == ours.keys()
    assert all((loaded[n] == x).all() for n, x in ours.items())
