from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import Oracle
from PIL import Image

from moyin.backend import device
from moyin.evaluate import runner as running
from moyin.evaluate.options import Options
from moyin.evaluate.runner import EvaluationConfig, build, run
from moyin.ocr import engine

OPTIONS = Options(resamples=20, per_level=2, steps=1, preview=False)
FILES = ("report.json", "report.md", "report.html")


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Oracle:
    """In place of the OCR engine: it knows the perfect renders of the first prompts."""
    suite = build("one-character", OPTIONS)
    known = Oracle(suite, suite.some(4))
    monkeypatch.setattr(engine, "open_engine", lambda *names: known)
    return known


def images(folder: Path, limit: int = 4, repeats: int = 1) -> Path:
    """The perfect renders as somebody's images."""
    suite = build("one-character", OPTIONS)
    folder.mkdir(exist_ok=True)
    for item in suite.some(limit):
        for repeat in range(repeats):
            Image.fromarray(suite.perfect(item)).save(folder / f"{item.id}_{repeat}.png")
    return folder


def asked(out: Path, **more: Any) -> EvaluationConfig:
    return EvaluationConfig(
        **{"suite": "one-character", "out": out, "limit": 4, "options": OPTIONS, **more}
    )


def read(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "report.json").read_text("utf-8")))


def files(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in FILES]


@pytest.mark.usefixtures("oracle")
def test_a_folder_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run(asked(tmp_path / "out", images=images(tmp_path / "given", repeats=2)))
    report = json.loads(path.read_text("utf-8"))
    assert (report["suite"], report["engine"], report["n"]) == ("one-character", "an oracle", 8)
    assert report["scores"]["accuracy"] == report["ceilings"]["accuracy"] == 1
    assert report["intervals"]["accuracy"] == [1, 1]
    assert (report["missing"], report["unreadable"]) == ([], {})
    assert "100.0 %" in capsys.readouterr().out
    for row in report["rows"]:
        assert (tmp_path / "out" / row["thumbnail"]).is_file()


@pytest.mark.usefixtures("oracle")
def test_missing_and_unreadable_images_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = images(tmp_path / "given")
    first, second, third, _ = sorted(given.iterdir())
    first.unlink()
    second.write_bytes(b"<html>")
    Image.new("RGB", (64, 64), "white").save(third)
    run(asked(tmp_path / "out", images=given))
    report = read(tmp_path / "out")
    assert report["n"] == 2
    assert report["missing"] == [first.stem]
    assert report["unreadable"] == {second.stem: "no PNG, JPEG or WebP"}
    assert report["scores"]["accuracy"] == 1 / 2  # an empty image is scored, a missing one is not
    told = capsys.readouterr().out
    assert f"Missing, in no score: 1 image, {first.stem}" in told
    assert f"Unreadable, in no score: 1 image, {second.stem}" in told
    for path in given.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="no image could be read: 1 missing"):
        run(asked(tmp_path / "other", images=given))


def test_prompts_without_text_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One prompt of two asks for nothing: it weighs nothing in the benchmark's own score, and a
    blank image of it is exact. The perfect page of the other cannot show its é."""
    prompts, given = tmp_path / "p.csv", tmp_path / "given"
    prompts.write_text(
        "id,prompt,text_content\na,a cat,[]\nb,a sign,\"['Café', 'tea']\"\n", "utf-8"
    )
    options = replace(OPTIONS, prompts=prompts)
    suite = build("oneig-en", options)
    known = Oracle(suite, [item for item in suite.items if item.texts])
    monkeypatch.setattr(engine, "open_engine", lambda *names: known)
    given.mkdir()
    for item in suite.items:
        Image.fromarray(suite.perfect(item)).save(given / f"{item.id}_0.png")
    run(asked(tmp_path / "out", suite="oneig-en", images=given, options=options))
    report = read(tmp_path / "out")
    assert (report["n"], report["without_text"], report["unwritten"]) == (2, ["a"], "é")
    assert (report["scores"]["wac"], report["scores"]["exact"]) == (1, 1)
    told = capsys.readouterr().out
    assert "No text was asked for, so that none is right: 1 prompt, a" in told
    assert "The perfect renders lack é, for which there was no font." in told


@pytest.mark.usefixtures("oracle")
def test_sheets_of_images_are_cut(tmp_path: Path) -> None:
    """Each file holds three images and one black cell, but for one that is broken."""
    suite, given = build("one-character", OPTIONS), tmp_path / "given"
    given.mkdir()
    for item in suite.some(4):
        one = suite.perfect(item)
        upper, lower = np.hstack([one, one]), np.hstack([one, np.zeros_like(one)])
        Image.fromarray(np.vstack([upper, lower])).save(given / f"{item.id}.webp", lossless=True)
    broken = sorted(given.iterdir())[0]
    broken.write_bytes(b"<html>")
    request = asked(tmp_path / "out", images=given, options=replace(OPTIONS, tiles="2x2"))
    run(request)
    report = read(tmp_path / "out")
    assert (report["n"], report["seeds"], report["scores"]["accuracy"]) == (9, 4, 1)
    assert len(report["missing"]) == 3
    assert all(name.endswith("_3") for name in report["missing"])
    assert sorted(report["unreadable"]) == [f"{broken.stem}_{n}" for n in range(4)]
    whole = files(tmp_path / "out")
    run(request)
    assert files(tmp_path / "out") == whole


class Stopped(BaseException):
    """Neither an error of ours nor of the user's."""


