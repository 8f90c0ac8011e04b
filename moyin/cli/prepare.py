"""`moyin prepare`: render or filter images into a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from moyin.cli.options import Out, Overrides, merge, required
from moyin.cli.progress import bars

# Options as keys of a recipe.
KEYS = {"data": "inputs", "checkpoint": "tokenize.checkpoint"}


def prepare(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Recipe; moyin recipes lists them.")
    ],
    overrides: Overrides = None,
    out: Out = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="FOLDER[,FOLDER]...", help="Images, tars or tables to filter."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|HUB_ID", help="Checkpoint whose networks make columns."),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run the filters on a Ray cluster.")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write OUT/report.html: what was dropped and why.")
    ] = False,
) -> None:
    """Make a dataset of training images, or continue one where it stopped."""
    from moyin.recipes import find
    from moyin.recipes.overrides import apply, keys

    others, values = merge(overrides, KEYS, out=out, data=data, checkpoint=checkpoint)
    folder = required(values.pop("out"), "--out", "the folder of the dataset")
    make: Any = find(recipe)
    config = make()
    if hasattr(config, "objective"):
        raise ValueError(f"{recipe} trains: moyin train takes it")
    given = {KEYS[name]: value for name, value in values.items() if value is not None}
    known = set(keys(config))
    for key in given.keys() - known:
        raise ValueError(f"{recipe} renders its images and takes no {key}")
    if ray is not None and "inputs" not in known:
        raise ValueError(f"{recipe} renders its images here: --ray is for recipes that filter")
    config = apply(config, [*others, *(f"{key}={value}" for key, value in given.items())])
    from moyin.data.prepare import prepared

    with bars() as progress:
        dataset = prepared(config, Path(folder), ray, progress)
    if report:
        from moyin.data.report import write

        print(write(dataset))
