"""A chat endpoint on loopback that says what a test tells it to."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """A whole answer, sent as it is."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


SILENCE = Reply(status=0)


def says(content: Any) -> Reply:
    """A chat completion with this content."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}}
    return Reply(body=json.dumps({"object": "chat.completion", "choices": [choice]}).encode())


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[str]:
        return [message["content"] for message in self.body["messages"]]


class Chat:
    """Gives its `replies` in turn, text as a completion, and keeps what it was `asked`."""

    def __init__(self) -> None:
        self.replies: list[Reply | str] = []
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def __enter__(self) -> Chat:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    def _handler(chat) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                chat.asked.append(Asked(self.path, dict(self.headers), body))
                reply = chat.replies.pop(0) if chat.replies else Reply(500, b"not expected")
                reply = says(reply) if isinstance(reply, str) else reply
                if reply is SILENCE:
                    chat.over.wait()
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
