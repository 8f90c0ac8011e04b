"""A model behind any server with OpenAI's chat completions, whether it runs here or elsewhere."""

from __future__ import annotations

import json
import math
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, ClassVar

from moyin import __version__

LONGEST = 2**20  # bytes of an answer

# ASCII without spaces: an address that has no ? or # and names no user.
_ADDRESS = re.compile(r"https?://(?:(?![?#@])[!-~])+")
_HEADER = re.compile(r"[!-~]*")
# Control characters but tab and line ends, and halves of surrogate pairs: no terminal should be
# given the ones, no encoder takes the others.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# What a reasoning model writes first where its server does not take it out.
_THOUGHTS = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A model behind `{url}/chat/completions`; subclasses say in errors what it is there for.

    key: sent as a bearer token where there is one, that of the environment's KEY unless given.
    timeout: seconds without a byte. Raises ValueError for an address that is not http or https,
    or holds a user or a query.
    """

    KEY: ClassVar[str]
    NAME: ClassVar[str]
    WITHOUT: ClassVar[str]  # what a user may do instead of asking

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.url) or not _has_host(self.url):
            raise ValueError(
                f"the {self.NAME}'s address must be like http://127.0.0.1:8000/v1, http or https "
                f"without user or query; a key goes into {self.KEY}"
            )
        if not self.model.strip():
            raise ValueError(f"name the model that the {self.NAME} is to ask")
        object.__setattr__(self, "key", self.key or os.environ.get(self.KEY, "").strip())
        if not _HEADER.fullmatch(self.key):
            raise ValueError(f"{self.KEY} holds what no key does, such as a space: copy it again")
        if not (self.timeout > 0 and math.isfinite(self.timeout)):
            raise ValueError(f"timeout must be above 0 seconds, not {self.timeout}")

    @property
    def endpoint(self) -> str:
        return self.url.rstrip("/") + "/chat/completions"

    def ask(self, messages: list[dict[str, Any]]) -> str:
        """One answer, without what cannot be printed."""
        raw = self._post({"model": self.model, "messages": messages, "temperature": 0})
        try:
            answer = json.loads(raw)["choices"][0]["message"]["content"]
        except (ValueError, RecursionError):
            raise self._error("answers no JSON", "check its address", _said(raw)) from None
        except (KeyError, IndexError, TypeError):
            raise self._error("gives no choices", "check address and model", _said(raw)) from None
        text = _UNPRINTABLE.sub("", answer) if isinstance(answer, str) else ""
        text = _THOUGHTS.sub("", text).strip()
        if not text:
            raise self._error("gives an empty answer", "ask another model")
        return text

    def _post(self, content: dict[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": f"Moyin/{__version__}"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.endpoint, json.dumps(content).encode(), headers)
        try:
            opener = urllib.request.build_opener(_Stay)
            with opener.open(request, timeout=self.timeout) as response:
                raw: bytes = response.read(LONGEST + 1)
        except urllib.error.HTTPError as e:
            what, advice = f"refuses with HTTP {e.code}", f"check address, model and {self.KEY}"
            raise self._error(what, advice, _said(_body(e)) or e.reason) from None
        except (OSError, HTTPException, UnicodeError) as e:
            reason = getattr(e, "reason", e)
            if isinstance(reason, TimeoutError):
                what, advice = f"was silent for {self.timeout:g} s", "try again when it is free"
                raise self._error(what, advice) from None
            advice = "start it or check its address"
            raise self._error("cannot be reached", advice, str(reason)) from None
        if len(raw) > LONGEST:
            raise self._error("answers more than 1 MB", "check its address")
        return raw

    def _error(self, what: str, advice: str, said: str = "") -> ValueError:
        """One sentence with the server's words, but without the key if they repeat it."""
        said = said.replace(self.key, "***") if self.key else said
        said = " ".join(_UNPRINTABLE.sub("", said).split())[:300]
        shown = f" ({said})" if said else ""
        return ValueError(
            f"the {self.NAME} at {self.endpoint} {what}{shown}: {advice}, or {self.WITHOUT}"
        )


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key is for one address alone."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _has_host(url: str) -> bool:
    """Whether there is a host, and a port that is a number where there is one."""
    try:
        parts = urllib.parse.urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def message(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def _body(error: urllib.error.HTTPError) -> bytes:
    try:
        with error:
            return error.read(LONGEST)
    except (OSError, HTTPException):
        return b""


def _said(raw: bytes) -> str:
    """A server's own words: {"error": {"message": …}} and its kin, or else the body as it is."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    return str(found)
