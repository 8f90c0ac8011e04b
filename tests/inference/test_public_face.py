"""The pipeline as a user of diffusers calls it: PIL in and out, lists, callbacks, seeds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import moyin
from moyin import GlmImagePipeline, SemanticTokens
from moyin.backend import NAME

HOME = Path(__file__).parents[2]
TEA, SPRING = 'a red poster that says "TEA"', "一张蓝色海报，写着“春天”"
SMALL: dict[str, Any] = {"width": 96, "height": 64, "num_inference_steps": 3}


@pytest.fixture(scope="module")
def pipe(small_checkpoint: Path) -> GlmImagePipeline:
    return GlmImagePipeline.from_pretrained(small_checkpoint, dtype="float32")


def pixels(image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(image.convert("RGB"))


def test_importing_moyin_imports_no_framework() -> None:
    script = "import sys, moyin; moyin.GenerationConfig(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "mindspore"} & set(run.stdout.split())
    assert {"GlmImagePipeline", "GenerationConfig", "SemanticTokens"} < set(dir(moyin))
    with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
        _ = moyin.Pipelin


def test_pil_images_of_the_size_that_was_asked_for(pipe: GlmImagePipeline) -> None:
    result = pipe(TEA, seed=7, **SMALL)
    assert isinstance(result.images[0], Image.Image)
    assert result.images[0].size == (96, 64)
    (images,) = pipe(TEA, seed=7, return_dict=False, **SMALL)
    assert (pixels(images[0]) == pixels(result.images[0])).all()


def test_numpy_integers_are_numbers(pipe: GlmImagePipeline) -> None:
    plain = pipe(TEA, seed=7, **SMALL).images[0]
    numbers = {name: np.int64(value) for name, value in SMALL.items()}
    image = pipe(TEA, seed=np.uint32(7), guidance_scale=np.float32(1.5), **numbers).images[0]
    assert (pixels(image) == pixels(plain)).all()


def test_lists_of_prompts_and_sizes_equal_single_calls(pipe: GlmImagePipeline) -> None:
    both = pipe([TEA, SPRING], seed=[7, 8], width=[96, 64], height=64, num_inference_steps=3).images
    assert [image.size for image in both] == [(96, 64), (64, 64)]
    first = pipe(TEA, seed=7, **SMALL).images[0]
    second = pipe(SPRING, seed=8, width=64, height=64, num_inference_steps=3).images[0]
    assert (pixels(both[0]) == pixels(first)).all()
    assert (pixels(both[1]) == pixels(second)).all()


def test_images_of_one_prompt_are_samples_of_its_seed(pipe: GlmImagePipeline) -> None:
    three = pipe(TEA, seed=7, num_images_per_prompt=3, **SMALL).images
    two = pipe(TEA, seed=7, num_images_per_prompt=2, **SMALL).images
    assert [(pixels(a) == pixels(b)).all() for a, b in zip(three, two, strict=False)] == [True] * 2
    assert (pixels(three[0]) != pixels(three[1])).any()


@pytest.mark.skipif(NAME != "torch", reason="torch's own generators")
def test_what_users_of_diffusers_pass_by_habit(small_checkpoint: Path) -> None:
    import torch

    pipe = GlmImagePipeline.from_pretrained(small_checkpoint, torch_dtype=torch.float32)
    seeded = pipe(TEA, generator=torch.Generator().manual_seed(7), **SMALL).images[0]
    assert (pixels(seeded) == pixels(pipe(TEA, seed=7, **SMALL).images[0])).all()
    each = [torch.Generator().manual_seed(n) for n in (7, 9)]
    pair = pipe(TEA, generator=each, num_images_per_prompt=2, **SMALL).images
    assert (pixels(pair[0]) == pixels(seeded)).all()
    assert (pixels(pair[1]) == pixels(pipe(TEA, seed=9, **SMALL).images[0])).all()
    with pytest.raises(ValueError, match="either seed or generator"):
        pipe(TEA, seed=1, generator=each[0], **SMALL)


def test_output_types_hold_the_same_image(pipe: GlmImagePipeline) -> None:
    image = pixels(pipe(TEA, seed=7, **SMALL).images[0])
    array = pipe(TEA, seed=7, output_type="np", **SMALL).images[0]
    assert array.dtype == np.float32
    np.testing.assert_array_equal(np.round(array * 255), image)
    latents = pipe(TEA, seed=7, output_type="latent", **SMALL).images[0]
    np.testing.assert_array_equal(pipe.decode_latents(latents[None])[0], image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": 5}, "prompt must be a string"),
        ({"prompt": []}, "prompt must be a string"),
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": TEA, "width": 100}, "32"),
        ({"prompt": TEA, "num_inference_steps": 0}, "steps must be at least 1"),
        ({"prompt": TEA, "num_images_per_prompt": 0}, "num_images_per_prompt must be at least 1"),
        ({"prompt": [TEA, SPRING], "width": [64]}, "width has 1 values for 2 prompts"),
        ({"prompt": TEA, "seed": "x"}, "seed must be a whole number"),
        ({"prompt": TEA, "output_type": "jpeg"}, "output_type must be pil, np, latent"),
        ({"prompt": TEA, "image": []}, "image is an empty list"),
    ],
)
def test_errors_are_raised_by_the_call_itself(
    pipe: GlmImagePipeline, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pipe(**arguments)


def test_a_callback_sees_the_estimate_of_every_step(pipe: GlmImagePipeline) -> None:
    steps: list[tuple[str, int]] = []
    estimates = []

    def on_step(_: Any, step: int, timestep: float, state: dict[str, Any]) -> dict[str, Any]:
        steps.append((state["stage"], step))
        if state["stage"] == "denoise":
            estimates.append((timestep, state["estimate"], state["latents"]))
        return {}

    final = pipe(TEA, seed=7, output_type="latent", callback_on_step_end=on_step, **SMALL).images[0]
    assert [step for stage, step in steps if stage == "denoise"] == [0, 1, 2]
    # The network sees 999 at pure noise, and ever less.
    timesteps = [timestep for timestep, _, _ in estimates]
    assert timesteps[0] == 999
    assert timesteps == sorted(timesteps, reverse=True)
    # After the last step there is no noise left: latents, estimate and result are one.
    np.testing.assert_allclose(estimates[-1][1][0], final, atol=1e-5)
    np.testing.assert_allclose(estimates[-1][2][0], final, atol=1e-5)


def test_a_callback_stops_the_run_with_the_estimate(pipe: GlmImagePipeline) -> None:
    seen = []

    def on_step(pipeline: Any, step: int, _: float, state: dict[str, Any]) -> None:
        if state["stage"] == "denoise":
            seen.append((state["estimate"], pipeline.preview(state)))
            if step == 1:
                pipeline.interrupt()

    result = pipe(TEA, seed=7, output_type="latent", callback_on_step_end=on_step, **SMALL)
    assert result.interrupted
    assert len(seen) == 2
    np.testing.assert_array_equal(result.images[0], seen[-1][0][0])
    preview = pixels(seen[-1][1])
    np.testing.assert_array_equal(pipe.decode_latents(result.images[0][None])[0], preview)
    assert not pipe(TEA, seed=7, **SMALL).interrupted


def test_a_callback_stops_while_tokens_are_generated(pipe: GlmImagePipeline) -> None:
    calls = []

    def on_step(pipeline: Any, step: int, _: float, state: dict[str, Any]) -> None:
        calls.append(state["stage"])
        if step >= 2:
            pipeline.interrupt()

    result = pipe(TEA, seed=7, callback_on_step_end=on_step, **SMALL)
    assert result.interrupted
    assert set(calls) == {"tokens"}
    assert result.images[0].size == (96, 64)


def test_a_callback_replaces_the_latents(pipe: GlmImagePipeline) -> None:
    def zeros(_: Any, step: int, __: float, state: dict[str, Any]) -> dict[str, Any]:
        last = state["stage"] == "denoise" and step == 2
        return {"latents": 0 * state["latents"]} if last else {}

    replaced = pipe(TEA, seed=7, output_type="latent", callback_on_step_end=zeros, **SMALL)
    assert (replaced.images[0] == 0).all()


def test_tokens_are_saved_and_decoded_elsewhere(pipe: GlmImagePipeline, tmp_path: Path) -> None:
    tokens = pipe.generate_tokens(TEA, seed=7, width=96, height=64)
    tokens.save(tmp_path / "tea.npz")
    assert (tmp_path / "tea.npz").stat().st_size < 4096
    loaded = SemanticTokens.load(tmp_path / "tea.npz")
    image = pipe.decode(loaded, num_inference_steps=3)
    assert (pixels(image) == pixels(pipe(TEA, seed=7, **SMALL).images[0])).all()
    some = pipe.generate_tokens([TEA, SPRING], seed=7, width=96, height=64)
    assert (some[0].grid == tokens.grid).all()
    assert len(pipe.decode(some, num_inference_steps=1)) == 2


def test_an_edit_takes_pil_images_and_arrays(pipe: GlmImagePipeline) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    given = Image.fromarray(noise)
    small: dict[str, Any] = {"seed": 1, "num_inference_steps": 1, "width": 64, "height": 64}
    edited = pipe("make it green", image=given, **small).images[0]
    assert (pixels(edited) == pixels(pipe("make it green", image=[noise], **small).images[0])).all()
    other = pipe("make it green", image=Image.fromarray(255 - noise), **small).images[0]
    assert (pixels(edited) != pixels(other)).any()


def test_the_example_of_the_documents_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(HOME / "docs" / "example.py")]
    path = {"PYTHONPATH": os.pathsep.join([str(HOME), os.environ.get("PYTHONPATH", "")])}
    subprocess.run(command, cwd=tmp_path, env=os.environ | path, check=True)
    images = {file.name: pixels(Image.open(file)) for file in tmp_path.glob("*.png")}
    assert images.keys() == {"tea.png", "art.png", "again.png"}
    assert (images["tea.png"] == images["again.png"]).all()
    assert (images["tea.png"] != images["art.png"]).any()
    assert (
        sum(bool(line.strip()) for line in (HOME / "docs" / "example.py").read_text().splitlines())
        <= 18
    )
