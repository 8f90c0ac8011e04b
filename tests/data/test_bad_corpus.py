"""A folder of bad files goes through with a reason for each, and takes little memory."""

from __future__ import annotations

import dataclasses
import resource
from pathlib import Path

import corpus
import pytest

from moyin.data import preparation
from moyin.data.filters.decode import Decode
from moyin.data.filters.resize import ResizeFilter
from moyin.data.manifest import Decision, Manifest
from moyin.data.preparation import Preparation
from moyin.data.readers import partitions
from moyin.data.run.worker import Work
from moyin.dataset.dataset import Dataset

CONFIG = Preparation(
    resize=ResizeFilter.Config(size=96), decode=Decode.Config(megapixels=4), workers=1
)


@pytest.fixture(scope="module")
def prepared(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Dataset, dict[str, Decision], float]:
    """The dataset, the decisions by key, and by how many MiB the peak of memory rose."""
    folder = tmp_path_factory.mktemp("bad")
    corpus.write(folder / "in")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    config = dataclasses.replace(CONFIG, inputs=(folder / "in",))
    dataset = preparation.prepare(config, folder / "dataset")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    decisions = Manifest(dataset).decisions()
    return dataset, {d["key"]: d for d in decisions}, (after - before) / 1024


def test_there_are_enough_bad_files() -> None:
    assert len(corpus.dropped()) + len(corpus.ODD) >= 60


@pytest.mark.parametrize(("name", "reason"), [(n, r) for n, (_, r) in corpus.dropped().items()])
def test_a_bad_file_is_dropped_with_its_reason(name: str, reason: str, prepared) -> None:
    _, decisions, _ = prepared
    key = f"{name}:0" if name.endswith(".jsonl") else name
    assert not decisions[key]["kept"]
    assert decisions[key]["reason"]
    assert reason in ("", decisions[key]["reason"])


@pytest.mark.parametrize(("name", "reason"), corpus.ODD.items())
def test_what_is_no_file_is_dropped(name: str, reason: str, prepared) -> None:
    assert prepared[1][name]["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("name", "note"), [(n, note) for n, (_, note) in corpus.kept().items() if note != "beside"]
)
def test_what_can_be_repaired_is_kept_and_noted(name: str, note: str, prepared) -> None:
    decision = prepared[1][name.replace("\n", "\\n")]
    assert (decision["kept"], decision["reason"]) == (True, "")
    assert not note or any(said.startswith(note) for said in decision["notes"])


def test_every_file_has_one_decision_and_every_kept_one_a_row(prepared) -> None:
    dataset, decisions, _ = prepared
    beside = [name for name, (_, note) in corpus.kept().items() if note == "beside"]
    whole = len(corpus.dropped()) + len(corpus.kept()) + len(corpus.ODD) - len(beside)
    assert len(decisions) == whole + 2
    assert decisions["latin-\\udce9.png"]["kept"]
    assert decisions["inside"]["reason"] == "truncated tar"
    keys = [str(key) for key in dataset.values("key")]
    assert keys == [key for key, d in decisions.items() if d["kept"]]
    assert all(dataset.sample(i).image.shape[2] == 3 for i in range(len(dataset)))


def test_captions_come_out_clean(prepared) -> None:
    dataset, _, _ = prepared
    captions = {str(k): dataset.sample(i).captions for i, k in enumerate(dataset.values("key"))}
    assert captions["control.png"] == ("a [31mred cat",)
    assert captions["gb.png"] == ("一只黑色的猫在睡觉",)
    assert len(captions["megabyte.png"][0]) <= 1000
    assert captions["megabyte.png"][0].startswith("一只猫 a cat 一只猫 a cat")


def test_memory_stays_bounded(prepared) -> None:
    # The bombs alone would take gigabytes.
    assert prepared[2] < 600


def test_stages_are_pure(tmp_path: Path) -> None:
    corpus.write(tmp_path / "in")
    work = Work(CONFIG.stages)
    (partition,) = list(partitions(tmp_path / "in"))[1:2]
    assert repr(work(partition)) == repr(work(partition))
