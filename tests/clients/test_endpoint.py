from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import Images, encoded, fails, shows
from loopback import Reply
from oracle import Oracle

from moyin.clients.http import Denied, Refused, Server, Unavailable
from moyin.evaluate import runner as running
from moyin.evaluate.endpoint import Endpoint
from moyin.evaluate.options import Options
from moyin.evaluate.runner import EvaluationConfig, build, run
from moyin.evaluate.task import Item
from moyin.ocr import engine
from moyin.ocr.vision_language import VisionLanguageOCR

OPTIONS = Options(resamples=20, per_level=2, price=0.04)
SUITE = build("one-character", OPTIONS)
Serve = Callable[[Callable[[str, int], Reply]], Images]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a service that behaves as told, for one test."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("MOYIN_IMAGES_KEY", "secret-key")
    started: list[Images] = []

    def start(behave: Callable[[str, int], Reply]) -> Images:
        started.append(Images(behave).__enter__())
        return started[-1]

    yield start
    for images in started:
        images.__exit__()


def server(images: Images, **more: Any) -> Server:
    return Server(**{"url": images.url, "key": "MOYIN_IMAGES_KEY", "pause": 0.001, **more})


def perfect(prompt: str) -> Any:
    return SUITE.perfect(next(item for item in SUITE.items if item.prompt == prompt))


def drawn_reply(prompt: str, before: int) -> Reply:
    return shows(encoded(perfect(prompt)), usage={"total_tokens": 100})


def quiet(done: str, now: int, total: int) -> None:
    pass


def endpoint(images: Images, out: Path, **more: Any) -> Endpoint:
    return Endpoint(images.url, "painter", OPTIONS, out, server(images, **more))


def wanted(count: int = 6) -> list[tuple[Item, int]]:
    return [(item, 0) for item in SUITE.items[:count]]


