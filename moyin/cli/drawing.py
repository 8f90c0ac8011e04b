"""What `moyin generate` and `moyin edit` share: options, their checks, and one prompt's images.

Frameworks are imported after the checks, so that a mistake is reported at once.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from moyin.cli.options import choice, merge

if TYPE_CHECKING:
    from moyin.clients.rewriter import Rewriter
    from moyin.inference.config import GenerationConfig
    from moyin.inference.pipeline import GlmImagePipeline
    from moyin.inference.request import GeneratedImage, Reference, Request
    from moyin.prompt.grid import Grid

T = TypeVar("T", bound="DrawOptions")

DEFAULT_OUT = "image.png"
QUANTIZATION = ("int8", "int4")
DTYPES = ("float32", "bfloat16")
# Options that set fields of GenerationConfig: option → field.
SETTINGS = {
    "steps": "steps",
    "guidance": "guidance",
    "sampler": "sampler",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "token_guidance": "token_guidance",
}


@dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """Options of both verbs. `overrides` set the other fields of GenerationConfig."""

    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT", help="What the image shows, with the text to write in quotes."
        ),
    ] = None
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Any other setting: preview, exact_quotes, reuse, draft."
        ),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help=f"Image file: .png, .jpg or .webp. Default: {DEFAULT_OUT}.",
        ),
    ] = None
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|HUB_ID", help="Checkpoint. Default: the embedded one."),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Image size in pixels, multiples of 32."),
    ] = None
    num_images: Annotated[
        int, typer.Option("--num-images", "-n", min=1, help="Number of images per prompt.")
    ] = 1
    seed: Annotated[
        int | None,
        typer.Option(help="Random seed; one seed is one image on every backend. Default: 0."),
    ] = None
    steps: Annotated[int | None, typer.Option(help="Denoising steps of the decoder.")] = None
    guidance: Annotated[
        float | None, typer.Option(help="Guidance scale of the decoder; 1 disables it.")
    ] = None
    sampler: Annotated[str | None, typer.Option(help="Sampler of the decoder: euler or ab2.")] = (
        None
    )
    temperature: Annotated[
        float | None, typer.Option(help="Temperature of token sampling; 0 is greedy.")
    ] = None
    top_p: Annotated[float | None, typer.Option("--top-p", help="Nucleus of token sampling.")] = (
        None
    )
    top_k: Annotated[
        int | None, typer.Option("--top-k", help="Candidates of token sampling; 0 keeps all.")
    ] = None
    token_guidance: Annotated[
        float | None,
        typer.Option(help="Guidance scale of token sampling; 1 disables it, others cost twice."),
    ] = None
    lora: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH[=WEIGHT]", help="Load a LoRA; repeat for several."),
    ] = None
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge LoRAs into the weights, for speed.")
    ] = False
    dtype: Annotated[
        str | None, typer.Option(help="Compute in float32 or bfloat16. Default: by the device.")
    ] = None
    quantization: Annotated[
        str | None,
        typer.Option(metavar="int8|int4", help="Quantize generator and decoder while loading."),
    ] = None
    offload: Annotated[
        bool,
        typer.Option("--offload", help="Keep one network in memory at a time; slower."),
    ] = False
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Compile the decoder; worth it for several images."),
    ] = False
    save_tokens: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Save the semantic tokens.")
    ] = None
    rewrite: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Chat endpoint that expands the prompt first."),
    ] = None
    rewrite_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model name for --rewrite.")
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False


@dataclass(frozen=True)
class Checked:
    """Options that were checked. changes: fields of GenerationConfig that differ from the
    checkpoint's; sized: whether a size is among them."""

    changes: dict[str, Any]
    loras: dict[str, float]
    rewriter: Rewriter | None

    @property
    def sized(self) -> bool:
        return bool(self.changes.keys() & {"height", "width"})

    def settings(self, pipeline: GlmImagePipeline, grid: Grid | None = None) -> GenerationConfig:
        """The checkpoint's settings with the changes. grid: the size where none was asked for."""
        sides: dict[str, Any] = {}
        if grid and not self.sized:
            sides = {"height": grid.height, "width": grid.width}
        return dataclasses.replace(pipeline.defaults, **sides, **self.changes)


def joined(options: T) -> T:
    """The options with `out=`, `checkpoint=`, `size=` and `seed=` taken from the overrides."""
    others, values = merge(
        options.overrides,
        {},
        out=options.out,
        checkpoint=options.checkpoint,
        size=options.size,
        seed=options.seed,
    )
    try:
        seed = int(values["seed"] or 0)
    except ValueError:
        raise ValueError(f"seed={values['seed']}: it must be a whole number") from None
    return dataclasses.replace(
        options,
        overrides=others,
        out=Path(values["out"]) if values["out"] else None,
        checkpoint=values["checkpoint"],
        size=values["size"],
        seed=seed,
    )


