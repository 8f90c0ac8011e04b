from __future__ import annotations

import base64
import dataclasses
import errno
import io
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import pytest
from chat import Chat, says
from loopback import Reply
from PIL import Image

from moyin.data.filters.caption import Caption
from moyin.data.filters.resize import ResizeFilter
from moyin.data.manifest import Manifest
from moyin.data.preparation import Preparation, prepare
from moyin.data.writer import COLUMNS, exclusive
from moyin.dataset import dataset as datasets
from moyin.dataset.dataset import Dataset
from moyin.render.renderer import Renderer

SHARD = 8
RENDERER = Renderer.Config(size=96, fonts=("NotoSansSC-Bold",), characters=100, max_lines=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 images in several folders, of which some are copies and some are broken."""
    root = tmp_path_factory.mktemp("many") / "in"
    for number in range(150):
        path = root / f"{number % 3}" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = corpus.encoded(corpus.photograph(number % 120), "PNG")
        path.write_bytes(content[:90] if number % 17 == 0 else content)
    return root


def config(folder: Path, **fields: object) -> Preparation:
    made = Preparation(
        inputs=(folder,),
        count=20,
        renderer=RENDERER,
        resize=ResizeFilter.Config(size=96),
        workers=1,
    )
    return dataclasses.replace(made, **fields)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "SHARD", SHARD)


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "SHARD", SHARD)
        yield prepare(config(folder), tmp_path_factory.mktemp("whole") / "dataset")


def test_every_image_is_decided_once_and_copies_are_dropped(undisturbed: Dataset) -> None:
    decisions = list(Manifest(undisturbed).decisions())
    assert len(decisions) == 170
    assert len({(d["source"], d["key"]) for d in decisions}) == 170
    reasons = [d["reason"] for d in decisions if d["source"] == "in"]
    broken = {n for n in range(150) if n % 17 == 0}
    # Numbers 120 and up are images 0 and up again; a broken one is no copy of any.
    seen = [n for n in range(150) if n not in broken]
    assert reasons.count("exact copy") == len(seen) - len({n % 120 for n in seen})
    assert sum(not d["kept"] for d in decisions if d["stage"] == "decode") == len(broken)
    assert len(undisturbed) == sum(d["kept"] for d in decisions)


def test_columns_hold_what_was_measured(undisturbed: Dataset) -> None:
    assert set(undisturbed.columns) == {"image", "meta", *COLUMNS}
    (row,) = undisturbed.read(["source", "bucket", "source_height", "language"], [0])
    assert row == {"source": "in", "bucket": "96x96", "source_height": 96, "language": "en zh"}
    drawn = undisturbed.read(["source", "characters"], [len(undisturbed) - 1])[0]
    text = "".join(line.text for line in undisturbed.sample(len(undisturbed) - 1).lines)
    assert drawn == {"source": "rendered", "characters": len(text.replace(" ", ""))}


def test_two_workers_write_the_same_rows(
    undisturbed: Dataset, folder: Path, tmp_path: Path
) -> None:
    # Spawned workers have shards of their usual size, but only this process writes any.
    two = prepare(config(folder, workers=2), tmp_path / "two")
    assert two.digest() == undisturbed.digest()
    assert list(Manifest(two).decisions()) == list(Manifest(undisturbed).decisions())


def test_a_finished_dataset_stays_as_it_is(undisturbed: Dataset, folder: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in undisturbed.path.rglob("*.arrow")}
    again = prepare(config(folder), undisturbed.path)
    assert (again.digest(), len(again)) == (undisturbed.digest(), len(undisturbed))
    assert before == {p: p.stat().st_mtime_ns for p in undisturbed.path.rglob("*.arrow")}


def test_another_configuration_is_refused(undisturbed: Dataset, folder: Path) -> None:
    with pytest.raises(ValueError, match="is stale"):
        prepare(config(folder, seed=1), undisturbed.path)


def stopped(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Prepare until `after` files are written, then run out of disk."""
    sync, left = os.fsync, [after]

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"no room on disk.*start again"):
            prepare(config(folder), out)