@pytest.mark.parametrize("after", [0, 2, 3, 9])
def test_killed_anywhere_the_report_is_the_same(
    after: int, tmp_path: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = images(tmp_path / "given")
    run(asked(tmp_path / "whole", images=given))
    reading = oracle.recognise

    def dies(image_hwc: Any) -> Any:
        if oracle.read_count - start == after:
            raise Stopped
        return reading(image_hwc)

    start = oracle.read_count
    with monkeypatch.context() as patch:
        patch.setattr(oracle, "recognise", dies)
        if after < 4:  # the renders are the images: what was read once is not read again
            with pytest.raises(Stopped):
                run(asked(tmp_path / "cut", images=given))
    kept = tmp_path / "cut" / "readings.jsonl"
    if kept.is_file():
        with kept.open("a") as f:
            f.write('{"key": "cut sh')
    run(asked(tmp_path / "cut", images=given))
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert oracle.read_count - start == 4


@pytest.mark.usefixtures("oracle")
def test_a_checkpoint(tmp_path: Path, small_checkpoint: Path) -> None:
    def request(out: str) -> EvaluationConfig:
        place = str(small_checkpoint)
        return asked(tmp_path / out, checkpoint=place, limit=2, seeds=2)

    run(request("a"))
    report = read(tmp_path / "a")
    assert report["n"] == 4
    assert report["source"]["settings"]["steps"] == 1
    drawn = sorted((tmp_path / "a" / "images").glob("*.png"))
    assert len(drawn) == 4
    shown = [np.asarray(Image.open(path)) for path in drawn]
    assert not np.array_equal(shown[0], shown[1])  # each of a seed of its own

    before, whole = drawn[0].stat().st_mtime_ns, files(tmp_path / "a")
    drawn[1].unlink()
    run(request("a"))
    assert drawn[0].stat().st_mtime_ns == before
    assert files(tmp_path / "a") == whole


@pytest.mark.usefixtures("oracle")
def test_too_little_memory_is_said_before_drawing(
    tmp_path: Path, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "free_memory", lambda: 10**6)
    with pytest.raises(ValueError, match=r"row \S+: this image takes .* GB of memory"):
        run(asked(tmp_path, checkpoint=str(small_checkpoint), limit=2))


@pytest.mark.parametrize("suite", ["posters", "nano-50", "one-character", "edits-50"])
def test_our_own_suites(
    suite: str, tmp_path: Path, small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = Oracle(build(suite, OPTIONS), ())
    monkeypatch.setattr(engine, "open_engine", lambda *names: mute)
    place = str(small_checkpoint)
    run(asked(tmp_path, suite=suite, checkpoint=place, limit=2))
    report = read(tmp_path)
    assert report["n"] == 2
    assert report["scores"]["exact"] == 0
    if suite != "one-character":
        assert report["ceilings"]["background"] == 1
    drawn = [json.loads(x) for x in (tmp_path / "images" / "manifest.jsonl").open("rb")]
    edited = [name for line in drawn for name in line.get("images", [])]
    kept = sorted(path.name for path in (tmp_path / "references").glob("*"))
    assert sorted(edited) == kept
    assert len(kept) == (2 if suite == "edits-50" else 0)


def test_nothing_is_read_twice_by_another_engine(
    tmp_path: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = images(tmp_path / "given")
    run(asked(tmp_path / "out", images=given))
    once = oracle.read_count
    run(asked(tmp_path / "out", images=given))
    assert oracle.read_count == once
    monkeypatch.setattr(Oracle, "name", "another")
    run(asked(tmp_path / "out", images=given))
    assert oracle.read_count == 2 * once


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"suite": "nano-5"}, "there are: cvtg, longtext-en"),
        ({"images": Path("x"), "checkpoint": "y"}, "one of --checkpoint, --images"),
        ({"endpoint": "http://127.0.0.1/v1"}, "--model NAME go together"),
        (
            {"suite": "edits-50", "endpoint": "http://127.0.0.1/v1", "model": "x"},
            "sends words alone",
        ),
        ({"options": Options(tiles="2x2")}, "files of --images"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"seeds": -1}, "--seeds must be at least 1"),
    ],
)
def test_bad_requests(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        asked(tmp_path, **more)


def test_bad_options() -> None:
    for name, value in {"engine": "eyes", "batch": 0, "price": -1.0, "tiles": "2"}.items():
        with pytest.raises(ValueError, match=r"engine eyes|must be"):
            Options(**{name: value})


def test_every_suite_has_its_prompts() -> None:
    for name in ("cvtg", "oneig-en", "oneig-zh"):
        with pytest.raises(ValueError, match="git clone"):
            build(name, OPTIONS)
    names = set(running.SUITES) - {"cvtg", "oneig-en", "oneig-zh", "gates"}
    assert {build(name, OPTIONS).name for name in names} == names
