"""Recipes: plain functions, each returning the whole configuration of one stage.

`smoke/*` take seconds and check that everything runs; `glm-image/*` have the released model's
sizes; `lora/*` and `sft/*` fine-tune a checkpoint of any size on your own images; `nano/*` made
the embedded checkpoint.
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
    from moyin.nano import recipes as nano
    from moyin.recipes import glm_image, lora, sft, smoke

    families = {"smoke": smoke, "nano": nano, "glm-image": glm_image, "lora": lora, "sft": sft}
    return {
        f"{family}/{recipe.__name__}": recipe
        for family, module in families.items()
        for recipe in module.RECIPES
    }
