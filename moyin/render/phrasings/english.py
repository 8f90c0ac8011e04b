"""The phrasings of English captions."""

from __future__ import annotations

import re

from moyin.render.phrasings.phrasing import Kind, Phrasing, clause, unplaced

PLAIN = (
    Phrasing(
        opening="{ground} with ",
        line="the {noun} {quote}{coloured} {place}",
        bare="the {noun} {quote}{coloured}",
        thing="{object} {place}",
        colour=" in {colour}",
    ),
    Phrasing(
        opening="{ground}. ",
        line="{quote} is written{coloured} {place}",
        thing="{object} is {place}",
        colour=" in {colour} letters",
        link="; ",
        last="; ",
        end=".",
    ),
    Phrasing(
        opening="design {ground} that says ",
        line="{quote}{coloured} {place}",
        bare="{quote}{coloured}",
        thing="and shows {object} {place}",
        colour=" in {colour}",
        last=", ",
        end=".",
    ),
    Phrasing(
        opening="{ground} showing ",
        line="the{coloured} {noun} {quote} {place}",
        bare="the{coloured} {noun} {quote}",
        thing="{object} {place}",
        colour=" {colour}",
    ),
    Phrasing(
        opening="text on {ground}: ",
        line="{place}, {quote}{coloured}",
        bare="{quote}{coloured}",
        thing="{place}, {object}",
        colour=" in {colour}",
        link="; ",
        last="; ",
    ),
    Phrasing(
        opening="{ground}, where ",
        line="the{coloured} {noun} {place} reads {quote}",
        thing="{object} can be seen {place}",
        colour=" {colour}",
        end=".",
    ),
    Phrasing(
        opening="please make {ground} and write ",
        line="{quote}{coloured} {place}",
        bare="{quote}{coloured}",
        thing="put {object} {place}",
        colour=" in {colour}",
        last=", and ",
        end=".",
    ),
)


def _named(line: str, colour: str = " in {colour}", plain: str = "") -> Phrasing:
    """A clause that is a noun: … with the word "X" in red at the top."""
    bare = re.sub(r",? \{(place|spot)\}$", "", line).replace(" {place}", "")
    return clause(line, "", "{object} {place}", colour, plain, bare=bare)


def _told(line: str, many: str, thing: str, colour: str = " in {colour}") -> Phrasing:
    """A clause that is a sentence: "X" is written in red at the top."""
    return clause(line, many, thing, colour, link="; ", last="; ", end=".")


def _asked(line: str, thing: str, colour: str = " in {colour}") -> Phrasing:
    """A clause that asks for something: write "X" in red at the top."""
    return clause(line, "", thing, colour, last=", and ", end=".")


SENTENCES = (
    _told(
        "{quote} is written{coloured} {place}",
        "{quote} are written{coloured} {place}",
        "{object} is {place}",
    ),
    _told(
        "the {noun} {place} reads {quote}{coloured}",
        "the {noun} {place} read {quote}{coloured}",
        "there is {object} {place}",
    ),
    _told(
        "{place} stands {quote}{coloured}", "{place} stand {quote}{coloured}", "{place} is {object}"
    ),
    _told(
        "the{coloured} {noun} {quote} appears {place}",
        "the{coloured} {noun} {quote} appear {place}",
        "{object} appears {place}",
        " {colour}",
    ),
    _told("{quote} can be read {place}{coloured}", "", "{object} can be seen {place}"),
    _told(
        "the {noun} {place} says {quote}{coloured}",
        "the {noun} {place} say {quote}{coloured}",
        "one sees {object} {place}",
    ),
    _told("{place} it says {quote}{coloured}", "", "{place} there is {object}"),
    _told(
        "{quote} is printed{coloured} {place}",
        "{quote} are printed{coloured} {place}",
        "{object} is shown {place}",
    ),
)
KINDS = (
    Kind(
        openings=(
            "{ground} with ",
            "{ground} featuring ",
            "{ground} bearing ",
            "{ground} displaying ",
            "an image of {ground} with ",
            "a picture of {ground} carrying ",
            "create {ground} with ",
            "draw {ground} with ",
            "generate {ground} featuring ",
            "I would like {ground} with ",
            "this is {ground} with ",
            "show me {ground} bearing ",
        ),
        clauses=(
            _named("the {noun} {quote}{coloured} {place}"),
            _named("the{coloured} {noun} {quote} {place}", " {colour}"),
            _named("{quote}{coloured} {place}"),
            _named("{quote} written{coloured} {place}"),
            _named("{quote} printed {place}{coloured}"),
            _named("{coloured} that says {quote} {place}", "{colour} lettering", "lettering"),
            _named("the {noun} {quote} set{coloured} {place}"),
            _named("{quote} {place}{coloured}", ", in {colour}"),
        ),
    ),
    Kind(
        openings=(
            "{ground}. ",
            "this is {ground}. ",
            "an image of {ground}. ",
            "imagine {ground}. ",
            "here is {ground}. ",
            "the image shows {ground}. ",
            "we see {ground}. ",
            "draw {ground}. ",
        ),
        clauses=SENTENCES,
    ),
    Kind(
        openings=(
            "{ground}, where ",
            "{ground} on which ",
            "an image of {ground} where ",
            "I want {ground} where ",
        ),
        clauses=SENTENCES,
    ),
    Kind(
        openings=(
            "make {ground}: ",
            "please make {ground} and ",
            "design {ground} and ",
            "create {ground}, then ",
            "draw {ground} and ",
            "I need {ground}; ",
            "lay out {ground} and ",
            "compose {ground}: ",
        ),
        clauses=(
            _asked("write {quote}{coloured} {place}", "draw {object} {place}"),
            _asked("put {quote} {place}{coloured}", "put {object} {place}"),
            _asked(
                "place the{coloured} {noun} {quote} {place}", "place {object} {place}", " {colour}"
            ),
            _asked("set {quote}{coloured} {place}", "show {object} {place}"),
            _asked("{place} write {quote}{coloured}", "{place} draw {object}"),
            _asked("add the {noun} {quote}{coloured} {place}", "add {object} {place}"),
            _asked(
                "let the {noun} {place} read {quote}{coloured}", "let there be {object} {place}"
            ),
            _asked("print {quote} {place}{coloured}", "draw {object} {place}", ", in {colour}"),
        ),
    ),
    Kind(
        openings=(
            "{ground} that says ",
            "{ground} reading ",
            "{ground} saying ",
            "text on {ground}: ",
            "words on {ground}: ",
            "the text of {ground}: ",
        ),
        clauses=(
            clause("{quote}", "", "with {object}", "", last=", "),
            clause("{quote}{coloured}", "", "with {object}", " in {colour}", last=", "),
        ),
    ),
    Kind(
        openings=("", "show ", "put ", "an image with "),
        clauses=(
            clause("{quote}{coloured}", "", "{object}", " in {colour}"),
            clause("the {noun} {quote}{coloured}", "", "{object} {place}", " in {colour}"),
            clause("{quote} {place}", "", "{object} {place}", ""),
        ),
        end=" on {ground}",
    ),
)


