"""`moyin export`: a quantized checkpoint, or a dataset in the format of another library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moyin.cli.drawing import QUANTIZATION
from moyin.cli.options import Out, choice, required
from moyin.cli.progress import bars

FORMATS = ("webdataset", "parquet", "mindrecord")


def export(
    dataset: Annotated[
        Path | None, typer.Argument(help="Dataset; without one, a checkpoint is exported.")
    ] = None,
    out: Out = None,
    form: Annotated[
        str | None, typer.Option("--format", metavar="|".join(FORMATS), help="Of a dataset.")
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(metavar="int8|int4", help="Of a checkpoint's generator and decoder."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|HUB_ID", help="Checkpoint. Default: the embedded one."),
    ] = None,
) -> None:
    """Quantize a checkpoint, or convert a dataset to WebDataset, Parquet or MindRecord."""
    choice(form, "--format", FORMATS)
    choice(quantization, "--quantization", QUANTIZATION)
    folder = Path(required(out, "--out", "the new folder"))
    if dataset is not None:
        if form is None or quantization is not None or checkpoint is not None:
            raise ValueError("a dataset is exported with --format and --out alone")
        _dataset(dataset, folder, form)
    elif quantization is None or form is not None:
        raise ValueError("export needs DATASET and --format, or --quantization for a checkpoint")
    else:
        _checkpoint(checkpoint, folder, quantization)


def _dataset(dataset: Path, out: Path, form: str) -> None:
    from moyin.inference.output import check_writable

    check_writable(out / "part")
    from moyin.dataset.export import export_dataset

    with bars() as progress:
        export_dataset(dataset, out, form, progress)
    print(out)


def _checkpoint(place: str | None, out: Path, quantization: str) -> None:
    from moyin.inference.output import check_writable

    if out.exists():
        raise ValueError(f"{out} exists: choose another --out")
    check_writable(out)
    from moyin.checkpoint.export import export
    from moyin.checkpoint.folder import Checkpoint

    with bars() as progress:

        def report(done: int, total: int) -> None:
            progress("tensors", done, total)

        export(Checkpoint.open(place), out, quantization, report)
    print(out)
