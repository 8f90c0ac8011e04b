"""Which columns a checkpoint's networks add to a prepared dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import Dataset
from moyin.dataset.progress import OnProgress, ignore

NETWORKS = {"tokens": "semantic", "latents": "autoencoder"}


@dataclass(frozen=True, kw_only=True)
class Tokenize:
    """Columns to add; none by default.

    columns: `tokens`, which adds `preview_tokens` too, and `latents`. checkpoint: folder or hub id
    with the networks; empty for the default checkpoint.
    """

    columns: tuple[Literal["tokens", "latents"], ...] = ()
    checkpoint: str = ""

    def check(self) -> None:
        """ValueError if the checkpoint lacks a network, before any work is done."""
        for column in self.columns:
            if not Checkpoint.open(self.checkpoint or None).has(NETWORKS[column]):
                raise ValueError(
                    f"column {column} needs a trained {NETWORKS[column]} network: "
                    "tokenize.checkpoint=FOLDER names a checkpoint that has one"
                )

    def __call__(self, dataset: Dataset, on_progress: OnProgress = ignore) -> None:
        """Add the missing rows. ValueError if another network made a column."""
        from moyin.dataset import tokens

        self.check()
        for column in self.columns:
            network = Checkpoint.open(self.checkpoint or None).whole(NETWORKS[column], "float32")
            if column == "tokens":
                tokens.token_columns(dataset, network, on_progress=on_progress)
            else:
                tokens.latent_column(dataset, network, tokens.latent_dtype(), on_progress)
