"""One caption template, and families of templates with common parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product


@dataclass(frozen=True, kw_only=True)
class Phrasing:
    """One caption template.

    opening, end: may use {ground}, the background; {sheet}, the same without its article; {theme},
    a subject that the image does not show. line: the clause of a line, with {quote}, {place},
    {spot} (the place without its preposition), {noun}, {size} (a word for large text) and
    {coloured}: `colour` filled in, or `plain` if the colour is not named. many: the clause of
    several lines of one kind; if empty, each has a clause of its own. bare: the clause of a single
    line in the middle without its place; empty if the template needs the place. Chinese templates
    have 一张, which is replaced by the measure word of the layout.
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
        """Whether it names the places of lines."""
        return "{place}" in self.line or "{spot}" in self.line


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Openings and clauses that can be combined. A clause is a phrasing without an opening."""

    openings: tuple[str, ...]
    clauses: tuple[Phrasing, ...]
    end: str = ""

    def phrasings(self) -> Iterator[Phrasing]:
        for opening, body in product(self.openings, self.clauses):
            yield replace(body, opening=opening, end=body.end or self.end)


def clause(line: str, many: str, thing: str, colour: str, plain: str = "", **rest: str) -> Phrasing:
    """A phrasing without an opening."""
    return Phrasing(
        opening="", line=line, many=many or line, thing=thing, colour=colour, plain=plain, **rest
    )


def unplaced(line: str, colour: str = "", end: str = "") -> Phrasing:
    """A clause that names neither the place of its line nor the background."""
    return clause(line, "", "{object}", colour, end=end)
