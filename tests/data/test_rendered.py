from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from moyin.data import rendered as module
from moyin.data.rendered import render
from moyin.dataset import dataset
from moyin.dataset.dataset import Dataset
from moyin.render import fonts
from moyin.render.renderer import Renderer

CONFIG = Renderer.Config(size=64)


def files(path: Path) -> dict[str, str]:
    found = sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 4)
    monkeypatch.setattr(dataset, "SHARD", 4)


@pytest.mark.usefixtures("small_shards")
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    one = render(CONFIG, tmp_path / "one", 18, seed=1, workers=1)
    two = render(CONFIG, tmp_path / "two", 18, seed=1, workers=2)
    assert files(one.path) == files(two.path)
    assert len(two) == 18
    assert two.sample(17).to_json() == CONFIG.build()(1, 17).to_json()


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = render(CONFIG, tmp_path / "whole", 10, seed=1, workers=1)
    write, written, stops = Dataset.write_shard, [], [True]

    def stopping(self: Dataset, number: int, samples: list) -> None:
        if number == 1 and stops:
            stops.clear()
            raise KeyboardInterrupt
        write(self, number, samples)
        written.append(number)

    monkeypatch.setattr(Dataset, "write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        render(CONFIG, tmp_path / "cut", 10, seed=1, workers=1)
    assert len(Dataset.open(tmp_path / "cut")) == 4
    cut = render(CONFIG, tmp_path / "cut", 10, seed=1, workers=1)
    assert written == [0, 1, 2]
    assert files(cut.path) == files(whole.path)


@pytest.mark.usefixtures("small_shards")
def test_a_deleted_shard_is_made_anew_and_a_dataset_can_grow(tmp_path: Path) -> None:
    whole = render(CONFIG, tmp_path / "whole", 10, seed=1, workers=1)
    grown = render(CONFIG, tmp_path / "grown", 6, seed=1, workers=1)
    (grown.path / "meta" / "00000.arrow").unlink()
    grown = render(CONFIG, grown.path, 10, seed=1, workers=1)
    assert files(grown.path) == files(whole.path)


@pytest.mark.usefixtures("small_shards")
def test_a_dataset_of_another_seed_or_configuration_is_not_touched(tmp_path: Path) -> None:
    made = render(CONFIG, tmp_path / "s", 4, seed=1, workers=1)
    before = files(made.path)
    with pytest.raises(ValueError, match="is stale"):
        render(CONFIG, made.path, 8, seed=2, workers=1)
    with pytest.raises(ValueError, match="is stale"):
        render(Renderer.Config(size=96), made.path, 8, seed=1, workers=1)
    assert files(made.path) == before


def test_no_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        render(CONFIG, tmp_path / "s", 0, seed=1)


def test_the_digest_follows_the_fonts_of_a_folder(tmp_path: Path) -> None:
    """By content: the same file under the same name elsewhere makes the same images."""
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    for folder, font in (
        (first, "Anton-Regular"),
        (second, "Anton-Regular"),
        (other, "RobotoSlab-Bold"),
    ):
        folder.mkdir()
        shutil.copy(fonts.shipped()[font].path, folder / "Mine.woff2")
    told = [fonts.digests(str(folder)) for folder in (first, second, other)]
    assert told[0] == told[1] != told[2]
    configs = [Renderer.Config(font_folder=str(first)), Renderer.Config()]
    assert len({module.config_digest(config, 0) for config in configs}) == 2
    before = module.config_digest(configs[0], 0)
    shutil.copy(fonts.shipped()["RobotoSlab-Bold"].path, first / "Mine.woff2")
    assert module.config_digest(configs[0], 0) != before
