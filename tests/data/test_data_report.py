from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import corpus
import numpy as np
import pytest

from moyin.data.filters.resize import ResizeFilter
from moyin.data.preparation import Preparation, prepare
from moyin.data.report import histogram, write
from moyin.dataset.dataset import Dataset
from moyin.render.renderer import Renderer


class Page(HTMLParser):
    """The text of the page, and its tags, which must all be closed in their order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.text, self.tags, self.open = "", [], []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("report")
    (root / "in").mkdir()
    for number in range(6):
        content = corpus.encoded(corpus.photograph(number % 5), "PNG")
        (root / "in" / f"{number}.png").write_bytes(content)
    (root / "in" / "cut.png").write_bytes(content[:100])
    (root / "in" / "0.txt").write_text("<script>alert(1)</script> a cat")
    renderer = Renderer.Config(size=96, fonts=("NotoSansSC-Bold",), characters=100)
    config = Preparation(
        inputs=(root / "in",),
        count=3,
        renderer=renderer,
        resize=ResizeFilter.Config(size=96),
        workers=1,
    )
    return prepare(config, root / "dataset")


def test_the_page_tells_what_was_dropped_and_shows_it(dataset: Dataset) -> None:
    page = Page(write(dataset).read_text("utf-8"))
    assert not page.open or page.open == ["html"]
    text = re.sub(r"\s+", " ", page.text)
    assert "8 of 10 images kept" in text
    assert "decode 10 1 9 damaged 1" in text
    assert "duplicates 9 1 8 exact copy 1" in text
    assert "in 5 2" in text
    assert "rendered 3 0" in text
    assert "level 1 3500" in text
    assert "of in/0.png" in text
    images = [fields["src"] for tag, fields in page.tags if tag == "img"]
    assert len(images) == 9  # eight that were kept, and the copy
    assert all(source.startswith("data:image/jpeg;base64,") for source in images)


def test_nothing_from_outside_becomes_part_of_the_page(dataset: Dataset) -> None:
    page = Page(write(dataset).read_text("utf-8"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script>alert(1)</script> a cat" in page.text


def test_a_dataset_without_decisions_has_a_page_too(tmp_path: Path) -> None:
    from moyin.data.rendered import render

    made = render(Renderer.Config(size=64), tmp_path / "s", 2, seed=0, workers=1)
    assert "2 of 2 images kept" in write(made).read_text("utf-8")


def test_histograms_by_hand() -> None:
    assert histogram(np.array([1, 1, 3])) == [("1", 2), ("3", 1)]
    many = histogram(np.arange(40.0))
    assert len(many) == 20
    assert {count for _, count in many} == {2}
    assert histogram(np.zeros(0)) == []
