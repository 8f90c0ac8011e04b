from __future__ import annotations

import socket
from typing import Any

import pytest
from chat import SILENCE, Chat, says
from loopback import Reply

from moyin.clients.chat import LONGEST
from moyin.clients.rewriter import SYSTEM, Rewriter

KEY = Rewriter.KEY

PROMPT = "一张海报，写着“春天”和'Open'"
LARGER = "一张红色海报，正中用楷体写着“春天”，底部用无衬线体写着'Open'，背景是淡金色的花。"
SECRET = "sk-0123456789"


def rewriter(chat: Chat, **changes: Any) -> Rewriter:
    return Rewriter(**{"url": chat.url, "model": "large", **changes})


def test_the_answer_is_the_prompt(chat: Chat) -> None:
    chat.replies = [f"\n {LARGER}\n"]
    assert rewriter(chat)(PROMPT) == LARGER
    (asked,) = chat.asked
    assert asked.path == "/v1/chat/completions"
    assert (asked.body["model"], asked.body["temperature"]) == ("large", 0)
    assert asked.messages == [SYSTEM, PROMPT]
    assert "Authorization" not in asked.headers


def test_a_slash_at_the_end_of_the_address(chat: Chat) -> None:
    chat.replies = [LARGER]
    rewriter(chat, url=f"{chat.url}/")(PROMPT)
    assert chat.asked[0].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("a sea", "a calm sea at dusk, seen from the sailors' deck; it's nearly dark"),
        ("'a' and “b”", "first “b” in serif, then 'a'"),
        ("'Stop' over “Stop”", "large “Stop”, under it again “Stop”"),
        ("says 'Don't walk'", "in white capitals 'Don't walk' on black"),
    ],
)
def test_the_same_strings_in_any_quotes_pass(chat: Chat, prompt: str, answer: str) -> None:
    chat.replies = [answer]
    assert rewriter(chat)(prompt) == answer


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("海报写着“春天”", 'lost ["Open"]'),
        ("海报写着“春 天”和'Open'", 'lost ["春天"] and added ["春 天"]'),
        ("海报写着“春天”、“春天”和'Open'", 'added ["春天"]'),
        ("海报写着“春天”和'Open'，画成\"国风\"", 'added ["国风"]'),
        ("海报写着春天和Open", 'lost ["Open", "春天"]'),
    ],
)
def test_lost_strings_are_asked_for_once_more(chat: Chat, answer: str, fault: str) -> None:
    chat.replies = [answer, LARGER]
    assert rewriter(chat)(PROMPT) == LARGER
    first, second = chat.asked
    roles = [message["role"] for message in second.body["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert second.messages[:3] == [*first.messages, answer]
    assert second.messages[3].startswith(f"Your answer {fault}. ")


def test_lost_twice(chat: Chat) -> None:
    chat.replies = ["“春天”", "'Open' “夏天”"]
    with pytest.raises(
        ValueError, match=r'lost \["春天"\] and added \["夏天"\], after 2 tries: draw'
    ):
        rewriter(chat)(PROMPT)
    assert len(chat.asked) == 2


def test_no_retry_asks_once(chat: Chat) -> None:
    chat.replies = ["“春天”"]
    with pytest.raises(ValueError, match=r'lost \["Open"\]'):
        rewriter(chat, retries=0)(PROMPT)
    assert len(chat.asked) == 1


def test_exact_reading_of_quotes(chat: Chat) -> None:
    answer = "it's what the sailor's sign says: “Open”"
    chat.replies = [answer, answer, "a sign: “Open”"]
    assert rewriter(chat)("a sign “Open”") == answer
    assert rewriter(chat)("a sign “Open”", exact=True) == "a sign: “Open”"


def test_thoughts_and_what_cannot_be_printed_are_taken_out(chat: Chat) -> None:
    chat.replies = ["<think>They want “a” or “b”.\n</think>\n\n“a” \x1b[31mred\x07 \udc80sea"]
    assert rewriter(chat)("“a”") == "“a” [31mred sea"


def test_the_key_is_sent_and_shown_nowhere(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, f"{SECRET}\n")
    chat.replies = [LARGER, Reply(401, f'{{"error": {{"message": "bad {SECRET}"}}}}'.encode())]
    asks = rewriter(chat)
    assert asks(PROMPT) == LARGER
    assert chat.asked[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in repr(asks)
    with pytest.raises(ValueError, match=r"HTTP 401 \(bad \*\*\*\)"):
        asks(PROMPT)


def test_a_redirect_is_not_followed(chat: Chat) -> None:
    with Chat() as other:
        chat.replies = [Reply(302, headers={"Location": f"{other.url}/chat/completions"})]
        other.replies = [LARGER]
        with pytest.raises(ValueError, match="HTTP 302"):
            rewriter(chat, key=SECRET)(PROMPT)
        assert not other.asked


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(401, b'{"error": {"message": "no such key"}}'), r"HTTP 401 \(no such key\): check"),
        (Reply(404, b'{"error": "no model large"}'), r"HTTP 404 \(no model large\)"),
        (Reply(422, b'{"detail": "too long"}'), r"HTTP 422 \(too long\)"),
        (Reply(500, b"<html>\n\x1b[2Jdown"), r"HTTP 500 \(<html> \[2Jdown\)"),
        (Reply(503), r"HTTP 503 \(Service Unavailable\)"),
        (Reply(body=b"<html>hello</html>"), r"no JSON \(<html>hello</html>\): check"),
        (Reply(body=b""), "no JSON: check"),
        (Reply(body=b"\xff\xfe"), "no JSON"),
        (Reply(body=b"[" * 100_000), "no JSON"),
        (Reply(body=b'{"error": {"message": "busy"}}'), r"no choices \(busy\)"),
        (Reply(body=b'{"choices": []}'), "no choices"),
        (Reply(body=b'["x"]'), "no choices"),
        (says(None), "an empty answer"),
        (says(" \n"), "an empty answer"),
        (says(["x"]), "an empty answer"),
        (says("<think>cut short"), "an empty answer"),
        (Reply(body=b" " * LONGEST + b"{}"), "more than 1 MB"),
        (Reply(headers={"Content-Length": "many"}, body=b"{"), "no JSON"),
    ],
)
def test_what_is_no_answer(chat: Chat, reply: Reply, told: str) -> None:
    chat.replies = [reply]
    with pytest.raises(ValueError, match=told) as caught:
        rewriter(chat)(PROMPT)
    assert chat.url in str(caught.value)
    assert "draw without rewriting" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_silence(chat: Chat) -> None:
    chat.replies = [SILENCE]
    with pytest.raises(ValueError, match=r"was silent for 0\.1 s: try again"):
        rewriter(chat, timeout=0.1)(PROMPT)


def test_nobody_there(chat: Chat) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(ValueError, match=r"cannot be reached \(.*refused\): start it"):
            rewriter(chat, url=url)(PROMPT)
    with pytest.raises(ValueError, match="cannot be reached"):
        rewriter(chat, url="http://a..b/v1")(PROMPT)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000/v1",
        "file:///etc/passwd",
        "ftp://host/v1",
        "http://",
        "http:///v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://[::1/v1",
        "http://host/a b",
        "http://host/v1\r\nX: y",
        f"http://user:{SECRET}@host/v1",
        f"https://host/v1?key={SECRET}",
        "https://host/v1#part",
    ],
)
def test_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="address must be like") as caught:
        Rewriter(url=url, model="large")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": " "}, "name the model"),
        ({"key": f"{SECRET} x"}, f"{KEY} holds"),
        ({"key": f"{SECRET}\r\nX: y"}, f"{KEY} holds"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"retries": -1}, "retries"),
    ],
)
def test_bad_options(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        Rewriter(**{"url": "http://host/v1", "model": "large", **changes})
    assert SECRET not in str(caught.value)
