"""A server with an OpenAI-compatible API: JSON posted and answered, with retries.

A wrong key or address ends everything at once (`Denied`); a request that the server will not take
is that request's fault (`Refused`); too many requests, failures and silence are met with growing
pauses, and end as `Unavailable`.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from moyin import __version__

LARGEST = 2**26  # bytes of an answer
LONGEST_PAUSE = 60.0  # seconds
AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # worth another try
DENIED = {401, 403, 404, 405}
# ASCII without spaces: an address that has no ? or # and names no user.
_ADDRESS = re.compile(r"https?://(?:(?![?#@])[!-~])+")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Denied(ValueError):
    """The server takes nothing from us: the key, the address or the model is wrong."""


class Refused(ValueError):
    """The server does not take this one request, or answers it with nonsense."""


class Unavailable(ValueError):
    """The server failed or was silent at every try."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """What answers under `url`. key: the name of the environment's variable that holds the bearer
    token, where there is one. timeout: seconds without a byte. retries: further tries, the first
    after `pause` seconds, each later one after twice as long, or when the server says.

    Raises ValueError for an address that is not http or https, or holds a user or a query.
    """

    url: str
    key: str
    timeout: float = 180.0
    retries: int = 5
    pause: float = 1.0
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.url) or not urllib.parse.urlsplit(self.url).hostname:
            raise ValueError(
                f"{self.url}: an address is like http://127.0.0.1:8000/v1, http or https without "
                f"user or query; a key goes into {self.key}"
            )
        token = (self.token or os.environ.get(self.key, "")).strip()
        if not re.fullmatch(r"[!-~]*", token):
            raise ValueError(f"{self.key} holds what no key does, such as a space: copy it again")
        object.__setattr__(self, "token", token)

    def post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """The answer, a JSON object. Raises Denied, Refused and Unavailable."""
        address = f"{self.url.rstrip('/')}/{path}"
        raw = self._patiently(lambda: self._once(address, json.dumps(content).encode()))
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError):
            raise Refused(f"{address} answers no JSON ({self._said(raw)})") from None
        if not isinstance(answer, dict):
            raise Refused(f"{address} answers JSON that is no object")
        return answer

    def get(self, address: str) -> bytes:
        """What lies at an address that an answer names, fetched without the key.

        Raises Refused for addresses that are neither https nor of the server's own host.
        """
        parts, own = urllib.parse.urlsplit(address), urllib.parse.urlsplit(self.url)
        same = (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
        if not (parts.scheme == "https" or same):
            raise Refused(f"the answer names an address that is not fetched: {address[:200]}")
        return self._patiently(lambda: self._once(address, None))

    def _patiently(self, once: Any) -> bytes:
        for attempt in range(self.retries + 1):
            try:
                found: bytes = once()
                return found
            except _Again as e:
                if attempt == self.retries:
                    tries = f"after {self.retries + 1} tries"
                    raise Unavailable(f"{e}, {tries}: start again when it is free") from None
                time.sleep(min(LONGEST_PAUSE, max(e.after, self.pause * 2**attempt)))
        raise AssertionError

    def _once(self, address: str, body: bytes | None) -> bytes:
        headers = {"User-Agent": f"Moyin/{__version__}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
            if self.token:
                headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(address, body, headers)
        try:
            opener = urllib.request.build_opener(_Stay)
            with opener.open(request, timeout=self.timeout) as response:
                raw: bytes = response.read(LARGEST + 1)
        except urllib.error.HTTPError as e:
            raise self._fault(address, e) from None
        except (OSError, HTTPException, UnicodeError) as e:
            reason = getattr(e, "reason", e)
            silent = isinstance(reason, TimeoutError)
            what = f"was silent for {self.timeout:g} s" if silent else f"fails ({reason})"
            raise _Again(f"{address} {self._hidden(what)}") from None
        if len(raw) > LARGEST:
            raise Refused(f"{address} answers more than {LARGEST >> 20} MB")
        return raw

    def _fault(self, address: str, error: urllib.error.HTTPError) -> Exception:
        try:
            with error:
                said = self._said(error.read(2**16))
        except (OSError, HTTPException):
            said = ""
        what = f"{address} refuses with HTTP {error.code} ({said or error.reason})"
        if error.code in AGAIN:
            return _Again(what, _seconds(error.headers.get("Retry-After")))
        if error.code in DENIED:
            return Denied(f"{what}: check address, model and {self.key}")
        return Refused(what)

    def _said(self, raw: bytes) -> str:
        """A server's own words: {"error": {"message": …}} and its kin, or else the body."""
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            found = raw.decode("utf-8", "replace")
        for name in ("error", "message", "detail"):
            if isinstance(found, dict) and name in found:
                found = found[name]
        return self._hidden(str(found))

    def _hidden(self, said: str) -> str:
        """In one short line that can be printed, without the key if it is repeated there."""
        said = said.replace(self.token, "***") if self.token else said
        return " ".join(_UNPRINTABLE.sub(" ", said).split())[:300]


class _Again(Exception):
    """Worth another try, not before `after` seconds."""

    def __init__(self, what: str, after: float = 0.0) -> None:
        super().__init__(what)
        self.after = after


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key is for one address alone."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _seconds(header: str | None) -> float:
    """Of a Retry-After that counts seconds; 0 for any other."""
    try:
        seconds = float(header or 0)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
