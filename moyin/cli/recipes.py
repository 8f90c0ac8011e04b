"""`moyin recipes`: list recipes, or print one."""

from __future__ import annotations

from typing import Annotated

import typer


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Print the whole configuration of this one.")
    ] = None,
) -> None:
    """List the recipes, or print one as key=value lines that train and prepare accept."""
    from moyin.recipes import all_recipes, find
    from moyin.recipes.overrides import lines

    if name is not None:
        for line in lines(find(name)()):
            print(line)
        return
    known = all_recipes()
    width = max(map(len, known))
    for recipe, make in known.items():
        print(f"{recipe:<{width}}  {_purpose(make.__doc__ or '')}")


def _purpose(docstring: str) -> str:
    """The first sentence."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".")
