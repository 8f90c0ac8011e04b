"""Columns that a stage needs and the stores may lack, made by the networks of its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moyin.data import tokens

if TYPE_CHECKING:
    from moyin.data.legend import Legend
    from moyin.train.objectives.base import Source


def semantic_columns(source: Source, legend: Legend | None = None) -> None:
    """`ids` and `preview_ids` in every store (`data.tokens`).

    legend: what the ids of rendered pictures are to say, in place of what the tokenizer says of
    them. It learns to say the same, and nobody has to wait for it or to copy its mistakes.
    """
    network = None if legend is not None else source.network("semantic")
    for store in source.pictures.parts:
        tokens.semantic_columns(store, network, legend)


def latent_column(source: Source, dtype: Any) -> None:
    """`latents` in every store."""
    network = source.network("autoencoder")
    for store in source.pictures.parts:
        tokens.latent_column(store, network, dtype)
