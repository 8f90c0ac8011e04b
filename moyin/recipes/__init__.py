"""Recipes: plain functions, each returning one stage's whole configuration.

`smoke/*` take seconds and prove that everything runs; `nano/*` made the embedded checkpoint;
`glm-image/*` are the released model's own sizes; `lora/*` and `sft/*` teach a checkpoint, of any
size, from your own pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moyin.data.render import Renderer
from moyin.data.tokens import Tokenize
from moyin.recipes.overrides import nearest

if TYPE_CHECKING:
    from moyin.data.store import Store


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
    from moyin.data import pictures, preparation

    if not isinstance(recipe, Pictures | preparation.Preparation):
        raise ValueError("this recipe trains: moyin train takes it; smoke/data prepares pictures")
    if ray is not None and isinstance(recipe, Pictures):
        raise ValueError("this recipe only renders, here: --ray is for smoke/data and nano/data")
    recipe.tokenize.check()
    if isinstance(recipe, preparation.Preparation):
        store = preparation.prepare(recipe, out, ray)
    else:
        store = pictures.render(recipe.renderer, out, recipe.count, recipe.seed, recipe.workers)
    recipe.tokenize(store)
    return store


def find(name: str) -> Callable[[], Any]:
    """The recipe of this name, such as nano/decoder. ValueError offers the nearest one."""
    known = all_recipes()
    if name not in known:
        raise ValueError(f"no recipe {name}{nearest(name, known)}")
    return known[name]


def all_recipes() -> dict[str, Callable[[], Any]]:
    """Every recipe by its name."""
    from moyin.recipes import glm_image, lora, nano, sft, smoke

    families = {"smoke": smoke, "nano": nano, "glm-image": glm_image, "lora": lora, "sft": sft}
    return {
        f"{family}/{recipe.__name__}": recipe
        for family, module in families.items()
        for recipe in module.RECIPES
    }