# Fragments instead of sentences; and "a big yellow 'X'", without a noun for the text.
FRAGMENTS = (
    Kind(
        openings=("{sheet}, ", "{sheet}: ", "{sheet} with ", "{sheet}. ", "{sheet}; "),
        clauses=(
            _named("{quote}{coloured} {place}"),
            _named("{coloured}{quote} {place}", "{colour} "),
            _named("{coloured}{quote}, {spot}", "{colour} "),
            _named("{quote}{coloured}, {spot}"),
            _named("{quote} {place}{coloured}", ", {colour}"),
            _named("{coloured}{noun} {quote} {place}", "{colour} "),
            _named("{spot} {quote}{coloured}"),
            _named("{quote}{coloured}, {place}", " in {colour} letters"),
        ),
    ),
    Kind(
        openings=("{ground} with ", "make me {ground} with ", "draw {ground} with ", "{ground}, "),
        clauses=(
            _named("a{size}{coloured} {quote} {place}", " {colour}"),
            _named("{coloured}{quote} {place}", "{colour} "),
            _named("{quote}{coloured} {place}", " in {colour} letters"),
        ),
    ),
    Kind(
        openings=("", "text: ", "please write "),
        clauses=(
            _named("{quote}, {spot}{coloured}", ", {colour}"),
            _named("{coloured}{quote} {place}", "{colour} "),
        ),
        end=", {ground}",
    ),
)
# Without the background, or the colour, and the place.
BRIEF = (
    Kind(
        openings=(
            "",
            "write ",
            "please write ",
            "draw ",
            "show me ",
            "I want ",
            "just ",
            "text: ",
            "it says ",
            "only the text ",
            "could you paint ",
        ),
        clauses=(
            unplaced("{quote}"),
            unplaced("{quote}{coloured}", " in {colour}"),
            unplaced("{coloured}{quote}", "{colour} "),
        ),
    ),
    Kind(
        openings=(
            "a poster ",
            "make a poster ",
            "please make me a poster ",
            "a sign ",
            "I need a sign ",
            "a card ",
            "draw a picture ",
            "a {theme} poster ",
            "make a {theme} sign ",
            "a poster for the {theme} ",
            "design a {theme} card ",
        ),
        clauses=(
            unplaced("that says {quote}"),
            unplaced("saying {quote}"),
            unplaced("with {quote} on it"),
            unplaced("with the {noun} {quote}"),
            unplaced("reading {quote}{coloured}", " in {colour}"),
            unplaced("with {coloured}{quote}", "{colour} "),
            unplaced("with the {noun} {quote}{coloured}", " in {colour}"),
        ),
    ),
    Kind(
        openings=("poster: ", "a simple sign: ", "{theme} poster, ", "make me a card: "),
        clauses=(
            unplaced("{quote}"),
            unplaced("{quote}{coloured}", ", {colour}"),
            unplaced("{coloured}{noun} {quote}", "{colour} "),
        ),
    ),
)
# Values of {theme}.
THEMES = (
    "bakery",
    "birthday",
    "book fair",
    "class",
    "coffee shop",
    "concert",
    "film",
    "football",
    "garden",
    "gallery",
    "holiday",
    "library",
    "market",
    "music night",
    "New Year",
    "party",
    "restaurant",
    "school",
    "shop",
    "summer sale",
    "travel",
    "wedding",
    "winter",
)
