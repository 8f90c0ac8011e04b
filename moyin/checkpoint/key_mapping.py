"""Parameter names, ours to theirs and back, by templates."""

from __future__ import annotations

import re
from collections.abc import Sequence

SHOWN = 10


class Names:
    """One network's templates in both directions: bijective, or an error.

    A template such as `("blocks.{}.out", "model.blocks.{}.attn.proj")` stands for all indices and
    for both `.weight` and `.bias`; the indices come in the same order on both sides.
    """

    def __init__(self, rules: Sequence[tuple[str, str]]) -> None:
        for side in (0, 1):
            assert len({rule[side] for rule in rules}) == len(rules), "a template stands twice"
        self._out = [(_pattern(ours), theirs) for ours, theirs in rules]
        self._in = [(_pattern(theirs), ours) for ours, theirs in rules]

    def theirs(self, ours: str) -> str | None:
        """The released name of our parameter; None where no template fits."""
        return _translate(ours, self._out)

    def ours(self, theirs: str) -> str | None:
        """Our name of a released tensor; None where it is not this network's."""
        return _translate(theirs, self._in)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.escape(template).replace(r"\{\}", r"(\d+)"))


def _translate(name: str, rules: list[tuple[re.Pattern[str], str]]) -> str | None:
    stem, _, leaf = name.rpartition(".")
    found = [(m, other) for pattern, other in rules if (m := pattern.fullmatch(stem))]
    if not found:
        return None
    assert len(found) == 1, f"{name} fits several templates"
    match, other = found[0]
    return f"{other.format(*match.groups())}.{leaf}"


def listing(names: Sequence[str]) -> str:
    """At most ten names, then how many more there are."""
    shown = ", ".join(sorted(names)[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