def test_a_whole_report(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is short of time, fails, is slow, refuses one prompt, and sends a JPEG and a
    page for the PNG that was asked for."""

    def behave(prompt: str, before: int) -> Reply:
        number = [item.prompt for item in SUITE.items].index(prompt)
        if number == 0 and before < 2:
            return fails(429, Retry_After="0.01")
        if number == 1 and before == 0:
            return fails(503)
        if number == 2:
            return fails(400, "not that character")
        if number == 3:
            return shows(b"<html>oops</html>")
        if number == 4:
            return shows(encoded(perfect(prompt), "JPEG"))
        return Reply(body=drawn_reply(prompt, before).body, seconds=0.05)

    images = serve(behave)
    monkeypatch.setattr(engine, "open_engine", lambda *names: Oracle(SUITE))
    patient = Server(url=images.url, key="MOYIN_IMAGES_KEY", pause=0.001)
    monkeypatch.setattr("moyin.evaluate.endpoint.Server", lambda **more: patient)
    request = EvaluationConfig(
        suite="one-character",
        out=tmp_path,
        endpoint=images.url,
        model="painter",
        options=OPTIONS,
    )
    path = run(request)
    report = json.loads(path.read_text("utf-8"))
    refused, lying = SUITE.items[2].id, SUITE.items[3].id
    assert report["n"] == 4
    assert report["missing"] == [f"{refused}_0"]
    assert report["unreadable"] == {f"{lying}_0": "no PNG, JPEG or WebP"}
    assert "not that character" in report["source"]["refused"][f"{refused}_0"]
    assert report["source"]["cost"] == {"images": 5, "tokens": 300, "total": 0.2}
    body, headers = images.asked[0]
    assert body == {
        "model": "painter",
        "prompt": SUITE.items[0].prompt,
        "n": 1,
        "size": "1024x1024",
    }
    assert headers["Authorization"] == "Bearer secret-key"
    assert "secret-key" not in path.read_text("utf-8")
    # What came is not asked for again, and the report is the same.
    whole, asked = [p.read_bytes() for p in sorted(tmp_path.glob("report.*"))], len(images.asked)
    run(request)
    assert [p.read_bytes() for p in sorted(tmp_path.glob("report.*"))] == whole
    assert len(images.asked) == asked + 1  # the refused one


def test_stopped_and_started_again(serve: Serve, tmp_path: Path) -> None:
    def behave(prompt: str, before: int) -> Reply:
        return drawn_reply(prompt, before) if len(images.asked) != 3 else fails(401, "no key")

    images = serve(behave)
    with pytest.raises(
        Denied, match=r"HTTP 401 .no key.: check address, model and MOYIN_IMAGES_KEY"
    ):
        endpoint(images, tmp_path).make(wanted(), quiet)
    with (tmp_path / "requests.jsonl").open("a") as f:
        f.write('{"name": "cut sh')
    again = endpoint(images, tmp_path)
    again.make(wanted(), quiet)
    assert len(images.asked) == 3 + 4
    assert all(again.path(item, repeat) for item, repeat in wanted())
    assert again.facts()["cost"]["images"] == 6
    endpoint(images, tmp_path).make(wanted(), quiet)
    assert len(images.asked) == 3 + 4  # nothing was lost with the line that was cut short
    # Bytes that somebody changed do not count as the image that came.
    (tmp_path / f"{SUITE.items[0].id}_0").write_bytes(b"")
    assert again.path(SUITE.items[0], 0) is None
    # Nor do those of another model.
    assert Endpoint(images.url, "other", OPTIONS, tmp_path).path(SUITE.items[1], 0) is None


def test_a_service_that_is_not_there_ends_the_run(serve: Serve, tmp_path: Path) -> None:
    images = serve(lambda prompt, before: fails(500, "down"))
    with pytest.raises(Unavailable, match=r"HTTP 500 .down., after 2 tries"):
        endpoint(images, tmp_path, retries=1).make(wanted(), quiet)
    assert len(images.asked) == 3 * 2


def test_images_by_address(serve: Serve, tmp_path: Path) -> None:
    def behave(prompt: str, before: int) -> Reply:
        host = images.url.removesuffix("/v1")
        address = f"{host}/files/a.png" if prompt == first.prompt else "http://10.0.0.1/a.png"
        return Reply(body=json.dumps({"data": [{"url": address}]}).encode())

    first, second = SUITE.items[:2]
    images = serve(behave)
    images.files["/files/a.png"] = encoded(np.zeros((8, 8, 3), np.uint8))
    asked = endpoint(images, tmp_path)
    asked.make([(first, 0), (second, 0)], quiet)
    path = asked.path(first, 0)
    assert path is not None
    assert path.read_bytes() == images.files["/files/a.png"]
    assert asked.path(second, 0) is None
    assert "an address that is not fetched" in asked.facts()["refused"][f"{second.id}_0"]


@pytest.mark.parametrize(
    "body", [b"[]", b"no json", b"{}", b'{"data": []}', b'{"data": [{"b64_json": "%%%"}]}']
)
def test_answers_without_a_image(serve: Serve, tmp_path: Path, body: bytes) -> None:
    images = serve(lambda prompt, before: Reply(body=body))
    asked = endpoint(images, tmp_path)
    asked.make(wanted(2), quiet)
    assert len(asked.facts()["refused"]) == 2
    assert asked.facts()["cost"]["images"] == 0


def test_too_slow_and_too_much(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    images = serve(lambda prompt, before: Reply(seconds=5))
    with pytest.raises(Unavailable, match=r"was silent for 0.05 s, after 2 tries"):
        server(images, timeout=0.05, retries=1).post("images/generations", {})
    monkeypatch.setattr("moyin.clients.http.LARGEST", 2**20)
    large = serve(lambda prompt, before: Reply(body=b" " * (2**20 + 1)))
    with pytest.raises(Refused, match="more than 1 MB"):
        server(large).post("images/generations", {})
    with pytest.raises(Unavailable, match="fails"):
        Server(url="http://127.0.0.1:1/v1", key="X", retries=0).post("x", {})


def test_the_key_is_never_told(serve: Serve) -> None:
    images = serve(lambda prompt, before: fails(400, "bad key secret-key"))
    with pytest.raises(Refused) as caught:
        server(images).post("images/generations", {})
    assert "secret-key" not in str(caught.value)
    assert "***" in str(caught.value)
    assert "secret-key" not in repr(server(images))


def test_redirects_are_not_followed(serve: Serve) -> None:
    images = serve(lambda prompt, before: Reply(302, headers={"Location": "http://127.0.0.1:1/"}))
    with pytest.raises(Refused, match="HTTP 302"):
        server(images).post("images/generations", {})


@pytest.mark.parametrize("url", ["ftp://x/v1", "http://", "http://u@x/v1", "x", "http://x/v1?k=1"])
def test_addresses(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="an address is like"):
        Endpoint(url, "m", OPTIONS, tmp_path)


def test_a_vision_model_reads(serve: Serve) -> None:
    said = iter(["<think>hm</think>FRESH\n\n 春天 \n", "No text.", None])

    def behave(prompt: str, before: int) -> Reply:
        message = {"role": "assistant", "content": next(said)}
        return Reply(body=json.dumps({"choices": [{"message": message}]}).encode())

    images = serve(behave)
    reader = VisionLanguageOCR(url=images.url, model="reader", server=server(images))
    assert reader.name == "reader (vision-language model)"
    image = np.full((8, 8, 3), 255, np.uint8)
    assert [line.text for line in reader.read(image)] == ["FRESH", "春天"]
    assert reader.recognise(image).text == ""
    with pytest.raises(Refused, match="gives no choices"):
        reader.read(image)
    body, _ = images.asked[0]
    content = body["messages"][0]["content"]
    assert content[0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert (body["model"], body["temperature"]) == ("reader", 0)


def test_suites_and_scorers_go_together() -> None:
    for name in ("longtext-en", "longtext-zh", "one-character", "posters", "nano-50"):
        example = [(["春天", "tea"], ["春", "tea"])]
        assert build(name, OPTIONS).scorer.of(example) == running.SCORERS[name].of(example)
