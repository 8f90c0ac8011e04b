"""`moyin import`: a dataset from what `moyin export` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moyin.cli.options import Out, required
from moyin.cli.progress import bars


def import_(
    path: Annotated[Path, typer.Argument(help="Folder that moyin export wrote of a dataset.")],
    out: Out = None,
) -> None:
    """Convert an exported dataset back, or continue where it stopped."""
    folder = required(out, "--out", "the folder of the dataset")
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    from moyin.dataset.export import import_dataset

    with bars() as progress:
        import_dataset(path, Path(folder), progress)
    print(folder)
