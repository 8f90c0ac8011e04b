"""Where a checkpoint lies: a folder here, a name on the hub, or the one that comes with Moyin."""

from __future__ import annotations

import os
import re
from pathlib import Path

import moyin
from moyin.checkpoint.layout import MODEL_INDEX

VARIABLE = "MOYIN_CHECKPOINT"
# Inside an installed package, or beside the package in a clone.
_PLACES = [p / "checkpoints" / "nano" for p in Path(moyin.__file__).resolve().parents[:2]]
EMBEDDED = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
WANTED = ["*.json", "*/*.json", "*/*.safetensors", "*/*.jinja", "*/*.txt"]


def default() -> str:
    """MOYIN_CHECKPOINT, or checkpoints/nano beside the package."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    if not EMBEDDED.is_dir():
        raise ValueError(
            f"no default checkpoint at {EMBEDDED}: "
            f"name one (a folder or a hub id), or set {VARIABLE}"
        )
    return str(EMBEDDED)


def locate(place: str | Path | None = None) -> Path:
    """The local folder of a checkpoint, fetched from the hub first if `place` is a hub id.

    Raises ValueError where there is none, saying which of the two was tried.
    """
    name = str(place) if place is not None else default()
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
            raise ValueError(f"no checkpoint folder at {name}")
        folder = _fetch(name)
    if not (folder / MODEL_INDEX).is_file():
        raise ValueError(f"{folder} is no checkpoint: it has no {MODEL_INDEX}")
    return folder


def _fetch(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=WANTED))
    except Exception as e:  # the hub's clients raise whatever lies under them
        reason = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        raise ValueError(
            f"no folder {name} here, and the hub does not give it ({reason}): "
            "check the name and the network, or download it elsewhere and name the folder"
        ) from e
