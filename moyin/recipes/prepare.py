"""What `moyin prepare` makes of a recipe: a dataset of rendered images, or of the user's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moyin.dataset.tokens import Tokenize
from moyin.render.renderer import Renderer

if TYPE_CHECKING:
    from moyin.dataset.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class Images:
    """What `moyin prepare` renders, and the columns that networks add to it."""

    renderer: Renderer.Config
    count: int
    seed: int = 0
    workers: int | None = None
    tokenize: Tokenize = field(default_factory=Tokenize)


def prepared(recipe: Any, out: Path, ray: str | None = None) -> Dataset:
    """The dataset `out` as a recipe of images has it, made by the cluster at the address `ray` if
    there is one. ValueError for another kind of recipe."""
    from moyin.data import preparation, rendered

    if not isinstance(recipe, Images | preparation.Preparation):
        raise ValueError("this recipe trains: moyin train takes it; smoke/data prepares images")
    if ray is not None and isinstance(recipe, Images):
        raise ValueError("this recipe only renders, here: --ray is for smoke/data and nano/data")
    recipe.tokenize.check()
    if isinstance(recipe, preparation.Preparation):
        dataset = preparation.prepare(recipe, out, ray)
    else:
        dataset = rendered.render(recipe.renderer, out, recipe.count, recipe.seed, recipe.workers)
    recipe.tokenize(dataset)
    return dataset
