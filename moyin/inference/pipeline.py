"""The pipeline: the networks of one checkpoint, and the arrows between them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Items
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from moyin.backend import device, random
from moyin.checkpoint.digest_cache import remembered
from moyin.checkpoint.folder import GENERATION, Checkpoint
from moyin.checkpoint.layout import NOTES
from moyin.checkpoint.load import Loading
from moyin.checkpoint.lora import Lora
from moyin.flow.samplers import SAMPLERS
from moyin.inference import denoise, generate_tokens, memory
from moyin.inference.decode_latents import develop, encode
from moyin.inference.image_processor import semantic_ids
from moyin.inference.offload import Networks
from moyin.inference.reference import fitted
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.prompt.generator_inputs import Sequence, generation_sequence
from moyin.prompt.grid import Grid, format_size

Array = np.ndarray[Any, Any]
T = TypeVar("T")
# What generation_config.json says of sampling, and what ids written together have in common.
_SAMPLED = ("temperature", "top_p", "top_k")
_WRITTEN = (*_SAMPLED, "ids_guidance", "draft")
# How a setting's type is asked for.
_WORDS = {
    "int": "a whole number",
    "float": "a finite number",
    "bool": "true or false",
    "str": "a name",
}


class Progress(Protocol):
    """Told what is being made and how far it is: stage is `ids` or `steps`."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def no_progress(stage: str, done: int, total: int) -> None:
    """Reports to nobody."""


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """What a checkpoint prefers, and a caller may change.

    height, width: pixels, multiples of 32. steps, guidance: of the flow. temperature, top_p, top_k
    (0: all), ids_guidance (1: none): of the ids. preview: whether the ids of a small image are
    written first. exact_quotes: read quotation marks as GLM-Image's own pipeline does, for which
    every apostrophe is one. sampler: of the flow, a name of `flow.samplers`. reuse: how little the
    first block's part may change from one step to another for the later blocks' to stand in
    unchanged (`model.reuse`); 0 computes everything. draft: how many ids may be guessed ahead and
    checked at once, which changes the time and not the ids (`pipeline.draft`).

    ValueError for a value of another type or beyond its bounds.
    """

    height: int = 1024
    width: int = 1024
    steps: int = 50
    guidance: float = 1.5
    temperature: float = 0.9
    top_p: float = 0.75
    top_k: int = 0
    ids_guidance: float = 1.0
    preview: bool = True
    exact_quotes: bool = False
    sampler: str = "euler"
    reuse: float = 0.0
    draft: int = 0

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not _is_a(str(f.type), value):
                raise ValueError(f"{f.name} must be {_WORDS[str(f.type)]}, not {value!r}")
        Grid.of_pixels(self.height, self.width)
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")
        if self.temperature < 0:
            raise ValueError(f"temperature must be 0 or more, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 or more, not {self.top_k}")
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler must be {' or '.join(SAMPLERS)}, not {self.sampler}")
        if self.draft < 0:
            raise ValueError(f"draft must be 0 or more, not {self.draft}")
        if self.reuse < 0:
            raise ValueError(f"reuse must be 0 or more, not {self.reuse}")

    @property
    def grid(self) -> Grid:
        return Grid.of_pixels(self.height, self.width)


@dataclass(frozen=True)
class GeneratedImage:
    """uint8 pixels [H, W, 3], the ids they were painted from, and the facts for its metadata."""

    pixels: Array
    ids: SemanticTokens
    facts: dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """An image to be edited: its ids [rows, columns] and normalized latents [C, H/8, W/8]."""

    grid: Array
    latents: Array


@dataclass(frozen=True, kw_only=True)
class Request:
    """One image to be made.

    sample: which of the layouts that the seed gives. rewritten: what the generator reads in place
    of the prompt, with the same quoted strings (`prompt.rewrite`).
    """

    prompt: str
    settings: GenerationConfig
    seed: int = 0
    sample: int = 0
    references: tuple[Reference, ...] = ()
    rewritten: str | None = None


