"""`moyin evaluate` and `moyin compare`: score checkpoints, folders of images, and services."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moyin.cli.options import Out, Overrides, merge, required
from moyin.cli.progress import bars

# Options as fields of the evaluation's `Options`.
KEYS = {"data": "prompts"}


def evaluate(
    suite: Annotated[str, typer.Argument(help="Name of the suite.")],
    overrides: Overrides = None,
    out: Out = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|HUB_ID", help="Checkpoint. Default: the embedded one."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="Prompts of a benchmark, where not shipped.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Score finished images instead.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Score an OpenAI-compatible images API instead."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model name for --endpoint.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use a random subset of so many prompts.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Images per prompt.")] = None,
) -> None:
    """Score how well a model writes text, or continue where it stopped."""
    import moyin.nano.tasks  # noqa: F401  (registers them)
    from moyin.evaluate.options import Options
    from moyin.evaluate.runner import EvaluationConfig, run
    from moyin.recipes.overrides import apply

    others, values = merge(overrides, KEYS, out=out, checkpoint=checkpoint, data=data)
    prompts = [f"prompts={values['data']}"] if values["data"] is not None else []
    request = EvaluationConfig(
        suite=suite,
        out=Path(required(values["out"], "--out", "the folder of the report")),
        checkpoint=values["checkpoint"],
        images=images,
        endpoint=endpoint,
        model=model,
        limit=limit,
        seeds=seeds,
        options=apply(Options(), [*others, *prompts]),
    )
    with bars() as progress:
        report = run(request, progress)
    print(report)


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of a report.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Folder of another, same suite.")],
) -> None:
    """Compare two reports prompt by prompt: does B score higher than A, and how certainly?"""
    from moyin.evaluate import compare as comparison

    comparison.show(comparison.compare(first, second))
