"""What a stage needs of its datasets: columns that networks of its checkpoint make, and edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moyin.dataset import tokens

if TYPE_CHECKING:
    from moyin.dataset.tokens import TokenLayout
    from moyin.train.objectives.base import Source

LOOKED_AT = 64  # images of a dataset in which there is an edit if it holds some


def semantic_columns(source: Source, layout: TokenLayout | None = None) -> None:
    """`tokens` and `preview_tokens` in every dataset (`moyin.dataset.tokens`).

    layout: gives the tokens of rendered images by rule, in place of the checkpoint's semantic
    tokenizer, which is then not needed.
    """
    network = None if layout is not None else source.network("semantic")
    for dataset in source.images.parts:
        tokens.token_columns(dataset, network, layout)


def latent_column(source: Source, dtype: Any) -> None:
    """`latents` in every dataset."""
    network = source.network("autoencoder")
    for dataset in source.images.parts:
        tokens.latent_column(dataset, network, dtype)


def check_edits(source: Source) -> None:
    """ValueError where none of the first images of any dataset is an edit of another one."""
    for dataset in source.images.parts:
        rows = dataset.read(["meta"], range(min(len(dataset), LOOKED_AT)))
        if any("edit" in row["meta"] for row in rows):
            return
    raise ValueError(
        f"edit_probability: {source.images.path} holds no edits; add a dataset of some, as moyin "
        "prepare smoke/edits makes it, or take objective.edit_probability=0"
    )
