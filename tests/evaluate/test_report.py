from __future__ import annotations

from html.parser import HTMLParser

import pytest

from moyin.evaluate import report
from moyin.evaluate.report import Judged
from moyin.evaluate.task import Found, Item, Suite
from moyin.evaluate.tasks import benchmarks

FACTS = {
    "n": 3,
    "prompts": 2,
    "seeds": 2,
    "source": {"images": "here"},
    "without_text": [],
    "unwritten": "",
    "missing": ["2_1"],
    "unreadable": {},
}


def item(number: int, *texts: str) -> Item:
    return Item(
        number=number, id=str(number), prompt=f"<b>{texts[0]}</b>", texts=texts, groups=("level 1",)
    )


def judged(of: Item, repeat: int, *lines: str, right: float = 1.0) -> Judged:
    found = Found(lines=lines, right={"place": right}, seen={"place": "left & right"})
    return Judged(item=of, repeat=repeat, found=found)


SUITE: Suite = benchmarks.one_character(1)
A, B = item(1, "春"), item(2, "<script>alert(1)</script>")
SOME = [judged(A, 0, "春"), judged(A, 1, "夭"), judged(B, 0, "<img src=x>", right=0.0)]
BEST = [judged(A, 0, "春"), judged(B, 0)]


def content() -> dict[str, object]:
    return report.content(SUITE, "an engine", FACTS, SOME, BEST, 50)


def test_the_json_by_hand() -> None:
    found = content()
    assert (found["suite"], found["engine"], found["n"]) == ("one-character", "an engine", 3)
    assert found["scores"]["accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["ceilings"]["accuracy"] == pytest.approx(1 / 2)
    assert found["scores"]["place"] == pytest.approx(2 / 3, abs=1e-6)
    low, high = found["intervals"]["accuracy"]
    # Either prompt may be drawn twice: the first has one of two right, the second none.
    assert (low, high) == (0, 1 / 2)
    assert found["groups"]["level 1"]["n"] == 3
    assert found["rows"][2]["wrong"] == {"place": "left & right"}
    assert found["rows"][0]["sums"]["right"] == 1


def test_the_table_in_markdown() -> None:
    text = report.markdown(content())
    assert "| all | 3 | accuracy | 33.3 % | 0.0 % to 50.0 % | 50.0 % |" in text
    assert "| level 1 | 3 | spurious ↓ |" in text
    assert "# one-character: 3 images of 2 prompts" in text
    assert "- Missing, in no score: 1 image, 2_1" in text
    assert "Read by an engine." in text


class Page(HTMLParser):
    """The tags of a page, and the text of its cards in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said.append(data.strip())


def test_the_page_escapes_and_ranks() -> None:
    page = Page()
    page.feed(report.html(content()))
    assert "script" not in page.tags
    assert page.tags.count("img") == 3
    told = " ".join(page.said)
    assert "<b>春</b>" in told
    assert "place (left & right)" in told
    # The worst first; ties by name.
    order = [said for said in page.said if ", image" in said]
    assert [said.split(":")[0] for said in order] == [
        "1, image 1",
        "2, image 0",
        "1, image 0",
    ]
    assert page.tags.count("ins") >= 2


def test_marks() -> None:
    assert report.marks("OPEN", "open") == [("same", "open")]
    assert report.marks("春天", "春") == [("same", "春"), ("missing", "天")]
    assert report.marks("abc", "axc") == [
        ("same", "a"),
        ("missing", "b"),
        ("added", "x"),
        ("same", "c"),
    ]
    assert report.marks("", "x") == [("added", "x")]
    # The dotted capital I grows when it is made small: compared as it stands then.
    assert report.marks("İx", "İx") == [("same", "İx")]


def test_figures() -> None:
    assert report.figure("ed", 12.345) == "12.3"
    assert report.figure("text", 0.98765) == "98.8 %"
    assert report.figure("text", None) == "–"
    assert report.label("ed") == "ed ↓"