def test_a_full_disk_stops_it_and_with_room_it_goes_on(
    undisturbed: Dataset, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "full"
    for after in (19, 30, 75):
        stopped(folder, out, monkeypatch, after)
    assert prepare(config(folder), out).digest() == undisturbed.digest()
    assert not list(out.rglob("*.partial"))


def test_changed_sources_are_noticed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(folder, tmp_path / "dataset", monkeypatch, 250)
    first = folder / "0" / "000a.png"
    first.write_bytes(b"")
    try:
        with pytest.raises(ValueError, match="sources changed"):
            prepare(config(folder), tmp_path / "dataset")
    finally:
        first.unlink()


def test_nothing_to_prepare_and_nothing_kept_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inputs=FOLDER"):
        prepare(Preparation(), tmp_path / "none")
    with pytest.raises(ValueError, match="no folder or file"):
        prepare(Preparation(inputs=(tmp_path / "nowhere",)), tmp_path / "nowhere-dataset")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="all 1 images were dropped"):
        prepare(Preparation(inputs=(tmp_path / "in",), workers=1), tmp_path / "dataset")


def test_two_runs_do_not_write_to_one_dataset(folder: Path, tmp_path: Path) -> None:
    prepare(config(folder, inputs=(), count=1), tmp_path / "dataset")
    with exclusive(tmp_path / "dataset"), pytest.raises(ValueError, match="another run"):
        prepare(config(folder, inputs=(), count=1), tmp_path / "dataset")


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from moyin.dataset import dataset
dataset.SHARD = {shard}
import test_preparation as t
print("begun", flush=True)
t.prepare(t.config(Path(sys.argv[1]), workers={workers}), sys.argv[2])
"""


def killed(folder: Path, out: Path, kills: int, seed: int) -> int:
    """Start a run, kill it with all its workers at a random moment of its work, and again; returns
    how many were killed before they ended."""
    chance, ended = random.Random(seed), 0
    here = Path(__file__).parent
    script = SCRIPT.format(shard=SHARD, workers=1 + seed % 2)
    command = [sys.executable, "-c", script, str(folder), str(out), str(here), str(here.parent)]
    for _ in range(kills):
        run = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        assert run.stdout is not None
        assert run.stdout.readline() == b"begun\n"
        time.sleep(chance.uniform(0.0, 1.0))
        ended += run.poll() is None
        run.send_signal(signal.SIGKILL)
        assert run.wait() in (0, -signal.SIGKILL), run.stderr and run.stderr.read()
    return ended


def test_killed_and_started_again_the_dataset_is_the_same(
    undisturbed: Dataset, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dataset"
    assert killed(folder, out, 3, seed=2)
    assert prepare(config(folder), out).digest() == undisturbed.digest()


@pytest.mark.slow
def test_fifty_kills_change_nothing(undisturbed: Dataset, folder: Path, tmp_path: Path) -> None:
    count = 0
    for seed in itertools.count():
        if count >= 50:
            break
        out = tmp_path / f"dataset{seed}"
        count += killed(folder, out, 4, seed)
        dataset = prepare(config(folder), out)
        assert dataset.digest() == undisturbed.digest()
        keys = [(d["source"], d["key"]) for d in Manifest(Dataset.open(out)).decisions()]
        assert len(keys) == len(set(keys)) == 170


def test_configurations_import_no_framework() -> None:
    modules = "moyin.data.preparation, moyin.data.prepare, moyin.render.renderer"
    code = f"import sys, {modules}; print({{'torch', 'mindspore', 'rich'}} & {{*sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


class OneRefused(Chat):
    """Captions every image except the one whose pixels are given."""

    def __init__(self, refused: np.ndarray) -> None:
        super().__init__()
        self.refused = refused

    def post(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Reply:
        url = body["messages"][1]["content"][0]["image_url"]["url"]
        image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        if np.array_equal(np.asarray(image), self.refused):
            return Reply(400, b'{"error": {"message": "unsafe image"}}')
        return says("a pattern\n一个图案")


def test_a_failed_caption_costs_its_image_alone(tmp_path: Path) -> None:
    images = [corpus.photograph(number) for number in range(5)]
    (tmp_path / "in").mkdir()
    for number, image in enumerate(images):
        (tmp_path / "in" / f"{number}.png").write_bytes(corpus.encoded(image, "PNG"))
    with OneRefused(np.asarray(images[2])) as chat:
        caption = Caption.Config(url=chat.url, model="captioner")
        dataset = prepare(config(tmp_path / "in", count=0, caption=caption), tmp_path / "dataset")
    dropped = [d for d in Manifest(dataset).decisions() if not d["kept"]]
    assert [(d["key"], d["stage"], d["reason"]) for d in dropped] == [
        ("2.png", "caption", "captioner failed")
    ]
    assert "unsafe image" in dropped[0]["detail"]
    assert [dataset.sample(i).captions for i in range(4)] == [("a pattern", "一个图案")] * 4
