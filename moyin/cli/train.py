"""`moyin train`: train one stage by a recipe."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from moyin.cli.options import Out, Overrides, merge, required


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Recipe; moyin recipes lists them.")
    ],
    overrides: Overrides = None,
    out: Out = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATASET", help="Dataset, or a folder of images with captions."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|HUB_ID", help="Checkpoint with the other networks."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print memory and time of a step; train nothing.")
    ] = False,
    mesh: Annotated[
        str | None,
        typer.Option(metavar="COUNTxDEVICE", help="Devices of --dry-run, such as 64xAscend910B."),
    ] = None,
) -> None:
    """Train one stage, or continue it where it stopped."""
    from moyin.recipes import find
    from moyin.recipes.overrides import apply

    others, values = merge(overrides, {}, out=out, data=data, checkpoint=checkpoint, mesh=mesh)
    devices = values.pop("mesh")
    if devices is not None and not dry_run:
        raise ValueError("--mesh needs --dry-run")
    given = [f"{name}={value}" for name, value in values.items() if value is not None]
    make: Any = find(recipe)
    training = make()
    if not hasattr(training, "objective"):
        raise ValueError(f"{recipe} prepares a dataset: moyin prepare takes it")
    training = apply(training, [*others, *given])
    if dry_run:
        from moyin.train.estimate import Mesh, lines

        for line in lines(training, Mesh.parse(devices or "1xCPU")):
            print(line)
        return
    required(training.out, "--out", "the folder of the training's weights and states")
    _train(training)


def _train(training: Any) -> None:
    from moyin.backend import distributed
    from moyin.train.trainer import run

    written = run(training)
    if distributed.rank() == 0:
        print(written)
