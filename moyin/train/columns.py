"""What a stage needs of its datasets: columns that they may lack, made by the networks of its
checkpoint, and edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moyin.dataset import tokens

if TYPE_CHECKING:
    from moyin.render.legend import Legend
    from moyin.train.objectives.base import Source

LOOKED_AT = 64  # images of a dataset in which there is an edit if it holds some


def semantic_columns(source: Source, legend: Legend | None = None) -> None:
    """`tokens` and `preview_tokens` in every dataset (`data.tokens`).

    legend: what the ids of rendered images are to say, in place of what the tokenizer says of
    them. It learns to say the same, and nobody has to wait for it or to copy its mistakes.
    """
    network = None if legend is not None else source.network("semantic")
    for dataset in source.images.parts:
        tokens.token_columns(dataset, network, legend)


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
        f"edits: {source.images.path} holds none; add a dataset of some, as moyin prepare "
        "nano/edits makes it, or take objective.edits=0"
    )
