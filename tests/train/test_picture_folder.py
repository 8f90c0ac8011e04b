from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moyin.train.folder import store_of


def add(folder: Path, name: str, colour: tuple[int, int, int], caption: str | None) -> None:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (96, 64), colour).save(folder / f"{name}.png")
    if caption is not None:
        (folder / f"{name}.txt").write_text(caption, "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path / "pictures", "b", (0, 0, 255), 'blue, "海"\n\n  a blue card \n')
    add(tmp_path / "pictures", "a", (255, 0, 0), "red")
    return tmp_path / "pictures"


def test_pictures_and_captions_in_order(folder: Path, tmp_path: Path) -> None:
    store = store_of(folder, tmp_path / "store", (64, 32))
    assert len(store) == 2
    red, blue = store.sample(0), store.sample(1)
    assert red.picture.shape == (64, 32, 3)
    assert np.abs(red.picture - np.array([255, 0, 0])).max() <= 1
    assert (red.captions, blue.captions) == (("red",), ('blue, "海"', "a blue card"))
    assert store_of(folder, tmp_path / "store", (64, 32)).digest() == store.digest()


def test_what_does_not_cover_the_size_evenly_is_cut_off(tmp_path: Path) -> None:
    add(tmp_path / "p", "a", (0, 0, 0), "halves")
    halves = np.zeros((64, 128, 3), np.uint8)
    halves[:, 64:] = 200
    Image.fromarray(halves).save(tmp_path / "p/a.png")
    picture = store_of(tmp_path / "p", tmp_path / "s", (64, 64)).sample(0).picture
    assert (picture[:, :30] < 5).all()
    assert (picture[:, 34:] > 195).all()


def test_other_pictures_under_the_same_name_are_refused(folder: Path, tmp_path: Path) -> None:
    store_of(folder, tmp_path / "store", (64, 64))
    for change in (
        lambda: (folder / "a.txt").write_text("scarlet"),
        lambda: add(folder, "c", (0, 255, 0), "green"),
    ):
        change()
        with pytest.raises(ValueError, match=r"made of other pictures than .*: give the training"):
            store_of(folder, tmp_path / "store", (64, 64))


def test_what_is_wrong_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty is no store, and holds no pictures"):
        store_of(tmp_path / "empty", tmp_path / "s", (64, 64))
    add(folder, "c", (0, 0, 0), None)
    with pytest.raises(ValueError, match=r"c\.png has no caption: write .* into c\.txt"):
        store_of(folder, tmp_path / "s", (64, 64))
    (folder / "c.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"c\.txt is empty"):
        store_of(folder, tmp_path / "s", (64, 64))
    (folder / "c.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match=r"c\.txt is no text in UTF-8"):
        store_of(folder, tmp_path / "s", (64, 64))
    (folder / "c.txt").write_text("black")
    (folder / "c.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"c\.png cannot be read as a picture"):
        store_of(folder, tmp_path / "s", (64, 64))


def test_whatever_prepare_reads_will_do(folder: Path, tmp_path: Path) -> None:
    """A folder within it with a table of its own, a tar, and a file of another kind."""
    add(folder / "later", "d", (0, 255, 0), None)
    row = {"file_name": "d.png", "text": "green"}
    (folder / "later/metadata.jsonl").write_text(json.dumps(row) + "\n")
    add(tmp_path / "packed", "e", (255, 255, 255), "white")
    with tarfile.open(folder / "z.tar", "w") as tar:
        for file in sorted((tmp_path / "packed").iterdir()):
            tar.add(file, file.name)
    (folder / "README.md").write_text("about these pictures")
    store = store_of(folder, tmp_path / "store", (32, 32))
    samples = [store.sample(i) for i in range(len(store))]
    assert [s.captions[0] for s in samples] == ["red", 'blue, "海"', "green", "white"]
    assert [s.picture[0, 0].argmax() for s in samples[:3]] == [0, 2, 1]


def test_a_picture_that_ends_too_soon_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"b\.png cannot be read as a picture: damaged"):
        store_of(folder, tmp_path / "store", (64, 64))
