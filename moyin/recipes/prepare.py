"""What `moyin prepare` makes of a recipe: a store of rendered pictures, or of the user's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moyin.dataset.tokens import Tokenize
from moyin.render.renderer import Renderer

if TYPE_CHECKING:
    from moyin.dataset.dataset import Store


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What `moyin prepare` renders, and the columns that networks add to it."""

    renderer: Renderer.Config
    count: int
    seed: int = 0
    workers: int | None = None
    tokenize: Tokenize = field(default_factory=Tokenize)


def prepared(recipe: Any, out: Path, ray: str | None = None) -> Store:
    """The store `out` as a recipe of pictures has it, made by the cluster at the address `ray` if
    there is one. ValueError for another kind of recipe."""
    from moyin.data import preparation, rendered

    if not isinstance(recipe, Pictures | preparation.Preparation):
        raise ValueError("this recipe trains: moyin train takes it; smoke/data prepares pictures")
    if ray is not None and isinstance(recipe, Pictures):
        raise ValueError("this recipe only renders, here: --ray is for smoke/data and nano/data")
    recipe.tokenize.check()
    if isinstance(recipe, preparation.Preparation):
        store = preparation.prepare(recipe, out, ray)
    else:
        store = rendered.render(recipe.renderer, out, recipe.count, recipe.seed, recipe.workers)
    recipe.tokenize(store)
    return store
