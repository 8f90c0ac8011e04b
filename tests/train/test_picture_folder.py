from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moyin.train.folder import dataset_of


def add(folder: Path, name: str, colour: tuple[int, int, int], caption: str | None) -> None:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (96, 64), colour).save(folder / f"{name}.png")
    if caption is not None:
        (folder / f"{name}.txt").write_text(caption, "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path / "images", "b", (0, 0, 255), 'blue, "海"\n\n  a blue card \n')
    add(tmp_path / "images", "a", (255, 0, 0), "red")
    return tmp_path / "images"


def test_images_and_captions_in_order(folder: Path, tmp_path: Path) -> None:
    dataset = dataset_of(folder, tmp_path / "dataset", (64, 32))
    assert len(dataset) == 2
    red, blue = dataset.sample(0), dataset.sample(1)
    assert red.image.shape == (64, 32, 3)
    assert np.abs(red.image - np.array([255, 0, 0])).max() <= 1
    assert (red.captions, blue.captions) == (("red",), ('blue, "海"', "a blue card"))
    assert dataset_of(folder, tmp_path / "dataset", (64, 32)).digest() == dataset.digest()


def test_what_does_not_cover_the_size_evenly_is_cut_off(tmp_path: Path) -> None:
    add(tmp_path / "p", "a", (0, 0, 0), "halves")
    halves = np.zeros((64, 128, 3), np.uint8)
    halves[:, 64:] = 200
    Image.fromarray(halves).save(tmp_path / "p/a.png")
    image = dataset_of(tmp_path / "p", tmp_path / "s", (64, 64)).sample(0).image
    assert (image[:, :30] < 5).all()
    assert (image[:, 34:] > 195).all()


def test_other_images_under_the_same_name_are_refused(folder: Path, tmp_path: Path) -> None:
    dataset_of(folder, tmp_path / "dataset", (64, 64))
    for change in (
        lambda: (folder / "a.txt").write_text("scarlet"),
        lambda: add(folder, "c", (0, 255, 0), "green"),
    ):
        change()
        with pytest.raises(ValueError, match=r"made of other images than .*: give the training"):
            dataset_of(folder, tmp_path / "dataset", (64, 64))


def test_what_is_wrong_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty is no dataset, and holds no images"):
        dataset_of(tmp_path / "empty", tmp_path / "s", (64, 64))
    add(folder, "c", (0, 0, 0), None)
    with pytest.raises(ValueError, match=r"c\.png has no caption: write .* into c\.txt"):
        dataset_of(folder, tmp_path / "s", (64, 64))
    (folder / "c.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"c\.txt is empty"):
        dataset_of(folder, tmp_path / "s", (64, 64))
    (folder / "c.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match=r"c\.txt is no text in UTF-8"):
        dataset_of(folder, tmp_path / "s", (64, 64))
    (folder / "c.txt").write_text("black")
    (folder / "c.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"c\.png cannot be read as an image"):
        dataset_of(folder, tmp_path / "s", (64, 64))


def test_whatever_prepare_reads_will_do(folder: Path, tmp_path: Path) -> None:
    """A folder within it with a table of its own, a tar, and a file of another kind."""
    add(folder / "later", "d", (0, 255, 0), None)
    row = {"file_name": "d.png", "text": "green"}
    (folder / "later/metadata.jsonl").write_text(json.dumps(row) + "\n")
    add(tmp_path / "packed", "e", (255, 255, 255), "white")
    with tarfile.open(folder / "z.tar", "w") as tar:
        for file in sorted((tmp_path / "packed").iterdir()):
            tar.add(file, file.name)
    (folder / "README.md").write_text("about these images")
    dataset = dataset_of(folder, tmp_path / "dataset", (32, 32))
    samples = [dataset.sample(i) for i in range(len(dataset))]
    assert [s.captions[0] for s in samples] == ["red", 'blue, "海"', "green", "white"]
    assert [s.image[0, 0].argmax() for s in samples[:3]] == [0, 2, 1]


def test_an_image_that_ends_too_soon_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"b\.png cannot be read as an image: damaged"):
        dataset_of(folder, tmp_path / "dataset", (64, 64))
