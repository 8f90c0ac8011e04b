"""What `moyin generate` and `moyin edit` do with a parsed request."""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moyin.clients.rewriter import Rewriter
from moyin.inference import prompts_file
from moyin.inference.output import check_path, check_writable, save_png
from moyin.inference.pipeline import (
    Array,
    GeneratedImage,
    GenerationConfig,
    GlmImagePipeline,
    Progress,
    Request,
)
from moyin.inference.progress import bars
from moyin.inference.reference import fitted_grid, open_image
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.prompt.grid import parse_size

DEFAULT_OUT = Path("image.png")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The options of a command. changes: fields of Settings that are asked for; images: files of
    the images to be edited; batch: rows of `prompts` that are drawn together."""

    prompt: str | None = None
    images: tuple[Path, ...] = ()
    size: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    n: int = 1
    seed: int = 0
    checkpoint: str | None = None
    loras: dict[str, float] = field(default_factory=dict)
    merged: bool = False
    dtype: str | None = None
    weights: str | None = None
    offload: bool = False
    compiled: bool = False
    out: Path | None = None
    prompts: Path | None = None
    batch: int = 1
    save_ids: Path | None = None
    from_ids: Path | None = None
    rewriter: Rewriter | None = None


def run(request: Arguments) -> None:
    """Draw what is asked. Raises ValueError where the options do not go together."""
    _check(request)
    images = [open_image(path) for path in request.images]
    grid = parse_size(request.size) if request.size else None
    sized = grid is not None or _sides_asked(request)
    pipeline = GlmImagePipeline.open(
        request.checkpoint,
        request.dtype,
        request.loras,
        request.merged,
        request.weights,
        request.offload,
        request.compiled,
    )
    if images and not sized:
        grid = fitted_grid(images[0])
    sides: dict[str, Any] = {"height": grid.height, "width": grid.width} if grid else {}
    settings = dataclasses.replace(pipeline.defaults, **request.changes, **sides)
    if request.prompts is not None:
        _many(request, pipeline, settings, sized)
    elif request.from_ids is not None:
        _paint(request, request.from_ids, pipeline, settings)
    else:
        at_once = request.n if request.offload else 1
        pipeline.check_memory(settings, [fitted_grid(image) for image in images], at_once)
        _one(request, pipeline, settings, images)


def weights(options: list[str]) -> dict[str, float]:
    """`PATH` or `PATH=WEIGHT` each, the weight 1 unless given.

    ValueError for a weight that is no finite number, and for a path that is given twice.
    """
    found: dict[str, float] = {}
    for option in options:
        before, equals, after = option.rpartition("=")
        path = before if equals else option
        try:
            weight = float(after) if equals else 1.0
        except ValueError:
            weight = math.nan
        if not math.isfinite(weight):
            raise ValueError(f"--lora {option}: the weight must be a finite number")
        if Path(path) in map(Path, found):
            raise ValueError(f"--lora {option}: {path} is given twice; once, with the sum, will do")
        found[path] = weight
    return found


def rewriter(url: str | None, model: str | None) -> Rewriter | None:
    """What --rewrite and --rewrite-model ask for; None where neither is given."""
    if url is None and model is None:
        return None
    if url is None or model is None:
        raise ValueError("--rewrite URL and --rewrite-model NAME go together")
    return Rewriter(url=url, model=model)


def _sides_asked(request: Arguments) -> bool:
    return bool(request.changes.keys() & {"height", "width"})


def _check(request: Arguments) -> None:
    if request.size and _sides_asked(request):
        raise ValueError("--size goes without --set height and width: they say the same")
    sources = [request.prompt, request.prompts, request.from_ids]
    if all(s is None for s in sources):
        raise ValueError("say what to draw: a PROMPT, --prompts FILE or --from-ids FILE")
    if request.merged and not request.loras:
        raise ValueError("--merge goes with --lora: it puts LoRAs into the weights")
    if request.batch > 1 and request.prompts is None:
        raise ValueError("--batch goes with --prompts; --n gives several images of one prompt")
    if request.prompts is not None:
        if request.prompt is not None or request.from_ids or request.save_ids or request.n > 1:
            raise ValueError("--prompts goes without PROMPT, --n, --save-ids and --from-ids")
        if request.out is None:
            raise ValueError("--prompts needs --out DIR for its images")
        check_writable(request.out / prompts_file.MANIFEST)
        return
    unused = request.save_ids or request.n > 1 or request.rewriter
    sized = request.size or _sides_asked(request)
    if request.from_ids is not None and (unused or sized):
        raise ValueError(
            "--from-ids goes without --save-ids, --n, --rewrite and sizes: the ids have their own"
        )
    if request.prompt is not None and not request.prompt.strip():
        raise ValueError("the prompt is empty: say what the image shows")
    check_path(_numbered(request.out or DEFAULT_OUT, request.n, request.n))
    if request.save_ids is not None:
        check_writable(_numbered(request.save_ids, request.n, request.n), "--save-ids")


def _paint(
    request: Arguments, file: Path, pipeline: GlmImagePipeline, settings: GenerationConfig
) -> None:
    """The image of a file of ids, in its own size."""
    ids = SemanticTokens.load(file)
    if request.prompt is not None:
        ids = dataclasses.replace(ids, prompt=request.prompt)
    settings = dataclasses.replace(settings, height=ids.height, width=ids.width)
    pipeline.check_memory(settings, painted_only=True)
    with bars() as progress:
        image = pipeline.decode(
            ids, settings, seed=request.seed, sample=ids.sample, progress=progress
        )
        out = request.out or DEFAULT_OUT
        save_png(image.pixels, out, image.facts)
        print(out)


def _one(
    request: Arguments,
    pipeline: GlmImagePipeline,
    settings: GenerationConfig,
    references: list[Array],
) -> None:
    """One prompt, n images."""
    with bars() as progress:
        made = _images(request, pipeline, settings, references, progress)
        for i, image in enumerate(made, 1):
            out = _numbered(request.out or DEFAULT_OUT, i, request.n)
            save_png(image.pixels, out, image.facts)
            if request.save_ids is not None:
                image.ids.save(_numbered(request.save_ids, i, request.n))
            print(out)


def _images(
    request: Arguments,
    pipeline: GlmImagePipeline,
    settings: GenerationConfig,
    references: list[Array],
    progress: Progress,
) -> Any:
    assert request.prompt is not None
    rewritten = _rewritten(request.prompt, request.rewriter, settings)
    if references:
        return pipeline.edit(
            request.prompt,
            references,
            settings,
            seed=request.seed,
            n=request.n,
            rewritten=rewritten,
            progress=progress,
        )
    return pipeline.generate(
        request.prompt,
        settings,
        seed=request.seed,
        n=request.n,
        rewritten=rewritten,
        progress=progress,
    )


def _rewritten(prompt: str, rewriter: Rewriter | None, settings: GenerationConfig) -> str | None:
    """The enlarged prompt, shown on stderr, for stdout lists files; None without a rewriter."""
    if rewriter is None:
        return None
    text = rewriter(prompt, settings.exact_quotes)
    print(text, file=sys.stderr)
    return text


def _numbered(path: Path, i: int, n: int) -> Path:
    return path if n == 1 else path.with_name(f"{path.stem}-{i}{path.suffix}")


def _many(
    request: Arguments, pipeline: GlmImagePipeline, settings: GenerationConfig, sized: bool
) -> None:
    assert request.prompts is not None
    assert request.out is not None
    rows = prompts_file.read_rows(request.prompts, settings, request.seed, sized)
    if request.rewriter is None:
        prompts_file.check_prompts(rows, pipeline.sequence)
    prompts_file.check_memory(rows, request.batch, pipeline.check_memory)
    with bars() as progress:

        def draw(jobs: list[Request]) -> list[GeneratedImage]:
            return pipeline.draw(jobs, progress)

        done = prompts_file.run(
            rows,
            request.out,
            pipeline.digest,
            draw,
            request.batch,
            request.rewriter,
            pipeline.references,
        )
        for i, _ in enumerate(done, 1):
            progress("rows", i, len(rows))
    print(request.out / prompts_file.MANIFEST)
