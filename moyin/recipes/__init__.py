"""Recipes: plain functions, each returning one stage's whole configuration.

`smoke/*` take seconds and prove that everything runs; `nano/*` made the embedded checkpoint;
`glm-image/*` are the released model's own sizes; `lora/*` and `sft/*` teach a checkpoint, of any
size, from your own images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moyin.recipes.overrides import nearest


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
