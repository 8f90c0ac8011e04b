"""A fresh generator's body from a GLM-4-0414 folder, as GLM-Image itself began.

GLM-4 turns neighbouring channels of a head with each other, our generator those half of the turned
channels apart: the rows of q and k change places accordingly. Its text rows stand behind our
vision rows, which it has none of; nor has it a head for them. Both stay as they were drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from moyin.backend import Tensor, io, nn, ops
from moyin.checkpoint import shards
from moyin.checkpoint.key_mapping import Names, listing
from moyin.checkpoint.names import generator as names
from moyin.models.generator import Generator

OURS, THEIRS = "model.language_model.", "model."  # what layers' names begin with


def generator_from(folder: str | Path, config: Generator.Config) -> Generator:
    """A generator of GLM-4's sizes with `config`'s vocabularies and rotary sections.

    ValueError where the folder holds no GLM-4-0414, where its text vocabulary is not as large as
    ours, where the sections do not turn as many channels as it does, or where a tensor is missing.
    """
    folder = Path(folder)
    released = shards.read_json(folder / "config.json")
    if released.get("model_type") != "glm4":
        raise ValueError(
            f"{folder} is no GLM-4-0414: its model_type is {released.get('model_type')}"
        )
    text, known = config.vocab - config.vision_vocab, released["vocab_size"]
    if text != known:
        raise ValueError(f"{folder} has {known} text ids, and the text tokenizer {text}")
    rope = released.get("rope_parameters") or released
    config = replace(
        config,
        **{ours: released[theirs] for ours, theirs in names.BODY.items()},
        theta=float(rope.get("rope_theta", Generator.Config.theta)),
    )
    turned = int(config.head_dim * rope.get("partial_rotary_factor", 0.5))
    if 2 * sum(config.rotary_sections) != turned:
        raise ValueError(
            f"{folder} turns {turned} channels of a head: rotary_sections must add up to "
            f"{turned // 2}, and {config.rotary_sections} do not"
        )
    network = config.build()
    _fill(network, shards.read_folder(folder), turned)
    return network


def _fill(network: Generator, entries: Mapping[str, shards.Entry], turned: int) -> None:
    """Give every parameter but the head's what the folder holds for it."""
    rename, wanted = Names(names.RULES), {}
    for ours in nn.named_parameters(network):
        theirs = rename.theirs(ours)
        assert theirs is not None
        if theirs.startswith(OURS):
            wanted[ours] = THEIRS + theirs.removeprefix(OURS)
    if missing := [n for n in wanted.values() if n not in entries]:
        raise ValueError(f"the folder lacks {listing(missing)}")
    for ours, parameter in nn.named_parameters(network).items():
        if ours not in wanted:
            continue
        name = wanted[ours]
        value = ops.cast(io.load(entries[name].file, [name])[name], parameter.dtype)
        if ours.startswith("embedding"):
            value = _behind_vision(parameter, value)
        elif ".attention.q." in ours or ".attention.k." in ours:
            value = half_split(value, network.config.head_dim, turned)
        nn.set_parameter(parameter, value)


def _behind_vision(rows: Tensor, text_rows: Tensor) -> Tensor:
    """Our drawn vision rows, made as large as the text rows are, before the text rows."""
    fresh, text = ops.numpy(rows)[: rows.shape[0] - text_rows.shape[0]], ops.numpy(text_rows)
    scale = np.float32(text.std() / fresh.std())
    return ops.concat([ops.asarray(fresh * scale), text_rows], 0)


def half_split(rows: Tensor, head_dim: int, turned: int) -> Tensor:
    """Rows [heads · head_dim, …] of q or k, or their bias, from interleaved to half-split turns."""
    places = np.arange(head_dim)
    places[:turned] = np.concatenate([np.arange(0, turned, 2), np.arange(1, turned, 2)])
    heads = np.arange(rows.shape[0] // head_dim)[:, None] * head_dim
    order: Any = ops.asarray((heads + places).reshape(-1))
    return ops.take(rows, order, 0)
