"""The embedded checkpoint: what it is, and that the reference libraries open it and agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moyin.backend import NAME, ops, random
from moyin.checkpoint.hub import EMBEDDED
from moyin.inference.config import GenerationConfig
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import Request
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.prompt.grid import Grid

PROMPT = "一张红色海报，中间写着“春天”"

pytestmark = pytest.mark.skipif(NAME != "torch", reason="compared on PyTorch")


@pytest.fixture(scope="module")
def pipeline() -> GlmImagePipeline:
    return GlmImagePipeline.from_pretrained(EMBEDDED, dtype="float32")


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The same folder opened by diffusers, in fp32."""
    diffusers = pytest.importorskip("diffusers")
    import torch

    return diffusers.GlmImagePipeline.from_pretrained(EMBEDDED, dtype=torch.float32)


def test_size_on_disk_and_native_size(pipeline: GlmImagePipeline) -> None:
    total = sum(f.stat().st_size for f in EMBEDDED.rglob("*") if f.is_file())
    assert total < 60e6
    assert (pipeline.defaults.height, pipeline.defaults.width) == (512, 512)
    stages = pipeline.checkpoint.notes["training"]
    assert set(stages) == {"autoencoder", "glyph", "semantic", "generator", "decoder"}


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("transformer", ("decoder",)),
        ("vae", ("autoencoder",)),
        ("text_encoder", ("glyph",)),
        ("vision_language_encoder", ("generator", "semantic")),
    ],
)
def test_opened_without_a_missing_or_unexpected_key(
    folder: str, names: tuple[str, ...], pipeline: GlmImagePipeline
) -> None:
    diffusers, transformers = pytest.importorskip("diffusers"), pytest.importorskip("transformers")
    classes = {
        "transformer": diffusers.GlmImageTransformer2DModel,
        "vae": diffusers.AutoencoderKL,
        "text_encoder": transformers.T5EncoderModel,
        "vision_language_encoder": transformers.GlmImageForConditionalGeneration,
    }
    _, told = classes[folder].from_pretrained(EMBEDDED / folder, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert not told["mismatched_keys"]
    assert all(pipeline.checkpoint.has(name) for name in names)


def test_image_equals_diffusers(pipeline: GlmImagePipeline, theirs: Any) -> None:
    settings = replace(pipeline.defaults, height=256, width=256, steps=3)
    grid = np.random.default_rng(0).integers(0, pipeline.decoder.config.codes, (8, 8))
    ids = SemanticTokens(
        grid=grid.astype(np.uint16), codes=pipeline.decoder.config.codes, prompt=PROMPT
    )
    request = Request(prompt=PROMPT, settings=settings, seed=5)
    ours = pipeline.run_decoding([ids], [request])[0].pixels
    noise = random.normal((16, 32, 32), 5, 0, "latents")[None]
    upsampled = grid.repeat(2, 0).repeat(2, 1).reshape(1, -1)
    image = theirs(
        prompt=PROMPT,
        height=256,
        width=256,
        num_inference_steps=3,
        guidance_scale=settings.guidance,
        latents=ops.asarray(noise),
        prior_token_ids=ops.asarray(upsampled, ops.int64),
        output_type="np",
    ).images[0]
    difference = np.abs(ours.astype(float) - np.round(image * 255))
    assert difference.max() <= 2


def test_token_sequence_equals_the_processor(pipeline: GlmImagePipeline, theirs: Any) -> None:
    settings = GenerationConfig(height=512, width=512)
    ours = pipeline.generator_inputs(PROMPT, settings)
    content = [[{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]]
    told = theirs.processor.apply_chat_template(
        content, tokenize=True, target_h=512, target_w=512, return_dict=True, return_tensors="pt"
    )
    np.testing.assert_array_equal(ours.ids, np.asarray(told["input_ids"])[0])
    assert ours.grids == (Grid(16, 16).preview(), Grid(16, 16))


def test_logits_equal_transformers(pipeline: GlmImagePipeline, theirs: Any) -> None:
    """At every position of a written image, with and without cache."""
    from moyin.backend import autograd
    from moyin.prompt.generator_inputs import training_sequence

    (written,) = pipeline.run_generator(
        [Request(prompt=PROMPT, settings=pipeline.defaults, seed=1)]
    )
    example = training_sequence(pipeline.tokenizer, PROMPT, written.preview, written.grid)
    ids, positions = ops.asarray(example.ids[None]), ops.asarray(example.positions[:, None])
    model = theirs.vision_language_encoder.eval()
    with autograd.no_grad():
        whole = ops.numpy(pipeline.generator(ids, positions))
        reference = model.lm_head(
            model.model.language_model(input_ids=ids, position_ids=positions).last_hidden_state
        )
        # Logits reach 43, where the reference itself is 0.7e-4 off what it gives in float64 (and
        # 5e-4 with ids drawn at random, among which the trained network magnifies rounding).
        tolerance = 1e-5 * np.abs(whole).max()
        np.testing.assert_allclose(whole, ops.numpy(reference), rtol=0, atol=tolerance)
        cache = pipeline.generator.new_cache(1, len(example.ids))
        start = example.start
        steps = [pipeline.generator.step(ids[:, :start], positions[:, :, :start], cache, 0)]
        for i in range(start, start + 20):
            steps.append(
                pipeline.generator.step(ids[:, i : i + 1], positions[:, :, i : i + 1], cache, i)
            )
    cached = np.stack([ops.numpy(s)[0, 0] for s in steps])
    np.testing.assert_allclose(cached, whole[0, start - 1 : start + 20], rtol=0, atol=tolerance)


def test_semantic_ids_equal_transformers(pipeline: GlmImagePipeline, theirs: Any) -> None:
    from moyin.backend import autograd
    from moyin.inference.encode_image import encode_tokens
    from moyin.inference.image_processor import preprocess
    from moyin.render.renderer import Renderer

    image = Renderer.Config(characters=100).build()(seed=3, index=1).image
    ours = encode_tokens(pipeline.checkpoint.network("semantic"), [image])[0]
    pixels = preprocess(image)
    patches = pixels.reshape(3, 16, 16, 16, 16).transpose(1, 3, 0, 2, 4).reshape(256, -1)
    model = theirs.vision_language_encoder.eval()
    with autograd.no_grad():
        features = model.model.visual(ops.asarray(patches), grid_thw=ops.asarray([[1, 16, 16]]))
        square = features.last_hidden_state.T.reshape(1, -1, 16, 16)
        told = model.model.vqmodel.encode(square).image_tokens.reshape(16, 16)
    np.testing.assert_array_equal(ours, ops.numpy(told))
