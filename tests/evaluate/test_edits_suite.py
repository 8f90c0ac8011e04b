from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from moyin.evaluate.edits import edits_50, suite
from moyin.evaluate.nano import nano_50
from moyin.ocr.colours import COLOURS, contrast
from moyin.ocr.places import CHINESE, ENGLISH
from moyin.prompt.quotes import quoted
from moyin.render.edits import RECOLOURED, WRITTEN


def test_the_suite_is_fixed() -> None:
    text = "\n".join(one.prompt for one in edits_50())
    digest = "2b24bb8a6fc6774c4253ac804d044261024ff058c176489ea0b214ff67125a66"
    assert hashlib.sha256(text.encode()).hexdigest() == digest, "a new suite needs a new name"


def test_each_edit_changes_what_its_prompt_says_and_nothing_else() -> None:
    kinds = Counter()
    for before, after in zip(nano_50(), edits_50(), strict=True):
        chinese = after.language == "zh"
        differ = [n for n in vars(after) if n != "prompt" and vars(after)[n] != vars(before)[n]]
        (changed,) = differ
        kinds[changed, after.language] += 1
        assert quoted(after.prompt) == [after.text]
        if changed == "colour":
            colour = COLOURS[after.colour]
            assert (colour.chinese + "色" if chinese else colour.name) in after.prompt
            assert contrast(COLOURS[after.background].rgb, colour.rgb) >= 3
        else:
            assert changed == "text"
            assert any(p in after.prompt for p in (CHINESE if chinese else ENGLISH)[after.place])
    counts = {("text", "zh"): 17, ("text", "en"): 17, ("colour", "zh"): 8, ("colour", "en"): 8}
    assert kinds == counts


def test_no_training_pair_is_asked_for_so() -> None:
    for phrases in (WRITTEN, RECOLOURED):
        for phrase in (p for some in phrases.values() for p in some):
            first = phrase.split("{")[0]
            assert not any(first and one.prompt.startswith(first) for one in edits_50())


def test_the_images_before_and_after_differ_in_the_text_alone() -> None:
    some = suite()
    assert some.reference is not None
    for item in some.items:
        before, after = some.reference(item), some.perfect(item)
        differs = (before != after).any(2)
        assert 100 < differs.sum() < differs.size / 4
        ground = np.array(COLOURS[item.truth.background].rgb)
        assert (before[0, 0] == ground).all()
        assert (after[0, 0] == ground).all()
