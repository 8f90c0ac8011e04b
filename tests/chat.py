"""A chat endpoint on loopback that says what a test tells it to."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from loopback import Loopback, Reply

SILENCE = Reply(seconds=threading.TIMEOUT_MAX)


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


class Chat(Loopback):
    """Gives its `replies` in turn, text as a completion, and keeps what it was `asked`."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[Reply | str] = []
        self.asked: list[Asked] = []

    def post(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Reply:
        self.asked.append(Asked(path, headers, body))
        reply = self.replies.pop(0) if self.replies else Reply(500, b"not expected")
        return says(reply) if isinstance(reply, str) else reply
