from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Any

import pytest

from moyin.backend import NAME, nn
from moyin.data.prepare import Images
from moyin.recipes import all_recipes, find
from moyin.recipes.overrides import apply
from moyin.train import Training

STAGES = ("autoencoder", "glyph", "semantic", "generator", "decoder")


@contextmanager
def no_memory() -> Iterator[None]:
    """Networks of any size can be built within, but not run."""
    torch = pytest.importorskip("torch")
    with torch.device("meta"), nn.empty_weights():
        yield


def count(network: Any) -> int:
    with no_memory():
        return sum(prod(p.shape) for p in nn.named_parameters(network.build()).values())


def stage(name: str) -> Training:
    training = find(name)()
    assert isinstance(training, Training)
    return training


def test_every_family_has_the_images_and_the_five_stages() -> None:
    for family in ("smoke", "nano", "glm-image"):
        assert isinstance(find(f"{family}/images")(), Images)
        for name in STAGES:
            assert stage(f"{family}/{name}").objective.stage == name


@pytest.mark.parametrize("name", all_recipes())
def test_every_recipe_says_what_it_does_in_a_few_lines(name: str) -> None:
    """A sentence on the first line; what it needs and reached in at most four more."""
    docstring = inspect.getdoc(find(name)) or ""
    first, *rest = docstring.splitlines()
    assert re.match("(Train|Continue|Fine-tune|Render|Filter|Prepare) ", first)
    assert len([line for line in rest if line]) <= 4


def test_recipes_import_no_framework() -> None:
    script = (
        "import sys; from moyin.recipes import all_recipes\n"
        "for recipe in all_recipes().values(): recipe()\n"
        "print(*{'torch', 'mindspore', 'moyin.backend'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_an_unknown_recipe_offers_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no recipe nano/decodr \(did you mean nano/decoder\?\)"):
        find("nano/decodr")


def test_overrides_reach_into_a_stage() -> None:
    command = ["out=x", "optimizer.lr=0.5", "objective.crop=4", "objective.network.layers=3"]
    training = apply(stage("nano/decoder"), command)
    assert (training.out, training.optimizer.lr) == ("x", 0.5)
    assert (training.objective.crop, training.objective.network.layers) == (4, 3)
    with pytest.raises(ValueError, match=r"optimizer.lrr \(did you mean optimizer.lr\?\)"):
        apply(stage("nano/decoder"), ["optimizer.lrr=1"])


# Of the released tensors, the glyph encoder's embedding once.
PARAMETERS = {
    "autoencoder": 406_100_643,
    "glyph": 217_657_472,
    "semantic": 1_199_457_280,
    "generator": 8_914_788_352,
    "decoder": 6_926_882_880,
}


@pytest.mark.skipif(NAME != "torch", reason="only PyTorch builds networks without memory")
@pytest.mark.parametrize("name", PARAMETERS)
def test_glm_image_has_its_own_sizes(name: str) -> None:
    assert count(stage(f"glm-image/{name}").objective.network) == PARAMETERS[name]


@pytest.mark.skipif(NAME != "torch", reason="only PyTorch builds networks without memory")
def test_all_of_nano_is_small() -> None:
    """At most 60 MB in bf16, two bytes a parameter."""
    networks = {name: stage(f"nano/{name}").objective.network for name in STAGES}
    codes, text = networks["semantic"].codes, stage("nano/generator").objective.text_vocab_size
    # What training takes from the networks before.
    networks["decoder"] = replace(
        networks["decoder"], codes=codes, glyph_dim=networks["glyph"].hidden
    )
    networks["generator"] = replace(
        networks["generator"], vocab=codes + 128 + text, vision_vocab=codes + 128
    )
    assert 2 * sum(map(count, networks.values())) < 60e6
