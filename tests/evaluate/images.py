"""An OpenAI-compatible images API on loopback that behaves as a test tells it to."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Answer:
    """What one request gets. seconds: before it comes."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def encoded(picture_hwc: Any, kind: str = "PNG") -> bytes:
    into = io.BytesIO()
    Image.fromarray(np.asarray(picture_hwc)).save(into, kind)
    return into.getvalue()


def shows(raw: bytes, **more: Any) -> Answer:
    """An answer that holds a picture as the API has it."""
    data = [{"b64_json": base64.b64encode(raw).decode()}]
    return Answer(body=json.dumps({"created": 1, "data": data, **more}).encode())


def fails(status: int, message: str = "no", **headers: str) -> Answer:
    return Answer(status, json.dumps({"error": {"message": message}}).encode(), headers)


class Images:
    """`behave` gives the answer to (prompt, how often it has been asked before); `files` are what
    lies at other addresses. Keeps what was `asked`, body and headers."""

    def __init__(self, behave: Callable[[str, int], Answer]) -> None:
        self.behave = behave
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.times: Counter[str] = Counter()
        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def __enter__(self) -> Images:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    def _handler(images) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                images.asked.append((body, dict(self.headers)))
                prompt = str(body.get("prompt", ""))
                images.times[prompt] += 1
                self.give(images.behave(prompt, images.times[prompt] - 1))

            def do_GET(self) -> None:
                raw = images.files.get(self.path)
                self.give(Answer(404) if raw is None else Answer(body=raw))

            def give(self, answer: Answer) -> None:
                images.over.wait(answer.seconds)
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name.replace("_", "-"), value)
                    self.end_headers()
                    self.wfile.write(answer.body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client has given up waiting

            def log_message(self, *args: object) -> None:
                pass

        return Handler
