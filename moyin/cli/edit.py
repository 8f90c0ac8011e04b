"""`moyin edit`: images from a sentence and reference images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from moyin.cli import drawing
from moyin.cli.options import command
from moyin.cli.progress import bars


@dataclass(frozen=True, kw_only=True)
class EditOptions(drawing.DrawOptions):
    """The size is the first image's unless --size is given."""

    image: Annotated[
        list[Path] | None,
        typer.Option("--image", "-i", metavar="FILE", help="Image to edit; repeat for several."),
    ] = None


def run(options: EditOptions) -> None:
    """Edit one or more images as a sentence says."""
    options = drawing.joined(options)
    if options.prompt is None or not options.image:
        raise ValueError("edit needs a PROMPT and --image FILE")
    drawing.check_prompt(options.prompt)
    checked = drawing.check(options)
    drawing.check_outputs(options)
    from moyin.inference.image_processor import fitted_grid, open_image

    images = [open_image(path) for path in options.image]
    pipeline = drawing.open_pipeline(options, checked)
    settings = checked.settings(pipeline, fitted_grid(images[0]))
    at_once = options.num_images if options.offload else 1
    pipeline.check_memory(settings, [fitted_grid(image) for image in images], at_once)
    with bars() as progress:
        references = pipeline.encode_images(images)
        requests = drawing.requests(options, checked, settings, references)
        drawing.write(options, pipeline.run_each(requests, progress))


edit = command(EditOptions, run)
