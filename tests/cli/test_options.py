from __future__ import annotations

import pytest
from command import Moyin

from moyin.cli.options import merge

KEYS = {"checkpoint": "tokenize.checkpoint"}


def test_options_and_key_value_say_the_same() -> None:
    overrides = ["steps=3", "out=a", "tokenize.checkpoint=c"]
    others, values = merge(overrides, KEYS, out=None, data="d", checkpoint="c")
    assert others == ["steps=3"]
    assert values == {"out": "a", "data": "d", "checkpoint": "c"}
    assert merge(["checkpoint=c"], KEYS, checkpoint=None)[1] == {"checkpoint": "c"}


def test_two_values_for_one_thing_are_an_error() -> None:
    with pytest.raises(ValueError, match="--out is a and out=b differs"):
        merge(["out=b"], {}, out="a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "smoke/glyph", "--out", "a", "out=b"], "--out is a and out=b differs"),
        (["train", "smoke/glyph"], "--out is missing"),
        (["train", "smoke/glyph", "out=a", "lr=1"], "lr (did you mean optimizer.lr?)"),
        (["train", "smoke/images", "out=a"], "moyin prepare takes it"),
        (["train", "smoke/glyph", "out=a", "mesh=1xCPU"], "--mesh needs --dry-run"),
        (["prepare", "smoke/images"], "--out is missing"),
        (["prepare", "smoke/glyph", "-o", "a"], "moyin train takes it"),
        (["prepare", "smoke/images", "-o", "a", "--data", "b"], "takes no inputs"),
        (["prepare", "smoke/images", "-o", "a", "--ray", "b"], "--ray is for recipes that filter"),
        (["evaluate", "posters"], "--out is missing"),
        (["evaluate", "posters", "-o", "a", "checkpoint=b", "--checkpoint", "c"], "differs"),
        (["evaluate", "postrs", "-o", "a"], "no suite postrs"),
        (["import", "absent", "-o", "a"], "absent does not exist"),
        (["export", "--format", "zip", "a", "-o", "b"], "--format zip: it must be webdataset"),
    ],
)
def test_verbs_take_their_arguments_alike(moyin: Moyin, arguments: list[str], message: str) -> None:
    code, _, err = moyin(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