def check(options: DrawOptions) -> Checked:
    """Raises ValueError for options that are invalid or exclude each other."""
    if options.merge and not options.lora:
        raise ValueError("--merge needs --lora")
    choice(options.dtype, "--dtype", DTYPES)
    choice(options.quantization, "--quantization", QUANTIZATION)
    return Checked(
        changes=_changes(options),
        loras=parse_loras(options.lora or []),
        rewriter=_rewriter(options.rewrite, options.rewrite_model),
    )


def _changes(options: DrawOptions) -> dict[str, Any]:
    from moyin.inference.config import GenerationConfig
    from moyin.prompt.grid import parse_size
    from moyin.recipes.overrides import apply

    changes: dict[str, Any] = {}
    for option, field in SETTINGS.items():
        if getattr(options, option) is not None:
            changes[field] = getattr(options, option)
    if options.size is not None:
        grid = parse_size(options.size)
        changes |= {"height": grid.height, "width": grid.width}
    applied = apply(GenerationConfig(), options.overrides or [])
    for override in options.overrides or []:
        key = override.partition("=")[0]
        value = getattr(applied, key)
        if changes.get(key, value) != value:
            raise ValueError(f"{override} contradicts an option that sets {key}: give one of them")
        changes[key] = value
    dataclasses.replace(GenerationConfig(), **changes)  # raises for values out of bounds
    return changes


def parse_loras(options: Iterable[str]) -> dict[str, float]:
    """`PATH` or `PATH=WEIGHT` each; the default weight is 1.

    ValueError for a weight that is not a finite number, and for a path that is given twice.
    """
    weights: dict[str, float] = {}
    for option in options:
        before, equals, after = option.rpartition("=")
        path = before if equals else option
        try:
            weight = float(after) if equals else 1.0
        except ValueError:
            weight = math.nan
        if not math.isfinite(weight):
            raise ValueError(f"--lora {option}: the weight must be a finite number")
        if Path(path) in map(Path, weights):
            raise ValueError(f"--lora {option}: {path} is given twice; give the sum of the weights")
        weights[path] = weight
    return weights


def _rewriter(url: str | None, model: str | None) -> Rewriter | None:
    if url is None and model is None:
        return None
    if url is None or model is None:
        raise ValueError("--rewrite URL and --rewrite-model NAME go together")
    from moyin.clients.rewriter import Rewriter

    return Rewriter(url=url, model=model)


def check_prompt(prompt: str | None) -> None:
    if prompt is not None and not prompt.strip():
        raise ValueError("the prompt is empty: say what the image shows")


def check_outputs(options: DrawOptions) -> None:
    """ValueError where an image or a file of tokens cannot be written, or exists without
    --force."""
    from moyin.inference.output import check_writable, image_format

    out = options.out or Path(DEFAULT_OUT)
    image_format(out)
    for path in (out, options.save_tokens):
        for i in range(1, options.num_images + 1):
            if path is None:
                continue
            file = numbered(path, i, options.num_images)
            check_writable(file)
            if file.exists() and not options.force:
                raise ValueError(f"{file} exists: give another name, or --force to overwrite it")


def numbered(path: Path, i: int, count: int) -> Path:
    """`image.png`, or the i-th of several, `image-2.png`."""
    return path if count == 1 else path.with_name(f"{path.stem}-{i}{path.suffix}")


def open_pipeline(options: DrawOptions, checked: Checked) -> GlmImagePipeline:
    from moyin.inference.pipeline import GlmImagePipeline

    pipeline = GlmImagePipeline.from_pretrained(
        options.checkpoint,
        dtype=options.dtype,
        quantization=options.quantization,
        offload=options.offload,
        compile=options.compiled,
    )
    for path, weight in checked.loras.items():
        pipeline.load_lora_weights(path, weight, merge=options.merge)
    return pipeline


def requests(
    options: DrawOptions,
    checked: Checked,
    settings: GenerationConfig,
    references: tuple[Reference, ...] = (),
) -> list[Request]:
    """One request for each layout of the prompt."""
    from moyin.inference.request import Request

    assert options.prompt is not None
    text = rewritten(options.prompt, checked, settings)
    return [
        Request(
            prompt=options.prompt,
            settings=settings,
            seed=options.seed or 0,
            sample=sample,
            references=references,
            rewritten=text,
        )
        for sample in range(options.num_images)
    ]


def rewritten(prompt: str, checked: Checked, settings: GenerationConfig) -> str | None:
    """The expanded prompt, which is shown on stderr; None without a rewriter."""
    if checked.rewriter is None:
        return None
    text = checked.rewriter(prompt, settings.exact_quotes)
    print(text, file=sys.stderr)
    return text


def write(options: DrawOptions, images: Iterable[GeneratedImage]) -> None:
    """Save the images and their tokens as they are made, and print the names of the files."""
    from moyin.inference.output import save_image

    for i, image in enumerate(images, 1):
        out = numbered(options.out or Path(DEFAULT_OUT), i, options.num_images)
        save_image(image.pixels, out, image.metadata)
        if options.save_tokens is not None:
            image.tokens.save(numbered(options.save_tokens, i, options.num_images))
        print(out)
