from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generating import generated

from moyin.backend import NAME
from moyin.inference import generate_tokens
from moyin.inference.config import GenerationConfig, TokenSampling
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import Request
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.prompt.generator_inputs import generation_sequence
from moyin.prompt.grid import Grid

PROMPT = "红底，写着“春 hi”和「Go」"


@pytest.fixture(scope="module")
def pipeline(small_checkpoint: Path) -> GlmImagePipeline:
    return GlmImagePipeline.from_pretrained(small_checkpoint, dtype="float32")


def test_defaults_are_the_checkpoints(pipeline: GlmImagePipeline) -> None:
    assert pipeline.defaults == GenerationConfig(height=64, width=64, steps=3, preview=False)


def test_one_seed_is_one_image(pipeline: GlmImagePipeline) -> None:
    told: list[tuple[str, int, int]] = []
    first, again = (
        generated(pipeline, PROMPT, seed=5, progress=lambda *x: told.append(x))[0] for _ in range(2)
    )
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.pixels.shape == (64, 64, 3)
    assert first.tokens.grid.shape == (2, 2)
    assert first.tokens.preview is None
    assert first.metadata["checkpoint"] == pipeline.checkpoint.digest()
    assert told[-1] == ("denoise", 3, 3)
    assert ("tokens", 4, 4) in told
    other = generated(pipeline, PROMPT, seed=6)[0]
    assert (other.pixels != first.pixels).any()


def test_preview_comes_first(pipeline: GlmImagePipeline) -> None:
    settings = dataclasses.replace(pipeline.defaults, preview=True)
    sequence = pipeline.generator_inputs(PROMPT, settings)
    uniforms = [generate_tokens.token_uniforms(260, 0, 0)]
    (written,) = generate_tokens.generate_tokens(
        pipeline.generator, [sequence], uniforms, TokenSampling()
    )
    ids = generate_tokens.split_grids(written, sequence.grids, 40, PROMPT)
    assert ids.preview is not None
    np.testing.assert_array_equal(ids.preview, written[:256].reshape(16, 16))
    np.testing.assert_array_equal(ids.grid, written[256:].reshape(2, 2))


def test_n_images_are_n_layouts(pipeline: GlmImagePipeline) -> None:
    settings = dataclasses.replace(pipeline.defaults, width=256, steps=1)
    images = list(generated(pipeline, PROMPT, settings, count=3))
    assert len({p.tokens.grid.tobytes() for p in images}) == 3
    assert [p.metadata["sample"] for p in images] == [0, 1, 2]


def test_saved_ids_give_the_same_image(pipeline: GlmImagePipeline, tmp_path: Path) -> None:
    image = generated(pipeline, PROMPT, seed=3)[0]
    image.tokens.save(tmp_path / "ids.npz")
    again = pipeline.decode(SemanticTokens.load(tmp_path / "ids.npz"), output_type="np")
    np.testing.assert_array_equal(again, image.pixels.astype(np.float32) / 255)


def test_an_image_does_not_change_with_its_neighbours(pipeline: GlmImagePipeline) -> None:
    """Prompts and grids of different lengths, other settings, references: padding is not seen."""
    usual = pipeline.defaults
    image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    seen = pipeline.encode_image(image)
    jobs = [
        Request(prompt=PROMPT, settings=usual, seed=1),
        Request(prompt="a cat", settings=usual, seed=2),
        Request(prompt=PROMPT, settings=dataclasses.replace(usual, width=128), seed=3),
        Request(prompt=PROMPT, settings=dataclasses.replace(usual, preview=True), seed=4),
        Request(prompt="a “dog”", settings=dataclasses.replace(usual, guidance=3.0), seed=5),
        Request(prompt="warmer", settings=usual, seed=6, references=(seen,)),
        Request(prompt="two of it", settings=usual, seed=7, references=(seen, seen)),
        Request(prompt="colder “今”", settings=usual, seed=8, references=(seen,)),
        Request(prompt="a cat", settings=dataclasses.replace(usual, sampler="ab2"), seed=9),
        Request(prompt="a cat", settings=dataclasses.replace(usual, reuse=9.0), seed=10),
    ]
    ids = pipeline.run_generator(jobs)
    latents = pipeline.run_decoder(ids, jobs)
    for job, together, whole in zip(jobs, ids, latents, strict=True):
        alone = pipeline.run_generator([job])
        np.testing.assert_array_equal(alone[0].grid, together.grid)
        assert (together.preview is None) == (not job.settings.preview)
        np.testing.assert_allclose(pipeline.run_decoder(alone, [job])[0], whole, atol=1e-4)


