"""The public face: a pipeline that is called as diffusers' pipelines are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from moyin.backend import device as backend_device
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.load import Loading
from moyin.checkpoint.lora import Lora
from moyin.inference import arguments
from moyin.inference.engine import Engine
from moyin.inference.image_processor import fitted_grid
from moyin.inference.observer import Observer, StepCallback
from moyin.inference.offload import Networks
from moyin.inference.output import LabelledImage
from moyin.inference.request import Array, PipelineOutput, Reference, Request
from moyin.inference.semantic_tokens import SemanticTokens


class GlmImagePipeline(Engine):
    """A GLM-Image-class model. Open it with `from_pretrained` and call it.

    One seed is one image, whatever else is in the call and on every backend (up to rounding, and
    where `batch_size` lets images be computed together).
    """

    _observer: Observer | None = None

    @classmethod
    def from_pretrained(
        cls,
        path_or_hub_id: str | Path | None = None,
        *,
        device: str | None = None,
        dtype: Any = None,
        torch_dtype: Any = None,
        quantization: str | None = None,
        offload: bool = False,
        compile: bool = False,
    ) -> GlmImagePipeline:
        """Open a folder, a hub id or, without an argument, the embedded checkpoint.

        device: such as cpu, cuda:0 or npu:0, for the whole process. dtype, torch_dtype: float32 or
        bfloat16, by name or as torch.dtype; by default bfloat16 on an accelerator and for packed
        weights. quantization: int8 or int4 packs generator and decoder while they are read.
        offload: one network in memory at a time. compile: compile the decoder's blocks, at the
        first image of every size.

        ValueError where there is no checkpoint, a shard is missing or broken, or the device is
        unknown or cannot be chosen any more.
        """
        if device is not None:
            backend_device.use(device)
        checkpoint = Checkpoint.open(path_or_hub_id)
        if not checkpoint.entries:
            raise ValueError(f"{checkpoint.folder} holds no weights: fetch the checkpoint again")
        packed = quantization or checkpoint.packed
        half = backend_device.is_accelerator() or (packed and backend_device.supports_bfloat16())
        computed = arguments.dtype_name(dtype, torch_dtype) or ("bfloat16" if half else "float32")
        loading = Loading(dtype=computed, quantization=quantization, lazy=offload)
        checkpoint = Checkpoint(checkpoint.folder, loading)
        return cls(Networks(checkpoint, offload, compile), computed)

    def load_lora_weights(
        self, path: str | Path, weight: float = 1.0, *, merge: bool = False
    ) -> None:
        """Apply a LoRA file or folder, as PEFT or diffusers write it, besides those that are.

        merge: add it to the weights, which then cost nothing more. ValueError where it is no LoRA,
        or one for another model.
        """
        self.networks.add_lora(Lora.open(path), weight, merge)

    def unload_lora_weights(self) -> None:
        """Remove all LoRAs."""
        self.networks.remove_loras()

    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        image: Any = None,
        width: int | Sequence[int] | None = None,
        height: int | Sequence[int] | None = None,
        num_images_per_prompt: int = 1,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        token_guidance: float | None = None,
        sampler: str | None = None,
        seed: int | Sequence[int] | None = None,
        generator: Any = None,
        output_type: str = "pil",
        callback_on_step_end: StepCallback | None = None,
        return_dict: bool = True,
        batch_size: int = 1,
    ) -> PipelineOutput | tuple[list[Any]]:
        """Images of one or several prompts, prompt by prompt.

        image: a reference image or a list of them (PIL, or arrays [H, W, 3]) to be edited; for a
        list of prompts, a list with an image or a list of images for each. width, height: pixels,
        multiples of 32; for a list of prompts, lists of them too. Without them, the first reference
        image's size or else the checkpoint's. num_images_per_prompt: layouts of each prompt's seed.
        seed, generator: see `arguments.seeds_and_samples`; random without either. Other settings
        are the checkpoint's where they are None (`GenerationConfig`).

        output_type: pil, np (float32 [H, W, 3] in [0, 1]) or latent (normalized [C, H/8, W/8]).
        callback_on_step_end: called as callback(pipeline, step, timestep, state) after every step
        with state["stage"] "tokens" or "denoise"; state["tokens"] are the `SemanticTokens`, those
        not yet generated filled in, state["latents"] [B, C, h, w] the noisy latents and
        state["estimate"] the clean ones. It may return {"latents": others}. Within it,
        `interrupt()` ends the call with what is there, and `preview(state)` makes an image of it.
        return_dict: False for a tuple with the images. batch_size: images computed together.

        ValueError for arguments that do not go together and for what cannot be generated, before
        anything is.
        """
        arguments.check_output_type(output_type)
        requests = self._requests(
            prompt,
            image=image,
            width=width,
            height=height,
            images=num_images_per_prompt,
            seed=seed,
            generator=generator,
            changes={
                "num_inference_steps": num_inference_steps,
                "guidance_scale": guidance_scale,
                "temperature": temperature,
                "top_p": top_p,
                "top_k": top_k,
                "token_guidance": token_guidance,
                "sampler": sampler,
            },
        )
        batch_size = arguments.positive("batch_size", batch_size)
        output = PipelineOutput()
        with self._observed(callback_on_step_end) as observer:
            for batch in self._batches(requests, batch_size):
                if observer.interrupted:
                    break
                tokens = self._run_generator(batch, observer)
                begun = [batch[i] for i in tokens]
                self._decode(list(tokens.values()), begun, observer, output_type, output)
        output.interrupted = observer.interrupted
        return output if return_dict else (output.images,)

    def generate_tokens(
        self,
        prompt: str | Sequence[str],
        *,
        image: Any = None,
        width: int | Sequence[int] | None = None,
        height: int | Sequence[int] | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        token_guidance: float | None = None,
        seed: int | Sequence[int] | None = None,
        generator: Any = None,
        callback_on_step_end: StepCallback | None = None,
        batch_size: int = 1,
    ) -> Any:
        """The `SemanticTokens` of a prompt, or a list of them for a list of prompts.

        Arguments as in `__call__`. `decode` makes the image that `__call__` makes.
        """
        requests = self._requests(
            prompt,
            image=image,
            width=width,
            height=height,
            images=1,
            seed=seed,
            generator=generator,
            changes={
                "temperature": temperature,
                "top_p": top_p,
                "top_k": top_k,
                "token_guidance": token_guidance,
            },
        )
        batch_size = arguments.positive("batch_size", batch_size)
        tokens: list[SemanticTokens] = []
        with self._observed(callback_on_step_end) as observer:
            for batch in self._batches(requests, batch_size):
                tokens += self._run_generator(batch, observer).values()
        return tokens[0] if isinstance(prompt, str) else tokens

    def decode(
        self,
        tokens: SemanticTokens | Sequence[SemanticTokens],
        *,
        image: Any = None,
        seed: int | Sequence[int] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        sampler: str | None = None,
        output_type: str = "pil",
        callback_on_step_end: StepCallback | None = None,
    ) -> Any:
        """The image of semantic tokens, or a list of images for a list of them.

        seed: of the decoder's noise; without it the tokens' own. image: the reference images of an
        edit. Other arguments as in `__call__`. ValueError for tokens of another codebook.
        """
        arguments.check_output_type(output_type)
        single = isinstance(tokens, SemanticTokens)
        items = [tokens] if isinstance(tokens, SemanticTokens) else list(tokens)
        references = self._references(image, len(items), not single)
        seeds = arguments.per_prompt("seed", seed, len(items))
        changes = arguments.changed_settings(
            {
                "num_inference_steps": num_inference_steps,
                "guidance_scale": guidance_scale,
                "sampler": sampler,
            }
        )
        output = PipelineOutput()
        with self._observed(callback_on_step_end) as observer:
            for item, item_seed, refs in zip(items, seeds, references, strict=True):
                request = Request(
                    prompt=item.prompt,
                    settings=self.defaults.replace(height=item.height, width=item.width, **changes),
                    seed=item.seed if item_seed is None else arguments.whole("seed", item_seed),
                    sample=item.sample,
                    references=refs,
                )
                self._decode([item], [request], observer, output_type, output)
        return output.images[0] if single else output.images

    def interrupt(self) -> None:
        """Called within `callback_on_step_end`: ends the call with what is there.

        Denoising ends with the estimate of the clean latents; tokens not yet generated are filled
        in and denoised in one step.
        """
        if self._observer is not None:
            self._observer.interrupted = True

    def preview(self, state: dict[str, Any], index: int = 0) -> LabelledImage:
        """A PIL image of the unfinished state that a callback gets.

        index: of the images that are computed together. While tokens are generated, they are
        denoised in one step; with offloading this needs two networks in memory.
        """
        if state["stage"] == "tokens":
            preview: LabelledImage = self.decode(state["tokens"][index], num_inference_steps=1)
            return preview
        pixels = self.decode_latents(np.asarray(state["estimate"])[index : index + 1])[0]
        prompt = state["tokens"][index].prompt
        return LabelledImage.from_pixels(pixels, {"prompt": prompt, "checkpoint": self.digest})

    @contextmanager
    def _observed(self, callback: StepCallback | None) -> Iterator[Observer]:
        """The observer that `interrupt` reaches; a preview's own call does not replace it."""
        outer = self._observer
        observer = Observer(self, callback=callback)
        if callback is not None:
            self._observer = observer
        try:
            yield observer
        finally:
            self._observer = outer

    def _decode(
        self,
        tokens: Sequence[SemanticTokens],
        requests: Sequence[Request],
        observer: Observer,
        output_type: str,
        output: PipelineOutput,
    ) -> None:
        """Add the images of these tokens to the output."""
        interrupted_before = observer.interrupted
        if interrupted_before:
            requests = [replace(r, settings=r.settings.replace(steps=1, reuse=0)) for r in requests]
            latents = self._run_decoder(tokens, requests, Observer())
        else:
            latents = self._run_decoder(tokens, requests, observer)
        for i, latents_chw in latents.items():
            metadata = self.metadata(tokens[i], requests[i])
            output.images.append(self._presented(latents_chw, metadata, output_type))
            output.tokens.append(tokens[i])
            output.metadata.append(metadata)

    def _presented(self, latents_chw: Array, metadata: dict[str, Any], output_type: str) -> Any:
        if output_type == "latent":
            return latents_chw
        pixels = self.decode_latents(latents_chw[None])[0]
        if output_type == "np":
            return pixels.astype(np.float32) / 255
        return LabelledImage.from_pixels(pixels, metadata)

    def _requests(
        self,
        prompt: Any,
        *,
        image: Any,
        width: Any,
        height: Any,
        images: Any,
        seed: Any,
        generator: Any,
        changes: dict[str, Any],
    ) -> list[Request]:
        """All requests of a call, checked; reference images are encoded."""
        prompts = arguments.prompt_list(prompt)
        count, images = len(prompts), arguments.positive("num_images_per_prompt", images)
        seeds = arguments.seeds_and_samples(seed, generator, count, images)
        settings = self.defaults.replace(**arguments.changed_settings(changes))
        sizes = zip(
            arguments.per_prompt("width", width, count),
            arguments.per_prompt("height", height, count),
            strict=True,
        )
        pixels = arguments.reference_lists(image, count, not isinstance(prompt, str))
        sized = []
        for text, (columns, rows), edited in zip(prompts, sizes, pixels, strict=True):
            given = arguments.changed_settings({"width": columns, "height": rows})
            if edited:
                grid = fitted_grid(edited[0])
                given = {"width": grid.width, "height": grid.height} | given
            sized.append(settings.replace(**given))
            self.generator_inputs(text, sized[-1])  # raises for a prompt that cannot be read
        encoded = self._encoded(pixels)
        return [
            Request(
                prompt=text,
                settings=own,
                seed=number,
                sample=sample,
                references=references,
            )
            for text, own, references, pairs in zip(prompts, sized, encoded, seeds, strict=True)
            for number, sample in pairs
        ]

    def _references(self, image: Any, count: int, is_list: bool) -> list[tuple[Reference, ...]]:
        return self._encoded(arguments.reference_lists(image, count, is_list))

    def _encoded(self, images: list[list[Array]]) -> list[tuple[Reference, ...]]:
        """References of each list of images, all encoded at once, as networks may be loaded."""
        flat = [image for group in images for image in group]
        references = iter(self.encode_images(flat) if flat else ())
        return [tuple(next(references) for _ in group) for group in images]
