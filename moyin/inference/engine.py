"""Requests → images: the networks of one checkpoint, and the steps between them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from moyin.backend import device as backend_device
from moyin.backend import random
from moyin.checkpoint.digest_cache import cached_digest
from moyin.checkpoint.folder import GENERATION
from moyin.checkpoint.layout import NOTES
from moyin.checkpoint.load import Loading
from moyin.inference import memory
from moyin.inference.arguments import groups_of_equals
from moyin.inference.config import GenerationConfig
from moyin.inference.decode_latents import decode_latents
from moyin.inference.denoise import cache_references, denoise, encode_prompt_glyphs
from moyin.inference.encode_image import encode_latents, encode_tokens
from moyin.inference.generate_tokens import generate_tokens, split_grids, token_uniforms
from moyin.inference.image_processor import as_pixels, fit
from moyin.inference.observer import Observer, Progress
from moyin.inference.offload import Networks
from moyin.inference.request import Array, GeneratedImage, Reference, Request
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.inference.training_scope import TrainingScope, request_warnings
from moyin.prompt.generator_inputs import GeneratorInputs, generation_sequence
from moyin.prompt.grid import Grid, format_size

# Fields of generation_config.json that are used.
_SAMPLING = ("temperature", "top_p", "top_k")


class Engine:
    """The networks of one checkpoint, and the steps from a request to an image.

    Networks are loaded when first used. dtype: what they compute in.
    """

    def __init__(self, networks: Networks, dtype: str) -> None:
        self.networks, self.dtype = networks, dtype
        self.checkpoint = networks.checkpoint

    @property
    def generator(self) -> Any:
        return self.networks.get("generator")

    @property
    def decoder(self) -> Any:
        return self.networks.get("decoder")

    @property
    def semantic(self) -> Any:
        return self.networks.get("semantic")

    @property
    def glyph(self) -> Any:
        return self.networks.get("glyph")

    @property
    def autoencoder(self) -> Any:
        return self.networks.get("autoencoder")

    @cached_property
    def tokenizer(self) -> Any:
        """The text tokenizer."""
        return self.checkpoint.tokenizer()

    @cached_property
    def _checkpoint_digest(self) -> str:
        files = {entry.file for entry in self.checkpoint.entries.values()}
        files |= set(self.checkpoint.folder.glob("*/*.json"))
        return cached_digest(files, self.checkpoint.digest)

    @property
    def digest(self) -> str:
        """sha256 of the checkpoint's content; with LoRAs, of theirs and their weights too."""
        parts = [self._checkpoint_digest]
        if not self.networks.loras:
            return parts[0]
        parts += [f"{lora.digest()} {weight!r}" for lora, weight, _ in self.networks.loras]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @cached_property
    def defaults(self) -> GenerationConfig:
        """What the checkpoint prefers; GLM-Image's settings where its files have none.

        ValueError that names the file of a setting that does not exist or is out of range.
        """
        sampling = {name: self.checkpoint.sampling.get(name) for name in _SAMPLING}
        sampling = {name: value for name, value in sampling.items() if value is not None}
        general = _preferred(self.checkpoint.folder / GENERATION, GenerationConfig(), sampling)
        settings = self.checkpoint.notes.get("settings", {})
        return _preferred(self.checkpoint.folder / NOTES, general, settings)

    @property
    def quantization(self) -> str | None:
        """int8 or int4 where generator and decoder are packed."""
        loading = self.checkpoint.loading
        return self.checkpoint.packed or (loading.quantization if loading else None)

    def check_memory(
        self,
        settings: GenerationConfig,
        references: Sequence[Grid] = (),
        images: int = 1,
        decoding_only: bool = False,
    ) -> None:
        """ValueError where images of these settings, computed together and each from references of
        these grids, would not fit into memory. decoding_only: the tokens exist already."""
        workload = memory.Workload(
            grid=settings.grid,
            steps=settings.steps,
            references=tuple(references),
            images=images,
            token_guidance=settings.token_guidance != 1,
            decoding_only=decoding_only,
        )
        loading = self.checkpoint.loading or Loading()
        estimates = memory.estimate_memory(self.checkpoint, loading, workload)
        memory.check(estimates, self.networks.offload, backend_device.free_memory(), images)

    def warnings_for(self, request: Request) -> list[str]:
        """Plain sentences on how the request leaves what the checkpoint was trained for.

        Such as "no quoted text: this model writes only what is quoted". Empty where it does not,
        and where the checkpoint's moyin.json has no `trained_for`. The command line prints them
        and, with --strict, refuses the request.
        """
        return request_warnings(TrainingScope.from_notes(self.checkpoint.notes), request)

    # The steps, each of which can be called alone

    def generator_inputs(
        self,
        prompt: str | None,
        settings: GenerationConfig,
        references: Sequence[Reference] = (),
    ) -> GeneratorInputs:
        """What the generator reads; without a prompt, of the unconditional pass.

        ValueError for a prompt that is empty, too long or contains special tokens.
        """
        grids = [reference.grid.astype(np.int64) for reference in references]
        return generation_sequence(self.tokenizer, prompt, settings.grid, settings.preview, grids)

    def encode_image(self, image: Any) -> Reference:
        """A reference image: a PIL image or an array [H, W, 3], resized by `image_processor.fit`.

        ValueError as `image_processor.as_pixels` raises it.
        """
        return self.encode_images([image])[0]

    def encode_images(self, images: Sequence[Any]) -> tuple[Reference, ...]:
        """The same for several."""
        fitted = [fit(as_pixels(image)) for image in images]
        semantic = self.semantic
        grids = [encode_tokens(semantic, [image])[0] for image in fitted]
        del semantic
        autoencoder = self.autoencoder
        return tuple(
            Reference(grid, encode_latents(autoencoder, image, self.dtype))
            for grid, image in zip(grids, fitted, strict=True)
        )

    def run_generator(
        self, requests: Sequence[Request], progress: Progress | None = None
    ) -> list[SemanticTokens]:
        """The semantic tokens of each request, sampled together where the sampling is equal."""
        return list(self._run_generator(requests, Observer(progress=progress)).values())

    def run_decoder(
        self,
        tokens: Sequence[SemanticTokens],
        requests: Sequence[Request],
        progress: Progress | None = None,
    ) -> list[Array]:
        """Normalized latents [C, H/8, W/8] of each request's tokens.

        Requests of one size, flow sampling and sizes of references are denoised together.
        """
        return list(self._run_decoder(tokens, requests, Observer(progress=progress)).values())

    def decode_latents(self, latents_bchw: Array) -> Array:
        """Normalized latents → uint8 pixels [B, H, W, 3]."""
        return decode_latents(self.autoencoder, latents_bchw, self.dtype)

    def _run_generator(
        self, requests: Sequence[Request], observer: Observer
    ) -> dict[int, SemanticTokens]:
        """By the request's place; where the run is interrupted, of those that were begun."""
        tokens: dict[int, SemanticTokens] = {}
        codes = self.tokenizer.vocabulary.codes
        samplings = [request.settings.token_sampling for request in requests]
        for group in groups_of_equals(samplings):
            if observer.interrupted:
                break
            members, sampling = [requests[i] for i in group], samplings[group[0]]
            inputs = [
                self.generator_inputs(r.rewritten or r.prompt, r.settings, r.references)
                for r in members
            ]
            unconditional = []
            if sampling.token_guidance != 1:
                unconditional = [
                    self.generator_inputs(None, r.settings, r.references) for r in members
                ]
            rows = generate_tokens(
                self.generator,
                inputs,
                [
                    token_uniforms(i.count, r.seed, r.sample)
                    for i, r in zip(inputs, members, strict=True)
                ],
                sampling,
                unconditional=unconditional,
                dtype=self.dtype,
                on_step=observer.token_hook(members, inputs, codes),
            )
            for i, row, sample in zip(group, rows, inputs, strict=True):
                request = requests[i]
                tokens[i] = split_grids(
                    row, sample.grids, codes, request.prompt, request.seed, request.sample
                )
        return dict(sorted(tokens.items()))

    def _run_decoder(
        self, tokens: Sequence[SemanticTokens], requests: Sequence[Request], observer: Observer
    ) -> dict[int, Array]:
        """By the request's place; where the run is interrupted, of those that were begun."""
        self._check_codes(tokens)
        latents: dict[int, Array] = {}
        keys = [
            (t.grid.shape, r.settings.flow_sampling, tuple(x.grid.shape for x in r.references))
            for t, r in zip(tokens, requests, strict=True)
        ]
        for group in groups_of_equals(keys):
            if observer.interrupted:
                break
            members = [(tokens[i], requests[i]) for i in group]
            # Before the decoder: the two may not be in memory together.
            glyphs = [self._glyphs(t.prompt, r.settings) for t, r in members]
            no_glyphs = self._glyphs("", members[0][1].settings)
            references = [[(x.grid, x.latents) for x in r.references] for _, r in members]
            denoised = denoise(
                self.decoder,
                np.stack([t.grid for t, _ in members]),
                glyphs,
                no_glyphs,
                np.stack([self._noise(t, r) for t, r in members]),
                keys[group[0]][1],
                schedule=self.checkpoint.schedule(),
                dtype=self.dtype,
                references=cache_references(self.decoder, references, self.dtype),
                on_step=observer.denoising_hook([t for t, _ in members]),
            )
            latents |= dict(zip(group, denoised, strict=True))
        return dict(sorted(latents.items()))

    def _noise(self, tokens: SemanticTokens, request: Request) -> Array:
        channels = self.checkpoint.config("decoder").channels
        shape = (channels, tokens.height // 8, tokens.width // 8)
        return random.normal(shape, request.seed, request.sample, "latents")

    def _glyphs(self, prompt: str, settings: GenerationConfig) -> Array:
        return encode_prompt_glyphs(self.glyph, prompt, settings.exact_quotes, self.dtype)

    def _check_codes(self, tokens: Sequence[SemanticTokens]) -> None:
        codes = self.checkpoint.config("decoder").codes
        for item in tokens:
            if item.codes != codes:
                raise ValueError(
                    f"these tokens belong to a codebook of {item.codes}, this checkpoint has "
                    f"{codes}: decode them with the checkpoint that generated them"
                )

    # Requests

    def run(
        self, requests: Sequence[Request], progress: Progress | None = None
    ) -> list[GeneratedImage]:
        """All images, of any prompts, sizes and references, computed together.

        No image changes with its neighbours, but for the rounding of sums, and where they decide
        together on what the first-block cache reuses.
        """
        return self.run_decoding(self.run_generator(requests, progress), requests, progress)

    def run_each(
        self, requests: Sequence[Request], progress: Progress | None = None, batch_size: int = 1
    ) -> Iterator[GeneratedImage]:
        """The images as they are done, `batch_size` computed together; all of them with
        offloading, so that networks are loaded once."""
        for batch in self._batches(requests, batch_size):
            yield from self.run(batch, progress)

    def run_decoding(
        self,
        tokens: Sequence[SemanticTokens],
        requests: Sequence[Request],
        progress: Progress | None = None,
    ) -> list[GeneratedImage]:
        """The images of these tokens, in the tokens' sizes."""
        latents = self.run_decoder(tokens, requests, progress)
        return [
            GeneratedImage(self.decode_latents(x[None])[0], t, self.metadata(t, r))
            for x, t, r in zip(latents, tokens, requests, strict=True)
        ]

    def metadata(self, tokens: SemanticTokens, request: Request) -> dict[str, Any]:
        """How an image is made, for its file."""
        settings = request.settings
        fields = {
            "prompt": tokens.prompt,
            "seed": request.seed,
            "sample": request.sample,
            "size": format_size(tokens.height, tokens.width),
            "steps": settings.steps,
            "guidance": settings.guidance,
            "sampler": settings.sampler,
            "reuse": settings.reuse,
            "checkpoint": self.digest,
        }
        if self.networks.loras:
            loras = [f"{lora.name}={weight:g}" for lora, weight, _ in self.networks.loras]
            fields["loras"] = ", ".join(loras)
        if self.quantization:
            fields["quantization"] = self.quantization
        if request.rewritten:
            fields["rewritten"] = request.rewritten
        return fields | ({"references": len(request.references)} if request.references else {})

    def _batches(self, requests: Sequence[Request], batch_size: int) -> list[Sequence[Request]]:
        size = len(requests) if self.networks.offload else batch_size
        return [requests[i : i + size] for i in range(0, len(requests), size)]


def _preferred(path: Path, base: GenerationConfig, given: Any) -> GenerationConfig:
    """`base` with what a file asks for. ValueError that names the file."""
    try:
        if not isinstance(given, dict):
            raise ValueError("settings must be a JSON object")
        return base.replace(**given)
    except ValueError as e:
        raise ValueError(f"{path}: {e}") from None
