"""A checkpoint folder, from which networks are loaded one by one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moyin.checkpoint import shards
from moyin.checkpoint.hub import locate
from moyin.checkpoint.layout import FOLDERS, NOTES, WEIGHT_FOLDERS, packed_kind, without_ties

if TYPE_CHECKING:
    from moyin.checkpoint.load import Loading
    from moyin.flow.schedule import Schedule

# Two networks share a folder: the section of config.json that each one needs.
SECTIONS = {"generator": "text_config", "semantic": "vision_config"}
GENERATION = "vision_language_encoder/generation_config.json"


class Checkpoint:
    """A folder in GLM-Image's layout, each part read when it is first used.

    loading: how `network` holds weights.
    """

    def __init__(self, folder: Path, loading: Loading | None = None) -> None:
        self.folder, self.loading = folder, loading
        self._headers: dict[str, dict[str, shards.Entry]] = {}

    @classmethod
    def open(
        cls, path_or_hub_id: str | Path | None = None, loading: Loading | None = None
    ) -> Checkpoint:
        """A folder, a hub id, or by default the embedded one. ValueError where there is none."""
        return cls(locate(path_or_hub_id), loading)

    def tokenizer(self) -> Any:
        """The text tokenizer of processor/."""
        from moyin.prompt.tokenizer import TextTokenizer

        return TextTokenizer.open(self.folder / "processor")

    def schedule(self) -> Schedule:
        """The noise schedule of scheduler/. ValueError where it is of another kind."""
        from moyin.checkpoint.names import scheduler

        path = self.folder / scheduler.FOLDER / "scheduler_config.json"
        try:
            return scheduler.from_config(shards.read_json(path))
        except KeyError as e:
            raise ValueError(f"{path} lacks {e}") from None

    def network(self, name: str) -> Any:
        """One of the five networks, loaded as `loading` says.

        ValueError where it is absent, or where a tensor is missing, unexpected or of another shape
        than config.json says.
        """
        from moyin.checkpoint.load import Loading

        return self._load(name, self.loading or Loading())

    def whole(self, name: str, dtype: str | None = None) -> Any:
        """The network with unpacked weights, to be trained or saved. dtype: None for the stored.

        ValueError as `network` raises it, and where the weights are packed.
        """
        from moyin.checkpoint.load import Loading

        kind = packed_kind(self.tensors(FOLDERS[name]))
        if kind:
            raise ValueError(
                f"the weights of {self.folder / FOLDERS[name]} are {kind}, which cannot be trained "
                "or saved again: give the checkpoint that they were made from"
            )
        return self._load(name, Loading(dtype=dtype))

    def _load(self, name: str, loading: Loading) -> Any:
        from moyin.checkpoint.load import load_weights

        config, folder = self.config(name), FOLDERS[name]
        return load_weights(name, config, self.folder / folder, self.tensors(folder), loading)

    @cached_property
    def packed(self) -> str | None:
        """int8 or int4 where the weights of generator and decoder are stored so."""
        return packed_kind(self.entries)

    def config(self, name: str) -> Any:
        """The network's Config. ValueError where it is absent or cannot be read."""
        from moyin.checkpoint.load import names_module

        if not self.has(name):
            raise ValueError(f"{self.folder} holds no {name} ({FOLDERS[name]}/config.json)")
        path = self.folder / FOLDERS[name] / "config.json"
        try:
            return names_module(name).from_config(shards.read_json(path))
        except (KeyError, TypeError) as e:
            raise ValueError(f"{path} does not describe a {name}: {e!r}") from None

    def has(self, name: str) -> bool:
        """Whether the folder holds this network."""
        path = self.folder / FOLDERS[name] / "config.json"
        return path.is_file() and SECTIONS.get(name, "") in {"", *shards.read_json(path)}

    def has_tokenizer(self) -> bool:
        """Whether the folder holds a text tokenizer."""
        return (self.folder / "processor" / "tokenizer.json").is_file()

    @cached_property
    def notes(self) -> dict[str, Any]:
        """moyin.json: preferred settings, training scope, provenance; empty where it is absent."""
        path = self.folder / NOTES
        return shards.read_json(path) if path.is_file() else {}

    @property
    def sampling(self) -> dict[str, Any]:
        """generation_config.json; empty where it is absent."""
        path = self.folder / GENERATION
        return shards.read_json(path) if path.is_file() else {}

    def tensors(self, folder: str) -> dict[str, shards.Entry]:
        """The tensors of one weight folder; headers are read once."""
        if folder not in self._headers:
            self._headers[folder] = shards.read_folder(self.folder / folder)
        return self._headers[folder]

    @cached_property
    def entries(self) -> dict[str, shards.Entry]:
        """All tensors as `<folder>/<released name>`, from the headers alone."""
        entries: dict[str, shards.Entry] = {}
        for folder in WEIGHT_FOLDERS:
            if (self.folder / folder).is_dir():
                tensors = without_ties(self.tensors(folder), folder)
                entries |= {f"{folder}/{n}": e for n, e in tensors.items()}
        return entries

    def digest(self) -> str:
        """sha256 over all tensors, the five configurations and the text tokenizer.

        Equal when the content is, however it is sharded and whichever library wrote it.
        """
        total = hashlib.sha256(shards.hash_tensors(self.entries).encode())
        for name in FOLDERS:
            if self.has(name):
                settings = dataclasses.asdict(self.config(name))
                total.update(f"{name} {json.dumps(settings, sort_keys=True)}\n".encode())
        path = self.folder / "processor" / "tokenizer.json"
        if path.is_file():
            total.update(json.dumps(shards.read_json(path), sort_keys=True).encode())
        return total.hexdigest()
