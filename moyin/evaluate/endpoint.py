"""Images of any model behind an OpenAI-compatible images API.

What came is kept with what was asked for it, whatever it is, so a run that was stopped goes on and
nothing is paid for twice; what the service refuses is counted and tried again on the next run.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moyin.clients.http import Refused, Server, Unavailable
from moyin.evaluate.image_files import LARGEST
from moyin.evaluate.options import Options
from moyin.evaluate.report import replace
from moyin.evaluate.task import Item
from moyin.inference.observer import Progress

KEY = "MOYIN_IMAGES_KEY"
REQUESTS = "requests.jsonl"
GIVE_UP = 3  # requests in a row that the service is not there for


class Endpoint:
    """Asks `{url}/images/generations`, one image a request; the answer holds it as base64 or
    names its address.

    The key, where there is one, is MOYIN_IMAGES_KEY's. Raises ValueError as `remote.Server` does.
    """

    def __init__(
        self, url: str, model: str, options: Options, out: Path, server: Server | None = None
    ) -> None:
        self.server = server or Server(url=url, key=KEY, retries=options.retries)
        self.url, self.model, self.options, self.out = url, model, options, out
        self._kept = _read(out / REQUESTS)
        self._wanted: set[str] = set()
        self._faults: dict[str, str] = {}

    def facts(self) -> dict[str, Any]:
        """Cost: of the images that came, where a price was told; tokens, where the service
        counts them. Refusals of this run are named."""
        kept = [row for name, row in self._kept.items() if name in self._wanted]
        cost: dict[str, Any] = {"images": len(kept)}
        tokens = [row["tokens"] for row in kept if row["tokens"] is not None]
        cost |= {"tokens": sum(tokens)} if tokens else {}
        if self.options.price is not None:
            cost["total"] = round(self.options.price * len(kept), 6)
        facts = {"endpoint": self.url, "model": self.model, "size": self.options.size}
        return {**facts, "cost": cost, "refused": self._faults}

    def make(self, wanted: Sequence[tuple[Item, int]], progress: Progress) -> None:
        """Ask for what is not there yet. Raises Denied where key, address or model are wrong, and
        Unavailable where the service fails several times in a row."""
        self._wanted = {f"{item.id}_{repeat}" for item, repeat in wanted}
        # Anew, for what is added to a line cut short would be lost with it.
        replace(self.out / REQUESTS, "".join(map(_line, self._kept.values())))
        absent = 0
        for number, (item, repeat) in enumerate(wanted, 1):
            name = f"{item.id}_{repeat}"
            if not self._is_there(name, item):
                try:
                    self._make(name, item)
                    absent = 0
                except Refused as e:
                    self._faults[name], absent = str(e), 0
                except Unavailable as e:
                    self._faults[name], absent = str(e), absent + 1
                    if absent == GIVE_UP:
                        raise
            progress("drawn", number, len(wanted))

    def path(self, item: Item, repeat: int) -> Path | None:
        name = f"{item.id}_{repeat}"
        return self.out / name if self._is_there(name, item) else None

    def _is_there(self, name: str, item: Item) -> bool:
        """Whether the bytes that came for this very request are still there."""
        row = self._kept.get(name)
        if row is None or any(row.get(k) != v for k, v in self._request(item).items()):
            return False
        path = self.out / name
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]

    def _request(self, item: Item) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": self.model, "prompt": item.prompt, "n": 1}
        return asked if self.options.size is None else {**asked, "size": self.options.size}

    def _make(self, name: str, item: Item) -> None:
        request = self._request(item)
        answer = self.server.post("images/generations", request)
        raw = self._bytes(answer)
        if len(raw) > LARGEST:
            raise Refused(f"an image of more than {LARGEST >> 20} MB")
        part = self.out / f"{name}.part"
        part.write_bytes(raw)
        part.replace(self.out / name)
        usage = answer.get("usage")
        tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
        row = {"name": name, "sha256": hashlib.sha256(raw).hexdigest(), **request}
        row["tokens"] = tokens if isinstance(tokens, int) else None
        with (self.out / REQUESTS).open("a", encoding="utf-8") as f:
            f.write(_line(row))
        self._kept[name] = row

    def _bytes(self, answer: dict[str, Any]) -> bytes:
        """The image's bytes, of whatever type; Refused where there are none."""
        try:
            first = answer["data"][0]
            if isinstance(first.get("b64_json"), str):
                # Some services write a whole data URL.
                return base64.b64decode(first["b64_json"].rpartition(",")[2], validate=True)
            if isinstance(first.get("url"), str):
                return self.server.get(first["url"])
        except (KeyError, IndexError, TypeError, AttributeError, binascii.Error):
            pass
        raise Refused("an answer without an image")


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The rows by name, the last of a name counting; one cut short is dropped."""
    found = {}
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
            found[str(row["name"])] = {**row, "sha256": row["sha256"], "tokens": row["tokens"]}
        except (ValueError, TypeError, KeyError):
            continue
    return found
