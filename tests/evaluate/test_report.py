from __future__ import annotations

import numpy as np
import pytest

from moyin.evaluate import report
from moyin.evaluate.judge import Seen
from moyin.evaluate.report import Judged
from moyin.evaluate.suite import Expectation


def judged(text: str, read: str, colour: str = "red", language: str = "zh") -> Judged:
    asked = Expectation(
        id="0",
        prompt=f"“{text}”",
        language=language,
        text=text,
        background="white",
        colour="red",
        place="top",
    )
    return Judged(asked, Seen(background="white", colour=colour, place="left", text=read))


SOME = [judged("春", "春"), judged("春天", "夭天", "blue"), judged("OPEN", "0PEN", language="en")]


def test_scores_by_hand() -> None:
    assert report.score(SOME) == {
        "pictures": 3,
        "characters": pytest.approx(5 / 7),
        "ned": pytest.approx((1 + 1 / 2 + 3 / 4) / 3),
        # Chinese characters and words: 春, 天, and not 夭 and 0pen.
        "precision": pytest.approx(2 / 4),
        "f1": pytest.approx(2 * 2 / (4 + 4)),
        "exact": pytest.approx(1 / 3),
        "background": 1,
        "colour": pytest.approx(2 / 3),
        "place": 0,
    }


def test_groups() -> None:
    groups = report.by_group(SOME)
    assert {name: scores["pictures"] for name, scores in groups.items()} == {
        "all": 3,
        "Chinese": 2,
        "English": 1,
        "1 character": 1,
        "2 characters": 1,
        "4 characters": 1,
    }
    assert groups["1 character"]["characters"] == 1
    assert groups["English"]["exact"] == 0


def test_the_table_ends_with_the_ceiling(capsys: pytest.CaptureFixture[str]) -> None:
    groups = report.by_group(SOME)
    report.show("a title", groups, report.by_group([judged("春", "春", "red")] * 4))
    rows = [line for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert len(rows) == len(groups) + 1
    assert rows[0].split()[:3] == ["all", "3", "71%"]
    assert rows[-1].split()[:4] == ["perfect", "pictures", "4", "100%"]


def test_the_sheet_holds_every_picture() -> None:
    pictures = [np.full((32, 32, 3), level, np.uint8) for level in (10, 120, 240)]
    sheet = np.array(report.sheet(pictures, SOME))
    assert sheet.shape == (194, 450, 3)
    assert [int(sheet[70, x, 0]) for x in (70, 220, 370)] == [10, 120, 240]
