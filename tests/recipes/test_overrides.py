from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from moyin.recipes.overrides import apply


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
    precision: Literal["float32", "bfloat16"] = "float32"
    optimizer: Optimizer = field(default_factory=Optimizer)
    second: Optimizer | None = field(default_factory=Optimizer)


def test_values_take_their_fields_type() -> None:
    given = ["steps=5_000", "name=a=b", "ema=no", "out=runs/x", "widths=3,4,5"]
    made = apply(Recipe(), [*given, "optimizer.betas=0.8,0.95", "precision=bfloat16"])
    assert made == Recipe(
        steps=5000,
        name="a=b",
        ema=False,
        out=Path("runs/x"),
        widths=(3, 4, 5),
        precision="bfloat16",
        optimizer=Optimizer(betas=(0.8, 0.95)),
    )
    assert apply(made, ["out=none"]).out is None


def test_a_part_may_be_left_out_where_its_type_says_so() -> None:
    assert apply(Recipe(), ["second=none"]).second is None
    changed = apply(Recipe(), ["second.rate=0.5"]).second
    assert changed is not None
    assert changed.rate == 0.5
    with pytest.raises(ValueError, match="it has parts"):
        apply(Recipe(), ["optimizer=none"])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("stesp=3", "did you mean steps"),
        ("optimizer.rat=3", "did you mean rate"),
        ("zzzz=3", "there are: ema, name"),
        ("steps", "write key=value"),
        ("steps=many", "a whole number"),
        ("steps=1.5", "a whole number"),
        ("ema=perhaps", "true or false"),
        ("optimizer.rate=fast", "a number"),
        ("optimizer.rate=-1", "rate must be positive"),
        ("optimizer.betas=1", "2 values"),
        ("optimizer=3", "it has parts: rate, betas"),
        ("steps.more=3", "steps has no parts"),
        ("precision=float8", "float32, bfloat16"),
    ],
)
def test_what_is_wrong_is_told(override: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        apply(Recipe(), [override])
