"""One way to say what an image shows, and many that have their parts in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product


@dataclass(frozen=True, kw_only=True)
class Phrasing:
    """One way to say it.

    `opening` and `end` may use {ground}, and {sheet}, which is that without an article, or a
    {theme}, of which nothing is shown. `line` may use {quote}, {place}, {spot}, which is that
    without a preposition, {noun}, {size}, which may call large text so, and {coloured}, which is
    `colour` filled in, or `plain` where the colour is left unsaid; `many` says several lines of one
    kind at once, and where it is empty each is said by itself. `bare` says a lone line in the
    middle without its place; empty where the phrasing needs the place. Chinese phrasings say 一张,
    which becomes the measure word of what is shown.
    """

    opening: str
    line: str
    thing: str
    colour: str
    plain: str = ""
    bare: str = ""
    many: str = ""
    link: str = ", "
    last: str = " and "
    end: str = ""

    @property
    def placing(self) -> bool:
        """Whether it says where a line stands."""
        return "{place}" in self.line or "{spot}" in self.line


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Openings and clauses that go together; a clause is a phrasing without its opening."""

    openings: tuple[str, ...]
    clauses: tuple[Phrasing, ...]
    end: str = ""

    def phrasings(self) -> Iterator[Phrasing]:
        for opening, said in product(self.openings, self.clauses):
            yield replace(said, opening=opening, end=said.end or self.end)


def clause(line: str, many: str, thing: str, colour: str, plain: str = "", **rest: str) -> Phrasing:
    """A phrasing that is to have an opening."""
    return Phrasing(
        opening="", line=line, many=many or line, thing=thing, colour=colour, plain=plain, **rest
    )


def unplaced(line: str, colour: str = "", end: str = "") -> Phrasing:
    """A clause that leaves open where its line stands, and the ground."""
    return clause(line, "", "{object}", colour, end=end)
