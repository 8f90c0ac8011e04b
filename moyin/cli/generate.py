"""`moyin generate`: images from a sentence, from saved tokens, or from the rows of a file."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from moyin.cli import drawing
from moyin.cli.drawing import Checked
from moyin.cli.options import command
from moyin.cli.progress import bars


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(drawing.DrawOptions):
    """One of PROMPT, --prompts and --from-tokens says what is drawn."""

    no_preview: Annotated[
        bool, typer.Option("--no-preview", help="Generate no tokens of a small preview first.")
    ] = False
    from_tokens: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Decode saved semantic tokens.")
    ] = None
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Draw one image for each row: id, prompt, images, size, seed, settings. "
            "--out is then a folder.",
        ),
    ] = None
    batch: Annotated[
        int, typer.Option(min=1, help="Number of rows of --prompts drawn together.")
    ] = 1


def run(options: GenerateOptions) -> None:
    """Generate an image from a sentence, or one image for each row of a file."""
    options = _positionals(options)
    if options.prompts is not None:
        _many(options, options.prompts)
    elif options.from_tokens is not None:
        _decode(options, options.from_tokens)
    else:
        _one(options)


def _positionals(options: GenerateOptions) -> GenerateOptions:
    """Without a prompt, the first positional argument is a key=value; --no-preview is one too."""
    overrides, prompt = list(options.overrides or []), options.prompt
    other_source = options.prompts is not None or options.from_tokens is not None
    if prompt is not None and other_source and re.match(r"\w+=", prompt):
        overrides, prompt = [prompt, *overrides], None
    if options.no_preview:
        overrides.append("preview=false")
    return drawing.joined(dataclasses.replace(options, prompt=prompt, overrides=overrides))


def _one(options: GenerateOptions) -> None:
    if options.prompt is None:
        raise ValueError("say what to draw: a PROMPT, --prompts FILE or --from-tokens FILE")
    if options.batch > 1:
        raise ValueError("--batch needs --prompts; --num-images draws several of one prompt")
    drawing.check_prompt(options.prompt)
    checked = drawing.check(options)
    drawing.check_outputs(options)
    pipeline = drawing.open_pipeline(options, checked)
    settings = checked.settings(pipeline)
    pipeline.check_memory(settings, (), options.num_images if options.offload else 1)
    with bars() as progress:
        requests = drawing.requests(options, checked, settings)
        drawing.write(options, pipeline.run_each(requests, progress))


def _decode(options: GenerateOptions, file: Path) -> None:
    """The image of saved tokens, in their size; a PROMPT replaces theirs."""
    checked = drawing.check(options)
    if options.save_tokens or options.num_images > 1 or checked.rewriter or checked.sized:
        raise ValueError(
            "--from-tokens excludes --save-tokens, --num-images, --rewrite and --size: "
            "the tokens have a size of their own"
        )
    drawing.check_prompt(options.prompt)
    drawing.check_outputs(options)
    from moyin.inference.request import Request
    from moyin.inference.semantic_tokens import SemanticTokens

    tokens = SemanticTokens.load(file)
    if options.prompt is not None:
        tokens = dataclasses.replace(tokens, prompt=options.prompt)
    pipeline = drawing.open_pipeline(options, checked)
    settings = dataclasses.replace(
        checked.settings(pipeline), height=tokens.height, width=tokens.width
    )
    pipeline.check_memory(settings, decoding_only=True)
    with bars() as progress:
        request = Request(
            prompt=tokens.prompt, settings=settings, seed=options.seed or 0, sample=tokens.sample
        )
        drawing.write(options, pipeline.run_decoding([tokens], [request], progress))


def _many(options: GenerateOptions, file: Path) -> None:
    """One image for each row; rows that were drawn before are skipped."""
    if options.prompt is not None or options.from_tokens or options.save_tokens:
        raise ValueError("--prompts excludes a PROMPT, --from-tokens and --save-tokens")
    if options.num_images > 1:
        raise ValueError("--prompts excludes --num-images: write a row for each image")
    if options.out is None:
        raise ValueError("--prompts needs --out FOLDER for its images")
    checked = drawing.check(options)
    if not file.is_file():
        raise ValueError(f"{file} cannot be read: there is no such file")
    from moyin.inference.output import check_writable

    check_writable(options.out / "manifest.jsonl")
    _draw_rows(options, checked, file, options.out)


def _draw_rows(options: GenerateOptions, checked: Checked, file: Path, out: Path) -> None:
    from moyin.cli.prompts_file import read_rows
    from moyin.inference import batch
    from moyin.inference.request import GeneratedImage, Request

    pipeline = drawing.open_pipeline(options, checked)
    rows = read_rows(file, checked.settings(pipeline), options.seed or 0, checked.sized)
    if checked.rewriter is None:
        batch.check_prompts(rows, pipeline.generator_inputs)
    batch.check_memory(rows, options.batch, pipeline.check_memory)
    with bars() as progress:

        def draw(requests: list[Request]) -> list[GeneratedImage]:
            return pipeline.run(requests, progress)

        done = batch.run(
            rows,
            out,
            pipeline.digest,
            draw,
            options.batch,
            checked.rewriter,
            pipeline.encode_images,
        )
        for i, _ in enumerate(done, 1):
            progress("rows", i, len(rows))
    print(out / batch.MANIFEST)


generate = command(GenerateOptions, run)