class GlmImagePipeline:
    """Networks are loaded when first used. dtype: what is computed in."""

    def __init__(self, networks: Networks, dtype: str) -> None:
        self.networks, self.dtype = networks, dtype
        self.checkpoint = networks.checkpoint

    @classmethod
    def open(
        cls,
        place: str | Path | None = None,
        dtype: str | None = None,
        loras: Mapping[str, float] | None = None,
        merged: bool = False,
        weights: str | None = None,
        offload: bool = False,
        compiled: bool = False,
    ) -> GlmImagePipeline:
        """A folder, a hub id or the default checkpoint.

        dtype: float32 or bfloat16; unless told, bf16 on an accelerator and for packed weights.
        loras: weights by path, of LoRA files or folders as PEFT or diffusers write them. weights:
        int8 or int4 packs generator and decoder while they are read. offload: one network in
        memory at a time, and on disk what is read a few rows at a time or once an image. compiled:
        the decoder's blocks, at the first image of every size.
        Raises ValueError where a shard is missing or broken: now, not when half an image is made.
        """
        checkpoint = Checkpoint.open(place)
        if not checkpoint.entries:
            raise ValueError(f"{checkpoint.folder} holds no weights: fetch the checkpoint again")
        packed = weights or checkpoint.packed
        half = device.is_accelerator() or (packed and device.supports_bfloat16())
        chosen = dtype or ("bfloat16" if half else "float32")
        checkpoint.loading = Loading(dtype=chosen, weights=weights, stored=offload)
        adapters = [(Lora.open(path), weight) for path, weight in (loras or {}).items()]
        return cls(Networks(checkpoint, adapters, merged, offload, compiled), chosen)

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
        return self.checkpoint.tokenizer()

    @cached_property
    def digest(self) -> str:
        """The checkpoint's; with adapters, over theirs and their weights too."""
        files = {entry.file for entry in self.checkpoint.entries.values()}
        files |= set(self.checkpoint.folder.glob("*/*.json"))
        parts = [remembered(files, self.checkpoint.digest)]
        if not self.networks.adapters:
            return parts[0]
        parts += [f"{lora.digest()} {weight!r}" for lora, weight in self.networks.adapters]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @cached_property
    def defaults(self) -> GenerationConfig:
        """What the checkpoint prefers: its own size above all; GLM-Image's where it is silent.

        ValueError that names the file of a setting that there is not, or not so.
        """
        sampling = {k: self.checkpoint.sampling.get(k) for k in _SAMPLED}
        sampling = {k: v for k, v in sampling.items() if v is not None}
        known = _preferred(self.checkpoint.folder / GENERATION, GenerationConfig(), sampling)
        settings = self.checkpoint.notes.get("settings", {})
        return _preferred(self.checkpoint.folder / NOTES, known, settings)

    @property
    def weights(self) -> str | None:
        """int8 or int4 where generator and decoder are packed."""
        loading = self.checkpoint.loading
        return self.checkpoint.packed or (loading.weights if loading else None)

    def check_memory(
        self,
        settings: GenerationConfig,
        references: Items[Grid] = (),
        images: int = 1,
        painted_only: bool = False,
    ) -> None:
        """Raises ValueError where so many images of these settings, drawn at once and each from
        references of these grids, would not fit into memory. painted_only: from ids that are there
        already."""
        task = memory.Task(
            grid=settings.grid,
            steps=settings.steps,
            references=tuple(references),
            images=images,
            guided_ids=settings.ids_guidance != 1,
            painted_only=painted_only,
        )
        found = memory.needs(self.checkpoint, self.checkpoint.loading or Loading(), task)
        memory.check(found, self.networks.alone, device.free_memory(), images)

    # The arrows

    def sequence(
        self, prompt: str | None, settings: GenerationConfig, references: Items[Reference] = ()
    ) -> Sequence:
        """prompt → what the generator reads; None for the unconditional sequence.

        ValueError for a prompt that it cannot take.
        """
        grids = [r.grid.astype(np.int64) for r in references]
        return generation_sequence(self.tokenizer, prompt, settings.grid, settings.preview, grids)

    def reference(self, image_hwc: Array) -> Reference:
        """An image to be edited, uint8 [H, W, 3], at the size of `pipeline.reference.fitted`."""
        return self.references([image_hwc])[0]

    def references(self, images: Items[Array]) -> tuple[Reference, ...]:
        """The same for several."""
        found = [fitted(image) for image in images]
        semantic = self.semantic
        grids = [semantic_ids(semantic, [image])[0] for image in found]
        del semantic
        autoencoder = self.autoencoder
        return tuple(
            Reference(grid, encode(autoencoder, image, self.dtype))
            for grid, image in zip(grids, found, strict=True)
        )

    def ids(self, jobs: Items[Request], progress: Progress | None = None) -> list[SemanticTokens]:
        """Jobs → semantic tokens, written together where they are sampled alike."""
        found: dict[int, SemanticTokens] = {}
        for some in alike(jobs, _sampling):
            chosen = [jobs[i] for i in some]
            settings = chosen[0].settings
            sequences = [
                self.sequence(j.rewritten or j.prompt, j.settings, j.references) for j in chosen
            ]
            without = []
            if settings.ids_guidance != 1:
                without = [self.sequence(None, j.settings, j.references) for j in chosen]
            rows = generate_tokens.write(
                self.generator,
                sequences,
                [
                    generate_tokens.uniforms(s.count, j.seed, j.sample)
                    for s, j in zip(sequences, chosen, strict=True)
                ],
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=settings.top_k,
                unconditional=without,
                guidance=settings.ids_guidance,
                draft=settings.draft,
                dtype=self.dtype,
                progress=_stage(progress, "tokens"),
            )
            codes = self.tokenizer.vocabulary.codes
            for i, row, sequence in zip(some, rows, sequences, strict=True):
                found[i] = generate_tokens.grids(
                    row, sequence, codes, jobs[i].prompt, jobs[i].sample
                )
        return [found[i] for i in range(len(jobs))]

    def latents(
        self, ids: Items[SemanticTokens], jobs: Items[Request], progress: Progress | None = None
    ) -> list[Array]:
        """Semantic tokens → latents [C, H/8, W/8], normalized, each painted as its job says.

        Those of one size, with as many references of the same sizes, are painted together.
        """
        self._check_codes(ids)
        pairs = list(zip(ids, jobs, strict=True))
        found: dict[int, Array] = {}
        for some in alike(pairs, _shape):
            chosen = [pairs[i] for i in some]
            settings = chosen[0][1].settings
            # Before the decoder: the two may not be in memory together.
            glyphs = [self._glyphs(i.prompt, job.settings) for i, job in chosen]
            no_glyphs = self._glyphs("", settings)
            kept = [[(r.grid, r.latents) for r in job.references] for _, job in chosen]
            painted = denoise.paint(
                self.decoder,
                np.stack([i.grid for i, _ in chosen]),
                glyphs,
                no_glyphs,
                np.stack([self._noise(i, job) for i, job in chosen]),
                steps=settings.steps,
                guidance=settings.guidance,
                schedule=self.checkpoint.schedule(),
                dtype=self.dtype,
                references=denoise.remembered(self.decoder, kept, self.dtype),
                sampler=settings.sampler,
                reuse=settings.reuse,
                progress=_stage(progress, "steps"),
            )
            found |= dict(zip(some, painted, strict=True))
        return [found[i] for i in range(len(jobs))]

    def _noise(self, ids: SemanticTokens, job: Request) -> Array:
        channels = self.checkpoint.config("decoder").channels
        shape = (channels, ids.height // 8, ids.width // 8)
        return random.normal(shape, job.seed, job.sample, "latents")

    def pixels(self, latents_bchw: Array) -> Array:
        """Latents → uint8 pixels [b, H, W, 3]."""
        return develop(self.autoencoder, latents_bchw, self.dtype)

    def _glyphs(self, prompt: str, settings: GenerationConfig) -> Array:
        return denoise.glyph_states(self.glyph, prompt, settings.exact_quotes, self.dtype)

    def _check_codes(self, ids: Items[SemanticTokens]) -> None:
        codes = self.checkpoint.config("decoder").codes
        if any(i.codes != codes for i in ids):
            raise ValueError(
                f"these ids belong to a codebook of {ids[0].codes}, this checkpoint has {codes}: "
                "decode them with the checkpoint that wrote them"
            )

    # All of them

    def draw(self, jobs: Items[Request], progress: Progress | None = None) -> list[GeneratedImage]:
        """All the images, of any prompts, sizes and references, in one batch.

        None changes with its neighbours, but for the rounding of sums and where they decide
        together on what is reused.
        """
        return self.painted(self.ids(jobs, progress), jobs, progress)

    def painted(
        self, ids: Items[SemanticTokens], jobs: Items[Request], progress: Progress | None = None
    ) -> list[GeneratedImage]:
        """The images of these ids; their sizes are the ids'."""
        latents = self.latents(ids, jobs, progress)
        return [
            GeneratedImage(self.pixels(x[None])[0], i, self._facts(i, job))
            for x, i, job in zip(latents, ids, jobs, strict=True)
        ]

    def _facts(self, ids: SemanticTokens, job: Request) -> dict[str, Any]:
        facts = {
            "prompt": ids.prompt,
            "seed": job.seed,
            "sample": job.sample,
            "size": format_size(ids.height, ids.width),
            "steps": job.settings.steps,
            "guidance": job.settings.guidance,
            "sampler": job.settings.sampler,
            "reuse": job.settings.reuse,
            "checkpoint": self.digest,
        }
        if self.networks.adapters:
            loras = [f"{lora.name}={weight:g}" for lora, weight in self.networks.adapters]
            facts["loras"] = ", ".join(loras)
        if self.weights:
            facts["weights"] = self.weights
        if job.rewritten:
            facts["rewritten"] = job.rewritten
        return facts | ({"references": len(job.references)} if job.references else {})

    def generate(
        self,
        prompt: str,
        settings: GenerationConfig | None = None,
        *,
        seed: int = 0,
        n: int = 1,
        rewritten: str | None = None,
        progress: Progress | None = None,
    ) -> Iterator[GeneratedImage]:
        """n images, each of its own layout, as they are done. rewritten: as `Request` has it."""
        job = Request(
            prompt=prompt, settings=settings or self.defaults, seed=seed, rewritten=rewritten
        )
        yield from self._several(job, n, progress)

    def edit(
        self,
        prompt: str,
        images: Items[Array],
        settings: GenerationConfig | None = None,
        *,
        seed: int = 0,
        n: int = 1,
        rewritten: str | None = None,
        progress: Progress | None = None,
    ) -> Iterator[GeneratedImage]:
        """n images made of `images`, uint8 [H, W, 3] each, as they are done.

        Without settings, the checkpoint's own at the first image's size (`fitted`). rewritten:
        as `Request` has it.
        """
        if not images:
            raise ValueError("give at least one image to edit")
        references = self.references(images)
        rows, columns = references[0].grid.shape
        settings = settings or replace(self.defaults, height=32 * rows, width=32 * columns)
        job = Request(
            prompt=prompt,
            settings=settings,
            seed=seed,
            references=references,
            rewritten=rewritten,
        )
        yield from self._several(job, n, progress)

    def _several(self, job: Request, n: int, progress: Progress | None) -> Iterator[GeneratedImage]:
        jobs = [replace(job, sample=sample) for sample in range(n)]
        # Networks that do not stay in memory are loaded once for all.
        groups = [jobs] if self.networks.alone else [[job] for job in jobs]
        for group in groups:
            yield from self.draw(group, progress)

    def decode(
        self,
        ids: SemanticTokens,
        settings: GenerationConfig | None = None,
        *,
        seed: int = 0,
        sample: int = 0,
        references: tuple[Reference, ...] = (),
        progress: Progress | None = None,
    ) -> GeneratedImage:
        """The image of these ids; its size is theirs."""
        job = Request(
            prompt=ids.prompt,
            settings=settings or self.defaults,
            seed=seed,
            sample=sample,
            references=references,
        )
        return self.painted([ids], [job], progress)[0]


def _is_a(kind: str, value: Any) -> bool:
    """Whether a value is of a setting's type; true and false are no numbers, as JSON has it."""
    if kind == "float":
        finite = not isinstance(value, float) or math.isfinite(value)
        return finite and isinstance(value, int | float) and not isinstance(value, bool)
    return type(value).__name__ == kind


def _preferred(path: Path, base: GenerationConfig, given: Any) -> GenerationConfig:
    """`base` with what a file asks for. ValueError that names it."""
    names = [f.name for f in fields(base)]
    if not isinstance(given, dict):
        raise ValueError(f"{path}: settings must be a JSON object")
    for name in sorted(given.keys() - set(names)):
        raise ValueError(f"{path}: no setting {name} (there are: {', '.join(names)})")
    try:
        return replace(base, **given)
    except ValueError as e:
        raise ValueError(f"{path}: {e}") from None


def alike(items: Items[T], key: Callable[[T], Any]) -> list[list[int]]:
    """The numbers of the items, those with equal keys together, in order of their firsts."""
    groups: dict[Any, list[int]] = {}
    for i, item in enumerate(items):
        groups.setdefault(key(item), []).append(i)
    return list(groups.values())


def _shape(pair: tuple[SemanticTokens, Request]) -> Any:
    ids, job = pair
    s, sizes = job.settings, tuple(r.grid.shape for r in job.references)
    return ids.grid.shape, s.steps, s.guidance, s.sampler, s.reuse, sizes


def _sampling(job: Request) -> Any:
    return tuple(getattr(job.settings, name) for name in _WRITTEN)


def _stage(progress: Progress | None, stage: str) -> generate_tokens.Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(stage, done, total)
