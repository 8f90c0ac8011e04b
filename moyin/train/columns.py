"""What a stage needs of its stores: columns that they may lack, made by the networks of its
checkpoint, and edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moyin.dataset import tokens

if TYPE_CHECKING:
    from moyin.render.legend import Legend
    from moyin.train.objectives.base import Source

LOOKED_AT = 64  # pictures of a store in which there is an edit if it holds some


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


def check_edits(source: Source) -> None:
    """ValueError where none of the first pictures of any store is an edit of another one."""
    for store in source.pictures.parts:
        rows = store.read(["meta"], range(min(len(store), LOOKED_AT)))
        if any("edit" in row["meta"] for row in rows):
            return
    raise ValueError(
        f"edits: {source.pictures.path} holds none; add a store of some, as moyin prepare "
        "nano/edits makes it, or take objective.edits=0"
    )
