"""Make a dataset from a recipe: of rendered images alone, or filtered from any source."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moyin.dataset.progress import OnProgress, ignore
from moyin.dataset.tokenize import Tokenize
from moyin.render.renderer import Renderer

if TYPE_CHECKING:
    from moyin.dataset.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images to render, and the columns that networks add to them."""

    renderer: Renderer.Config
    count: int
    seed: int = 0
    workers: int | None = None
    tokenize: Tokenize = field(default_factory=Tokenize)


def prepared(
    recipe: Any, out: Path, ray: str | None = None, on_progress: OnProgress = ignore
) -> Dataset:
    """The dataset `out`, made by a recipe of images.

    ray: address of a Ray cluster that filters the images. ValueError for a recipe that trains, and
    for a Ray cluster with a recipe that only renders.
    """
    from moyin.data import preparation, rendered

    if not isinstance(recipe, Images | preparation.Preparation):
        raise ValueError("this recipe trains; a recipe such as smoke/data prepares images")
    if ray is not None and isinstance(recipe, Images):
        raise ValueError("this recipe only renders, on this machine; a Ray cluster filters images")
    recipe.tokenize.check()
    if isinstance(recipe, preparation.Preparation):
        dataset = preparation.prepare(recipe, out, ray, on_progress)
    else:
        dataset = rendered.render(
            recipe.renderer, out, recipe.count, recipe.seed, recipe.workers, on_progress
        )
    recipe.tokenize(dataset, on_progress)
    return dataset
