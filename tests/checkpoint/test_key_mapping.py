from __future__ import annotations

import json
from importlib import import_module

import pytest
from networks import CONFIGS, tiny

from moyin.backend import nn
from moyin.checkpoint.key_mapping import Names, listing
from moyin.checkpoint.layout import FOLDERS

RULES = (("blocks.{}.out.{}", "model.{}.proj.{}.linear"), ("norm", "final"))


def test_indices_and_leaves_are_kept() -> None:
    names = Names(RULES)
    assert names.theirs("blocks.3.out.12.weight") == "model.3.proj.12.linear.weight"
    assert names.ours("model.3.proj.12.linear.bias") == "blocks.3.out.12.bias"


def test_what_no_template_fits_is_none() -> None:
    names = Names(RULES)
    assert names.theirs("blocks.x.out.1.weight") is None
    assert names.ours("final.more.weight") is None


@pytest.mark.parametrize("network", FOLDERS)
def test_every_parameter_goes_there_and_back(network: str) -> None:
    module = import_module(f"moyin.checkpoint.names.{network}")
    names = Names(module.RULES)
    ours = list(nn.named_parameters(tiny(network)))
    theirs = [names.theirs(n) for n in ours]
    assert len(set(theirs)) == len(ours)
    assert [names.ours(t) for t in theirs if t is not None] == ours
    assert FOLDERS[network] == module.FOLDER


@pytest.mark.parametrize("network", FOLDERS)
def test_configuration_goes_there_and_back(network: str) -> None:
    module = import_module(f"moyin.checkpoint.names.{network}")
    written = json.loads(json.dumps(module.to_config(CONFIGS[network])))
    assert module.from_config(written) == CONFIGS[network]


def test_listing_is_short() -> None:
    assert listing(["b", "a"]) == "a, b"
    assert listing([f"{i:02}" for i in range(13)]).endswith("09 and 3 more")
