"""A server on loopback that answers as a test tells it to."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """A whole answer, sent as it is. seconds: before it comes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Loopback:
    """`with` it runs. What is asked comes to `post` and `get`, which give the answers; one that is
    late comes when it ends, if not before."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def post(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Reply:
        return Reply(404)

    def get(self, path: str) -> Reply:
        return Reply(404)

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    def _handler(owner) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.give(owner.post(self.path, dict(self.headers), body))

            def do_GET(self) -> None:
                self.give(owner.get(self.path))

            def give(self, reply: Reply) -> None:
                owner.over.wait(reply.seconds)
                try:
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(reply.body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client has given up waiting

            def log_message(self, *args: object) -> None:
                pass

        return Handler
