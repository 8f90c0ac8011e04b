from __future__ import annotations

from command import Moyin

from moyin.recipes import all_recipes, find
from moyin.recipes.overrides import apply


def test_all_recipes_are_listed_with_their_purpose(moyin: Moyin) -> None:
    code, out, _ = moyin("recipes")
    listed = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert listed.keys() == all_recipes().keys()
    assert all(listed.values())


def test_a_recipe_prints_as_the_arguments_that_make_it(moyin: Moyin) -> None:
    code, out, _ = moyin("recipes", "lora/decoder")
    assert code == 0
    assert "optimizer.lr=0.001" in out.splitlines()
    recipe = find("lora/decoder")()
    assert apply(recipe, out.splitlines()) == recipe
    code, _, err = moyin("recipes", "lora/decodr")
    assert (code, "did you mean lora/decoder?" in err) == (2, True)
