"""An OpenAI-compatible images API on loopback that behaves as a test tells it to."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from loopback import Loopback, Reply
from PIL import Image


def encoded(image_hwc: Any, kind: str = "PNG") -> bytes:
    into = io.BytesIO()
    Image.fromarray(np.asarray(image_hwc)).save(into, kind)
    return into.getvalue()


def shows(raw: bytes, **more: Any) -> Reply:
    """An answer that holds an image as the API has it."""
    data = [{"b64_json": base64.b64encode(raw).decode()}]
    return Reply(body=json.dumps({"created": 1, "data": data, **more}).encode())


def fails(status: int, message: str = "no", **headers: str) -> Reply:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps({"error": {"message": message}}).encode(), told)


class Images(Loopback):
    """`behave` gives the answer to (prompt, how often it has been asked before); `files` are what
    lies at other addresses. Keeps what was `asked`, body and headers."""

    def __init__(self, behave: Callable[[str, int], Reply]) -> None:
        super().__init__()
        self.behave = behave
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.times: Counter[str] = Counter()

    def post(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Reply:
        self.asked.append((body, headers))
        prompt = str(body.get("prompt", ""))
        self.times[prompt] += 1
        return self.behave(prompt, self.times[prompt] - 1)

    def get(self, path: str) -> Reply:
        raw = self.files.get(path)
        return Reply(404) if raw is None else Reply(body=raw)
