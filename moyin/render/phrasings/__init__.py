"""The ways to say what an image shows: some 300 phrasings in each language, and brief ones.

The first seven of a language are written out; the rest are openings and clauses that go together,
each opening with each clause of its kind. Of those that are whole sentences, and of the brief ones,
every tenth is held out, so that a model can be asked in words that it was not taught.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moyin.render.phrasings import chinese, english
from moyin.render.phrasings.phrasing import Kind, Phrasing

Phrasings = Mapping[str, tuple[Phrasing, ...]]  # by language


def _all(kinds: Sequence[Kind], plain: tuple[Phrasing, ...] = ()) -> tuple[Phrasing, ...]:
    made = (phrasing for kind in kinds for phrasing in kind.phrasings())
    return tuple(dict.fromkeys((*plain, *made)))


def _taught(every: Phrasings) -> Phrasings:
    return {
        language: tuple(p for number, p in enumerate(known) if number % 10 != 9)
        for language, known in every.items()
    }


def _held_out(every: Phrasings) -> Phrasings:
    return {language: known[9::10] for language, known in every.items()}


def _joined(one: Phrasings, other: Phrasings) -> Phrasings:
    return {language: (*one[language], *other[language]) for language in one}


THEMES = {"zh": chinese.THEMES, "en": english.THEMES}
PLAIN: Phrasings = {"zh": chinese.PLAIN, "en": english.PLAIN}
TOLD = {
    "zh": _all(chinese.KINDS, chinese.PLAIN),
    "en": _all(english.KINDS, english.PLAIN),
}
FRAGMENTS = {"zh": _all(chinese.FRAGMENTS), "en": _all(english.FRAGMENTS)}
BRIEF = {"zh": _all(chinese.BRIEF), "en": _all(english.BRIEF)}
SEEN = _joined(_taught(TOLD), FRAGMENTS)
HELD_OUT = _held_out(TOLD)
SETS: Mapping[str, Phrasings] = {
    "plain": PLAIN,
    "fragments": FRAGMENTS,
    "seen": SEEN,
    "held-out": HELD_OUT,
    "all": _joined(TOLD, FRAGMENTS),
    "brief": _taught(BRIEF),
    "brief-held-out": _held_out(BRIEF),
}
