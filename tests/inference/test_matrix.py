"""The whole chain beside transformers and diffusers: sizes, references, batches, guidance.

The checkpoint is one that those libraries wrote, with random weights. The generator is compared
over whole written sequences, the decoder after every step from the same ids and noise.
docs/sequence-and-checkpoint.md says how that is done for editing, and why.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moyin.backend import NAME, autograd, ops, random
from moyin.inference.decode_step import DecodeStep
from moyin.inference.numpy_generator import NumpyDecodeStep
from moyin.inference.pipeline import GlmImagePipeline
from moyin.inference.request import Request
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.prompt.generator_inputs import left_padded

pytestmark = pytest.mark.skipif(NAME != "torch", reason="the reference libraries run on PyTorch")


@dataclass(frozen=True)
class Case:
    """A size in pixels, reference images of each sample, samples in the batch, guidance."""

    height: int
    width: int
    references: int
    batch: int
    guidance: float

    def __str__(self) -> str:
        size = f"{self.height}x{self.width}"
        return f"{size}-references{self.references}-batch{self.batch}-guidance{self.guidance}"


# Every number of references meets square, wide and tall, one and four samples, and guidance off
# (1) and on; the large sizes come last.
CASES = [
    Case(256, 256, 0, 1, 1.0),
    Case(256, 256, 0, 4, 2.5),
    Case(256, 256, 1, 1, 2.5),
    Case(256, 256, 1, 4, 1.0),
    Case(256, 256, 2, 1, 1.0),
    Case(256, 256, 2, 4, 2.5),
    Case(256, 256, 3, 1, 2.5),
    Case(256, 256, 3, 4, 1.0),
    Case(256, 416, 0, 1, 2.5),
    Case(256, 416, 0, 4, 1.0),
    Case(256, 416, 1, 1, 1.0),
    Case(256, 416, 1, 4, 2.5),
    Case(256, 416, 2, 1, 2.5),
    Case(256, 416, 2, 4, 1.0),
    Case(256, 416, 3, 1, 1.0),
    Case(256, 416, 3, 4, 2.5),
    Case(480, 288, 0, 1, 1.0),
    Case(480, 288, 0, 4, 2.5),
    Case(480, 288, 1, 1, 2.5),
    Case(480, 288, 1, 4, 1.0),
    Case(480, 288, 2, 1, 1.0),
    Case(480, 288, 2, 4, 2.5),
    Case(480, 288, 3, 1, 2.5),
    Case(480, 288, 3, 4, 1.0),
    Case(512, 512, 0, 4, 2.5),
    Case(512, 768, 2, 1, 1.0),
    Case(1024, 1024, 0, 1, 2.5),
    pytest.param(Case(1024, 1024, 1, 1, 1.0), marks=pytest.mark.slow),
]
STEPS = 3
CODES = 40

# They and what they quote have different lengths; one quotes nothing.
PROMPTS = [
    "红底，写着“春 hi”和「Go」",
    "a cat that says 'hi'",
    "nothing to read",
    "a menu: “茶”, then 'coffee and cake'",
]
# What these quote has one length, so that nothing is padded in the decoder.
EVEN_PROMPTS = ["“tea”", "a red “春”", "“Go!” in white", "a sign: “one”"]
SIZES = [(512, 512), (512, 768), (640, 512)]  # of the first, second and third reference

Array = np.ndarray[Any, Any]


def squares(rng: np.random.Generator, height: int, width: int) -> Array:
    """An image of many colours, and so of many ids."""
    small = rng.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    return small.repeat(16, axis=0).repeat(16, axis=1)


class Both:
    """Our pipeline and theirs on one checkpoint, and each sample's images to edit."""

    def __init__(self, folder: Path) -> None:
        import torch
        from diffusers import GlmImagePipeline as Theirs

        self.ours = GlmImagePipeline.from_pretrained(folder, dtype="float32")
        self.theirs = Theirs.from_pretrained(folder, dtype=torch.float32)
        self.theirs.set_progress_bar_config(disable=True)
        self.model = self.theirs.vision_language_encoder.eval()
        rng = np.random.default_rng(0)
        self.pixels = [[squares(rng, *size) for size in SIZES] for _ in PROMPTS]
        self.references = [[self.ours.encode_image(p) for p in some] for some in self.pixels]
        inputs = self.inputs(Case(256, 256, len(SIZES), len(PROMPTS), 1.0))
        self.tokens = self.image_tokens(inputs)

    def jobs(self, case: Case, prompts: Items[str] = PROMPTS) -> list[Request]:
        """Each sample has a prompt, a seed and references of its own."""
        settings = replace(
            self.ours.defaults,
            height=case.height,
            width=case.width,
            guidance=case.guidance,
            steps=STEPS,
            temperature=0.0,
        )
        return [
            Request(
                prompt=prompts[i],
                settings=settings,
                seed=i,
                references=tuple(self.references[i][: case.references]),
            )
            for i in range(case.batch)
        ]

    def images(self, case: Case, sample: int) -> list[Any]:
        """A sample's references as they take them."""
        from PIL import Image

        return [Image.fromarray(p) for p in self.pixels[sample][: case.references]]

    def inputs(self, case: Case) -> Any:
        """What their processor makes of prompts and references."""
        messages = []
        for i in range(case.batch):
            content = [{"type": "image", "image": image} for image in self.images(case, i)]
            content.append({"type": "text", "text": PROMPTS[i]})
            messages.append([{"role": "user", "content": content}])
        return self.theirs.processor.apply_chat_template(
            messages,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={
                "padding": case.batch > 1,
                "target_h": case.height,
                "target_w": case.width,
            },
        )

    def image_tokens(self, inputs: Any) -> list[Any]:
        """Their ids [n] of every reference, sample by sample."""
        grids = self.model.model.get_image_grids_for_generation(
            inputs["images_per_sample"], inputs["image_grid_thw"]
        )
        with autograd.no_grad():
            features = self.model.get_image_features(inputs["pixel_values"], grids).pooler_output
            return [self.model.get_image_tokens([one]) for one in features]

    def theirs_painted(
        self, case: Case, jobs: Items[Request], ids: Items[SemanticTokens], samples: Items[int]
    ) -> tuple[Array, Array]:
        """Latents [steps, b, c, h, w] and images [b, h, w, 3] in 0 … 255 of these samples."""
        after: list[Array] = []

        def keep(pipeline: Any, step: int, sigma: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            after.append(ops.numpy(tensors["latents"]))
            return {}

        editing: dict[str, Any] = {}
        if case.references:
            tokens = [self.upsampled_tokens(case, i) for i in samples]
            editing = {
                "image": [self.images(case, i) for i in samples],
                "prior_token_image_ids": [ops.concat(some, 0) for some in tokens],
                "source_image_grid_thw": [self.patch_grids(case) for _ in samples],
            }
        images = self.theirs(
            prompt=[jobs[i].prompt for i in samples],
            height=case.height,
            width=case.width,
            num_inference_steps=STEPS,
            guidance_scale=case.guidance,
            prior_token_ids=ops.asarray(
                np.stack([ids[i].grid for i in samples])
                .repeat(2, 1)
                .repeat(2, 2)
                .reshape(len(samples), -1)
                .astype(np.int64)
            ),
            latents=ops.asarray(np.stack([noise(case, jobs[i]) for i in samples])),
            callback_on_step_end=keep,
            output_type="np",
            **editing,
        ).images
        return np.stack(after), images * 255

    def upsampled_tokens(self, case: Case, sample: int) -> list[Any]:
        first = sample * len(SIZES)
        return [
            self.theirs._upsample_token_ids(ids, height // 32, width // 32)[0]
            for ids, (height, width) in zip(
                self.tokens[first : first + case.references], SIZES, strict=False
            )
        ]

    def patch_grids(self, case: Case) -> Any:
        """(1, rows, columns) of each reference, in the decoder's patches."""
        sizes = [(1, h // 16, w // 16) for h, w in SIZES[: case.references]]
        return ops.asarray(np.array(sizes))


def noise(case: Case, job: Request) -> Array:
    return random.normal((16, case.height // 8, case.width // 8), job.seed, job.sample, "latents")


def any_ids(case: Case, jobs: Items[Request]) -> list[SemanticTokens]:
    rng = np.random.default_rng(case.height)
    grid = jobs[0].settings.grid
    return [
        SemanticTokens(
            grid=rng.integers(0, CODES, (grid.rows, grid.columns)).astype(np.uint16),
            codes=CODES,
            prompt=job.prompt,
        )
        for job in jobs
    ]


@pytest.fixture(scope="module")
def both(reference_folder: Path) -> Both:
    return Both(reference_folder)


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """Our logits [b, v] of every id, filled while they are written."""
    logits: list[Array] = []

    def kept(choose: Any) -> Any:
        def sample(self: Any, logits_bv: Any, *given: Any) -> Any:
            logits.append(ops.numpy(ops.asarray(logits_bv)))
            return choose(self, logits_bv, *given)

        return sample

    for step in (DecodeStep, NumpyDecodeStep):
        monkeypatch.setattr(step, "sample", kept(step.sample))
    return logits


def our_walk(both: Both, ids: Items[SemanticTokens], jobs: Items[Request]) -> Array:
    """Our latents [steps, b, c, h, w], after every step."""
    seen: list[Array] = []
    decoder = both.ours.decoder
    forward = decoder.forward

    def kept(latents: Any, *given: Any) -> Any:
        seen.append(ops.numpy(latents))
        return forward(latents, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "forward", kept)
        last = np.stack(both.ours.run_decoder(ids, jobs))
    before = seen if jobs[0].settings.guidance == 1 else seen[::2]
    assert len(before) == STEPS
    return np.stack([*before[1:], last])


def flat(ids: SemanticTokens) -> Array:
    """All of one sample in the order they were written, [n] int64."""
    grids = [g.reshape(-1) for g in (ids.preview, ids.grid) if g is not None]
    return np.concatenate(grids).astype(np.int64)


def far(found: Array, expected: Array) -> float:
    """Of latents [steps, …]: the largest difference against the largest value, in any step."""
    rows = [x.reshape(len(x), -1) for x in (found - expected, expected)]
    difference, largest = (np.abs(x).max(1) for x in rows)
    return float((difference / largest).max())


def off(found: Array, expected: Array) -> float:
    """Largest difference of pixels, of 255."""
    return float(np.abs(found - np.round(expected)).max())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_logits_and_greedy_ids(both: Both, stepped: list[Array], case: Case) -> None:
    """Ours by cache and step, as the pipeline goes, and by one forward; theirs by one forward over
    what we wrote, at their own positions. What we wrote is greedy: if every id of it is the
    likeliest that they see there, they would have written the same.
    """
    model, jobs = both.model, both.jobs(case)
    ids = both.ours.run_generator(jobs)
    written = np.stack([flat(i) for i in ids])
    count = written.shape[1]

    inputs = both.inputs(case)
    prefix, mask = inputs["input_ids"], inputs["attention_mask"]
    places, _ = model.model.get_rope_index(
        prefix, inputs["image_grid_thw"], inputs["images_per_sample"], mask
    )
    # What their generate reads the positions of written ids from.
    future = ops.permute(model.model._cached_decode_position_ids, (1, 0, 2))
    if case.references:
        placeholders = prefix == model.config.image_token_id
        prefix = prefix.masked_scatter(placeholders, ops.concat(both.image_tokens(inputs), 0))
    whole = ops.concat([prefix, ops.asarray(written)], 1)
    real = ops.concat([mask, ops.ones((case.batch, count), ops.int64)], 1)
    positions = ops.concat([places, future[:, :, :count]], 2)
    with autograd.no_grad():
        expected = ops.numpy(
            model(input_ids=whole, attention_mask=real, position_ids=positions).logits
        )

    sequences = [both.ours.generator_inputs(j.prompt, j.settings, j.references) for j in jobs]
    our_ids, our_places, our_mask = left_padded(sequences, both.ours.generator.config.pad_id)
    np.testing.assert_array_equal(our_mask, ops.numpy(mask).astype(bool))
    np.testing.assert_array_equal(our_ids, ops.numpy(prefix))
    np.testing.assert_array_equal(our_places[:, our_mask], ops.numpy(places)[:, our_mask])
    np.testing.assert_array_equal(np.stack([s.future for s in sequences], 1), ops.numpy(future))
    with autograd.no_grad():
        forward = ops.numpy(both.ours.generator(whole, positions, ops.cast(real, ops.bool_)))

    seen = ops.numpy(real).astype(bool)
    assert np.abs(forward - expected)[seen].max() < 1e-4
    told = expected[:, our_ids.shape[1] - 1 : -1]
    assert np.abs(np.stack(stepped, 1) - told).max() < 1e-4
    likelihood = told[:, :, :CODES]
    chosen = np.take_along_axis(likelihood, written[:, :, None], 2)[:, :, 0]
    assert (likelihood.max(2) - chosen).max() < 1e-4
    assert len(np.unique(written)) > 2


@pytest.mark.parametrize("case", CASES, ids=str)
def test_latents_and_images(both: Both, case: Case) -> None:
    """Each sample of our batch beside their single run: in their batches zeros that pad shorter
    quotations are attended to, see `test_their_padding_is_seen_and_ours_is_not`."""
    jobs = both.jobs(case)
    ids = any_ids(case, jobs)
    latents = our_walk(both, ids, jobs)
    for i in range(case.batch):
        after, expected = both.theirs_painted(case, jobs, ids, [i])
        assert far(latents[:, i : i + 1], after) < 1e-4
        assert off(both.ours.decode_latents(latents[-1, i : i + 1]), expected) <= 2
        assert expected.std() > 10


@pytest.mark.parametrize("references", [0, 1, 3])
def test_greedy_ids_of_a_batch(both: Both, references: int) -> None:
    """Their generate, padded on the left as it wants, writes what we do."""
    case = Case(128, 160, references, 4, 1.0)
    written = np.stack([flat(i) for i in both.ours.run_generator(both.jobs(case))])
    inputs = both.inputs(case)
    theirs = both.model.generate(**inputs, max_new_tokens=written.shape[1], do_sample=False)
    np.testing.assert_array_equal(theirs[:, inputs["input_ids"].shape[1] :].numpy(), written)
    assert len(np.unique(written, axis=0)) == 4


@pytest.mark.parametrize("batch", [1, 4])
def test_from_prompt_to_image(both: Both, batch: int) -> None:
    """Their whole pipeline, its sampling held to the likeliest id, beside ours at temperature 0."""
    case = Case(256, 416, 0, batch, 2.5)
    jobs = both.jobs(case, EVEN_PROMPTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(both.model.generation_config, "top_k", 1)
        images = both.theirs(
            prompt=[job.prompt for job in jobs],
            height=case.height,
            width=case.width,
            num_inference_steps=STEPS,
            guidance_scale=case.guidance,
            latents=ops.asarray(np.stack([noise(case, job) for job in jobs])),
            output_type="np",
        ).images
    ours = np.stack([image.pixels for image in both.ours.run(jobs)])
    assert off(ours, images * 255) <= 2


@pytest.mark.parametrize("references", [0, 2])
def test_their_batch_where_nothing_is_padded(both: Both, references: int) -> None:
    case = Case(256, 256, references, 4, 2.5)
    jobs = both.jobs(case, EVEN_PROMPTS)
    ids = any_ids(case, jobs)
    latents = our_walk(both, ids, jobs)
    after, expected = both.theirs_painted(case, jobs, ids, range(4))
    assert far(latents, after) < 1e-4
    assert off(both.ours.decode_latents(latents[-1]), expected) <= 2


def test_their_padding_is_seen_and_ours_is_not(both: Both) -> None:
    """Why a batch of theirs is no measure where quotations differ in length: in it an image is
    another than alone, in ours it is the same."""
    case = Case(256, 256, 0, 2, 1.0)
    jobs = both.jobs(case)
    ids = any_ids(case, jobs)
    shorter = slice(1, 2)
    ours = our_walk(both, ids, jobs)[-1, shorter]
    together = both.theirs_painted(case, jobs, ids, range(2))[0][-1, shorter]
    alone = both.theirs_painted(case, jobs, ids, [1])[0][-1]
    assert far(together, alone) > 1e-2
    assert far(ours, alone) < 1e-4
