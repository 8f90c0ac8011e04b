"""Caption templates: about 300 phrasings in each language, and brief ones.

The first seven of a language are written out; the others combine each opening of a kind with each
of its clauses. Every tenth of the full and of the brief phrasings is held out from training, to
evaluate prompts in an unseen wording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moyin.render.phrasings import chinese, english
from moyin.render.phrasings.phrasing import Kind, Phrasing

Phrasings = Mapping[str, tuple[Phrasing, ...]]  # by language


def _all(kinds: Sequence[Kind], plain: tuple[Phrasing, ...] = ()) -> tuple[Phrasing, ...]:
    combined = (phrasing for kind in kinds for phrasing in kind.phrasings())
    return tuple(dict.fromkeys((*plain, *combined)))


def _seen(every: Phrasings) -> Phrasings:
    return {
        language: tuple(p for number, p in enumerate(phrasings) if number % 10 != 9)
        for language, phrasings in every.items()
    }


def _held_out(every: Phrasings) -> Phrasings:
    return {language: phrasings[9::10] for language, phrasings in every.items()}


def _joined(one: Phrasings, other: Phrasings) -> Phrasings:
    return {language: (*one[language], *other[language]) for language in one}


THEMES = {"zh": chinese.THEMES, "en": english.THEMES}
PLAIN: Phrasings = {"zh": chinese.PLAIN, "en": english.PLAIN}
FULL = {
    "zh": _all(chinese.KINDS, chinese.PLAIN),
    "en": _all(english.KINDS, english.PLAIN),
}
FRAGMENTS = {"zh": _all(chinese.FRAGMENTS), "en": _all(english.FRAGMENTS)}
BRIEF = {"zh": _all(chinese.BRIEF), "en": _all(english.BRIEF)}
SEEN = _joined(_seen(FULL), FRAGMENTS)
HELD_OUT = _held_out(FULL)
SETS: Mapping[str, Phrasings] = {
    "plain": PLAIN,
    "fragments": FRAGMENTS,
    "seen": SEEN,
    "held-out": HELD_OUT,
    "all": _joined(FULL, FRAGMENTS),
    "brief": _seen(BRIEF),
    "brief-held-out": _held_out(BRIEF),
}
