from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from moyin.recipes import all_recipes, find
from moyin.recipes.overrides import apply, lines


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError("rate must be positive")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    steps: int = 10
    name: str = "x"
    ema: bool = True
    out: Path | None = None
    widths: tuple[int, ...] = (1, 2)
    spans: tuple[tuple[int, int], ...] = ((1, 2),)
    shares: dict[str, float] = field(default_factory=lambda: {"a": 1.0})
    precision: Literal["float32", "bfloat16"] = "float32"
    optimizer: Optimizer = field(default_factory=Optimizer)
    second: Optimizer | None = field(default_factory=Optimizer)


def test_values_take_their_fields_type() -> None:
    given = ["steps=5_000", "name=a=b", "ema=no", "out=runs/x", "widths=3,4,5"]
    given += ["spans=(1,2),(3,4)", "shares=flat:0.5,photo:2"]
    changed = apply(Recipe(), [*given, "optimizer.betas=0.8,0.95", "precision=bfloat16"])
    assert changed == Recipe(
        steps=5000,
        name="a=b",
        ema=False,
        out=Path("runs/x"),
        widths=(3, 4, 5),
        spans=((1, 2), (3, 4)),
        shares={"flat": 0.5, "photo": 2.0},
        precision="bfloat16",
        optimizer=Optimizer(betas=(0.8, 0.95)),
    )
    assert apply(changed, ["out=none"]).out is None
    assert apply(Recipe(), ["widths=(7, 8)"]).widths == (7, 8)


def test_an_optional_dataclass_may_be_none() -> None:
    assert apply(Recipe(), ["second=none"]).second is None
    changed = apply(Recipe(), ["second.rate=0.5"]).second
    assert changed is not None
    assert changed.rate == 0.5
    with pytest.raises(ValueError, match="set one of its fields"):
        apply(Recipe(), ["optimizer=none"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stesp=3", r"did you mean steps\?"),
        ("rate=3", r"unknown key rate \(did you mean optimizer\.rate\?\)"),
        ("betsa=3", r"did you mean optimizer\.betas\?"),
        ("optimizer.rat=3", r"did you mean optimizer\.rate\?"),
        ("optimiser.rate=3", r"did you mean optimizer\.rate\?"),
        ("zzzz=3", "known: ema, name"),
        ("steps", "write key=value"),
        ("steps=many", "a whole number"),
        ("steps=1.5", "a whole number"),
        ("ema=perhaps", "true or false"),
        ("shares=flat", "name:value"),
        ("optimizer.rate=fast", "a number"),
        ("optimizer.rate=-1", "rate must be positive"),
        ("optimizer.betas=1", "2 values"),
        ("optimizer=3", "optimizer.rate, optimizer.betas"),
        ("steps.more=3", "steps is 10, which has no fields"),
        ("precision=float8", "float32, bfloat16"),
    ],
)
def test_a_bad_override_says_what_is_wrong(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply(Recipe(), [override])


@pytest.mark.parametrize("name", all_recipes())
def test_the_lines_of_a_recipe_are_overrides_that_change_nothing(name: str) -> None:
    recipe = all_recipes()[name]()
    assert apply(recipe, lines(recipe)) == recipe


def test_lines_hold_what_was_changed() -> None:
    changed = apply(Recipe(), ["steps=3", "second.rate=0.5", "out=none", "spans=(5,6)"])
    assert apply(Recipe(), lines(changed)) == changed
    assert "second.rate=0.5" in lines(changed)


def test_items_of_a_tuple_are_named_by_their_kind() -> None:
    training = apply(find("nano/decoder")(), ["objective.auxiliary.ink_probe.weight=0.5"])
    weights = [getattr(item, "weight", None) for item in training.objective.auxiliary]
    assert weights == [None, None, 0.5]
    unknown = (
        r"unknown key objective.auxiliary.ink.weight \(did you mean objective.auxiliary.ink_pr"
    )
    with pytest.raises(ValueError, match=unknown):
        apply(training, ["objective.auxiliary.ink.weight=1"])
