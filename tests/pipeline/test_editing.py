"""Editing, beside the reference libraries on the same random weights.

diffusers' pipeline cannot tokenize references together with the transformers of its time, so it is
given the ids through the arguments that it has for them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moyin.backend import NAME, autograd, ops, random
from moyin.pipeline import write
from moyin.pipeline.generation import Pipeline
from moyin.pipeline.ids import SemanticIds

PROMPT = "turn it red and write “春” and 'hi'"
SIZES = {
    1: [(512, 512)],
    2: [(512, 768), (512, 512)],
    3: [(512, 512), (544, 512), (512, 640)],
}


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(count)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in SIZES[count]]


@pytest.fixture(scope="module")
def pipeline(reference_folder: Path) -> Pipeline:
    return Pipeline.open(reference_folder, "float32")


@pytest.fixture(scope="module")
def theirs(reference_folder: Path) -> Any:
    if NAME != "torch":
        pytest.skip("the reference runs on torch")
    import torch
    from diffusers import GlmImagePipeline

    return GlmImagePipeline.from_pretrained(reference_folder, dtype=torch.float32)


def told(theirs: Any, images: list[np.ndarray], height: int, width: int) -> Any:
    """What their processor makes of prompt and pictures."""
    from PIL import Image

    content = [{"type": "image", "image": Image.fromarray(image)} for image in images]
    content.append({"type": "text", "text": PROMPT})
    return theirs.processor.apply_chat_template(
        [[{"role": "user", "content": content}]],
        tokenize=True,
        target_h=height,
        target_w=width,
        return_dict=True,
        return_tensors="pt",
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_ids_of_references_and_logits(pipeline: Pipeline, theirs: Any, count: int) -> None:
    """The VQ ids are equal, and the first written id has the same logits."""
    images = pictures(count)
    references = tuple(pipeline.reference(image) for image in images)
    inputs = told(theirs, images, 256, 320)
    model = theirs.vision_language_encoder.eval()
    grids = inputs["image_grid_thw"][:count]
    with autograd.no_grad():
        features = model.get_image_features(inputs["pixel_values"], grids).pooler_output
        expected = model.get_image_tokens(features, grids)
    ours = np.concatenate([r.grid.reshape(-1) for r in references])
    np.testing.assert_array_equal(ours, ops.numpy(expected).reshape(-1))

    settings = replace(pipeline.defaults, height=256, width=320)
    sequence = pipeline.sequence(PROMPT, settings, references)
    assert len(sequence.ids) == inputs["input_ids"].shape[1]
    with autograd.no_grad():
        reference_logits = model(**inputs).logits[0, -1]
        cache = pipeline.generator.new_cache(1, len(sequence.ids))
        logits = pipeline.generator.step(
            ops.asarray(sequence.ids[None]), ops.asarray(sequence.positions[:, None]), cache, 0
        )[0]
    np.testing.assert_allclose(ops.numpy(logits), ops.numpy(reference_logits), atol=1e-4)


def test_greedy_ids_are_theirs(pipeline: Pipeline, theirs: Any) -> None:
    images = pictures(2)
    references = tuple(pipeline.reference(image) for image in images)
    inputs = told(theirs, images, 128, 160)
    sequence = pipeline.sequence(
        PROMPT, replace(pipeline.defaults, height=128, width=160), references
    )
    ours = write.write(
        pipeline.generator, [sequence], [write.uniforms(sequence.count, 0, 0)], temperature=0
    )[0]
    reference = theirs.vision_language_encoder.generate(
        **inputs, max_new_tokens=sequence.count, do_sample=False
    )
    np.testing.assert_array_equal(ours, reference[0, inputs["input_ids"].shape[1] :].numpy())


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_pictures_equal_diffusers(
    pipeline: Pipeline, theirs: Any, count: int, guidance: float
) -> None:
    from PIL import Image

    images = pictures(count)
    references = tuple(pipeline.reference(image) for image in images)
    grid = np.random.default_rng(9).integers(0, 40, (8, 10)).astype(np.uint16)
    ids = SemanticIds(grid=grid, codes=40, prompt=PROMPT)
    settings = replace(pipeline.defaults, height=256, width=320, steps=3, guidance=guidance)
    ours = pipeline.decode(ids, settings, seed=4, references=references).pixels

    def upsampled(ids_rc: np.ndarray) -> Any:
        return ops.asarray(ids_rc.astype(np.int64).repeat(2, 0).repeat(2, 1).reshape(-1))

    sizes = [[1, 2 * r.grid.shape[0], 2 * r.grid.shape[1]] for r in references]
    picture = theirs(
        prompt=PROMPT,
        image=[[Image.fromarray(image) for image in images]],
        height=256,
        width=320,
        num_inference_steps=3,
        guidance_scale=guidance,
        latents=ops.asarray(random.normal((16, 32, 40), 4, 0, "latents")[None]),
        prior_token_ids=upsampled(grid)[None],
        prior_token_image_ids=[ops.concat([upsampled(r.grid) for r in references], 0)],
        source_image_grid_thw=[ops.asarray(np.array(sizes))],
        output_type="np",
    ).images[0]
    assert np.abs(ours.astype(float) - np.round(picture * 255)).max() <= 2


def test_references_change_the_picture(pipeline: Pipeline) -> None:
    settings = replace(pipeline.defaults, height=64, width=64, steps=2, guidance=2.0)
    first, second = (
        next(pipeline.edit(PROMPT, pictures(2)[i : i + 1], settings, seed=1)) for i in (0, 1)
    )
    assert first.facts["references"] == 1
    assert (first.pixels != second.pixels).any()
    assert first.ids.preview is None


def test_the_unconditional_pass_does_not_see_references(pipeline: Pipeline) -> None:
    """At guidance 0 nothing but that pass counts."""
    grid = np.zeros((2, 2), np.uint16)
    settings = replace(pipeline.defaults, height=64, width=64, steps=2, guidance=0.0)
    ids = SemanticIds(grid=grid, codes=40, prompt=PROMPT)
    seen = tuple(pipeline.reference(image) for image in pictures(1))
    alone = pipeline.decode(ids, settings, seed=1).pixels
    np.testing.assert_array_equal(
        pipeline.decode(ids, settings, seed=1, references=seen).pixels, alone
    )


def test_the_first_picture_gives_the_size(pipeline: Pipeline) -> None:
    images = [np.zeros((300, 420, 3), np.uint8)]
    rows, columns = pipeline.reference(images[0]).grid.shape
    assert (rows, columns) == (16, 22)
    with pytest.raises(ValueError, match="at least one picture"):
        next(pipeline.edit(PROMPT, []))