def blocks_called(pipeline: GlmImagePipeline, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the decoder's blocks in the order in which they will be computed."""
    called: list[int] = []
    for number, block in enumerate(pipeline.decoder.blocks):
        monkeypatch.setattr(block, "forward", counted(block.forward, number, called))
    return called


def counted(forward: Any, number: int, called: list[int]) -> Any:
    def through(*given: Any) -> Any:
        called.append(number)
        return forward(*given)

    return through


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("references", [0, 1])
def test_at_most_the_first_and_the_last_step_are_whole(
    pipeline: GlmImagePipeline, monkeypatch: pytest.MonkeyPatch, guidance: float, references: int
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    seen = (pipeline.encode_image(image),) * references
    ids = SemanticTokens(grid=np.arange(4, dtype=np.uint16).reshape(2, 2), codes=40, prompt=PROMPT)
    settings = dataclasses.replace(pipeline.defaults, steps=5, guidance=guidance)
    jobs = [
        Request(prompt=PROMPT, settings=settings, seed=seed, references=seen) for seed in (0, 1)
    ]
    whole = pipeline.run_decoder([ids, ids], jobs)
    called = blocks_called(pipeline, monkeypatch)
    reusing = [
        dataclasses.replace(job, settings=dataclasses.replace(settings, reuse=1e6)) for job in jobs
    ]
    found = pipeline.run_decoder([ids, ids], reusing)
    passes = 1 if guidance == 1 else 2
    reading = [0, 1] * references
    assert called == reading + [0, 1] * passes + [0] * 3 * passes + [0, 1] * passes
    for one, other in zip(whole, found, strict=True):
        assert 0 < np.abs(one - other).max() < np.abs(one).max()
    called.clear()
    nearly_off = [
        dataclasses.replace(job, settings=dataclasses.replace(settings, reuse=1e-9)) for job in jobs
    ]
    np.testing.assert_array_equal(pipeline.run_decoder([ids, ids], nearly_off), whole)
    assert called == reading + [0, 1] * passes * 5


def test_layouts_of_one_prompt_share_its_reading(
    pipeline: GlmImagePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [Request(prompt=PROMPT, settings=pipeline.defaults, seed=1, sample=n) for n in range(3)]
    alone = [pipeline.run_generator([job])[0].grid for job in jobs]
    read: list[tuple[int, ...]] = []
    step = pipeline.generator.step

    def counted(ids: Any, *more: Any) -> Any:
        read.append(tuple(ids.shape))
        return step(ids, *more)

    monkeypatch.setattr(pipeline.generator, "step", counted)
    together = pipeline.run_generator(jobs)
    assert [rows for rows, length in read if length > 1] == [1]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other.grid)


def test_ids_are_codes_at_any_temperature(pipeline: GlmImagePipeline) -> None:
    settings = dataclasses.replace(pipeline.defaults, temperature=50.0, top_p=1.0)
    jobs = [Request(prompt=PROMPT, settings=settings, sample=n) for n in range(16)]
    ids = np.stack([i.grid for i in pipeline.run_generator(jobs)])
    assert ids.max() < 40
    assert len(np.unique(ids)) > 15


def test_ids_of_another_codebook_are_refused(pipeline: GlmImagePipeline) -> None:
    ids = SemanticTokens(grid=np.zeros((2, 2), np.uint16), codes=16384)
    with pytest.raises(ValueError, match="codebook of 16384"):
        pipeline.decode(ids)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"height": 100}, "multiple of 32"),
        ({"width": 0}, "multiple of 32"),
        ({"steps": 0}, "steps"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"guidance": float("nan")}, "guidance"),
        ({"sampler": "eular"}, "sampler must be euler or ab2, not eular"),
        ({"reuse": -0.1}, "reuse"),
        ({"reuse": float("nan")}, "reuse"),
        ({"steps": 2.5}, r"^steps must be a whole number, not 2\.5$"),
        ({"top_k": 1.5}, "top_k must be a whole number"),
        ({"draft": 1.5}, "draft must be a whole number"),
        ({"steps": True}, "steps must be a whole number, not True"),
        ({"height": "64"}, "height must be a whole number, not '64'"),
        ({"temperature": None}, "temperature must be a finite number, not None"),
        ({"guidance": True}, "guidance must be a finite number, not True"),
        ({"preview": "no"}, "preview must be true or false, not 'no'"),
        ({"exact_quotes": 1}, "exact_quotes must be true or false, not 1"),
        ({"sampler": ["euler"]}, "sampler must be a name"),
    ],
)
def test_settings_are_checked(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        dataclasses.replace(GenerationConfig(), **change)


@pytest.mark.parametrize(
    ("notes", "told"),
    [
        ({"settings": {"foo": 1}}, "no setting foo .*steps"),
        ({"settings": {"steps": "abc"}}, "steps must be a whole number, not 'abc'"),
        ({"settings": 5}, "settings must be a JSON object"),
    ],
)
def test_a_checkpoints_settings_are_checked(
    small_checkpoint: Path, tmp_path: Path, notes: dict[str, Any], told: str
) -> None:
    folder = Path(shutil.copytree(small_checkpoint, tmp_path / "copy"))
    (folder / "moyin.json").write_text(json.dumps(notes))
    with pytest.raises(ValueError, match=rf"moyin\.json: {told}"):
        _ = GlmImagePipeline.from_pretrained(folder).defaults


@pytest.mark.skipif(NAME != "torch", reason="the reference libraries run on PyTorch")
class TestReference:
    @pytest.mark.parametrize("prompt", [PROMPT, "one 'word'", "none"])
    @pytest.mark.parametrize("guidance", [1.5, 1.0])
    def test_same_ids_and_noise_give_the_same_image(
        self, pipeline: GlmImagePipeline, small_checkpoint: Path, prompt: str, guidance: float
    ) -> None:
        import torch
        from diffusers import GlmImagePipeline as Theirs

        from moyin.backend import random

        theirs = Theirs.from_pretrained(small_checkpoint)
        theirs.set_progress_bar_config(disable=True)
        settings = dataclasses.replace(pipeline.defaults, width=96, guidance=guidance)
        grid = np.arange(6, dtype=np.uint16).reshape(2, 3) * 6
        tokens = SemanticTokens(grid=grid, codes=40, prompt=prompt)
        request = Request(prompt=prompt, settings=settings, seed=2)
        (ours,) = pipeline.run_decoding([tokens], [request])
        noise = random.normal((16, 8, 12), 2, 0, "latents")[None]
        expected = theirs(
            prompt=prompt,
            height=64,
            width=96,
            num_inference_steps=3,
            guidance_scale=guidance,
            prior_token_ids=torch.from_numpy(
                grid.repeat(2, 0).repeat(2, 1).reshape(1, -1).astype(np.int64)
            ),
            latents=torch.from_numpy(noise),
            output_type="np",
        ).images[0]
        difference = np.abs(ours.pixels.astype(float) - expected * 255)
        assert difference.max() <= 2
        assert expected.std() > 0.05

    def test_greedy_ids_are_theirs(
        self, pipeline: GlmImagePipeline, small_checkpoint: Path
    ) -> None:
        """Processor, generate and cut, as the reference's pipeline does it."""
        import torch
        from transformers import GlmImageForConditionalGeneration, GlmImageProcessor

        folder = small_checkpoint / "vision_language_encoder"
        model = GlmImageForConditionalGeneration.from_pretrained(folder)
        processor = GlmImageProcessor.from_pretrained(small_checkpoint / "processor")
        message = [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
        inputs = processor.apply_chat_template(
            [message],
            tokenize=True,
            target_h=64,
            target_w=64,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.no_grad():
            out = model.generate(**inputs, max_new_tokens=260, do_sample=False)
        expected = out[0, inputs["input_ids"].shape[1] :].numpy()
        sequence = generation_sequence(pipeline.tokenizer, PROMPT, Grid(2, 2))
        found = generate_tokens.generate_tokens(
            pipeline.generator,
            [sequence],
            np.zeros((1, 260), np.float32),
            TokenSampling(temperature=0),
        )
        np.testing.assert_array_equal(found[0], expected)
