"""The arguments of a pipeline call, as users of diffusers write them, in one form."""

from __future__ import annotations

import operator
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moyin.inference.image_processor import as_pixels

Array = np.ndarray[Any, Any]
OUTPUT_TYPES = ("pil", "np", "latent")
# diffusers' names of settings.
SETTINGS = {"num_inference_steps": "steps", "guidance_scale": "guidance"}


def prompt_list(prompt: Any) -> list[str]:
    """A prompt or a list of them. ValueError for anything else, and for an empty list."""
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, list | tuple) or not prompts:
        raise ValueError(f"prompt must be a string or a list of strings, not {prompt!r}")
    if not all(isinstance(item, str) for item in prompts):
        raise ValueError("prompt must be a string or a list of strings")
    return list(prompts)


def per_prompt(name: str, value: Any, count: int) -> list[Any]:
    """A value for each prompt, from one for all or a list. ValueError for another length."""
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} values for {count} prompts")
    return list(value)


def reference_lists(image: Any, count: int, is_list: bool) -> list[list[Array]]:
    """The reference images of each prompt, as uint8 [H, W, 3].

    image: None, an image or a list of images; for a list of prompts an image for all, or a list
    with an image or a list of images for each.
    """
    if image is None:
        return [[] for _ in range(count)]
    if not is_list:
        images = image if isinstance(image, list | tuple) else [image]
        if not images:
            raise ValueError("image is an empty list: give at least one reference image, or none")
        return [[as_pixels(item) for item in images]]
    lists = per_prompt("image", image, count)
    return [
        [as_pixels(item) for item in (images if isinstance(images, list | tuple) else [images])]
        for images in lists
    ]


def seeds_and_samples(
    seed: Any, generator: Any, prompts: int, images: int
) -> list[list[tuple[int, int]]]:
    """(seed, sample) of each of the prompts' images.

    One seed, or one for each prompt, whose images are samples 0, 1, … of it; or, by diffusers'
    habit, a seeded `torch.Generator`, one for each prompt, or one for each image. Without either
    the seed is random. ValueError for another number of them.
    """
    if seed is not None and generator is not None:
        raise ValueError("give either seed or generator, not both")
    given = generator if generator is not None else seed
    if given is None:
        given = secrets.randbits(32)
    if isinstance(given, list | tuple) and len(given) == prompts * images and images > 1:
        each = [_seed(item) for item in given]
        return [[(s, 0) for s in each[i * images :][:images]] for i in range(prompts)]
    name = "seed" if generator is None else "generator"
    return [
        [(_seed(item), sample) for sample in range(images)]
        for item in per_prompt(name, given, prompts)
    ]


def _seed(value: Any) -> int:
    if hasattr(value, "initial_seed"):
        return int(value.initial_seed())
    return whole("seed", value)


def whole(name: str, value: Any) -> int:
    """ValueError unless it is a whole number."""
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, not {value!r}") from None


def positive(name: str, value: Any) -> int:
    """ValueError unless it is a whole number of at least 1."""
    if whole(name, value) < 1:
        raise ValueError(f"{name} must be at least 1, not {value!r}")
    return operator.index(value)


def changed_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that are not None, under GenerationConfig's names."""
    return {SETTINGS.get(name, name): v for name, v in given.items() if v is not None}


def check_output_type(output_type: str) -> None:
    if output_type not in OUTPUT_TYPES:
        raise ValueError(f"output_type must be {', '.join(OUTPUT_TYPES)}, not {output_type!r}")


def dtype_name(dtype: Any, torch_dtype: Any) -> str | None:
    """float32, bfloat16 or None, from a name or a framework's dtype. ValueError for others."""
    if dtype is not None and torch_dtype is not None:
        raise ValueError("give either dtype or torch_dtype, not both")
    given = torch_dtype if dtype is None else dtype
    return None if given is None else str(given).rpartition(".")[2].lower()


def groups_of_equals(keys: Sequence[Any]) -> list[list[int]]:
    """The places of equal keys together, in order of their first."""
    groups: dict[Any, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return list(groups.values())
