"""A Ray cluster of several nodes on this machine, one of which is lost on the way."""

from __future__ import annotations

from pathlib import Path

import corpus
import pytest

from moyin.cli.app import main
from moyin.data.filters.resize import ResizeFilter
from moyin.data.manifest import Manifest
from moyin.data.preparation import Preparation, prepare
from moyin.data.readers import files
from moyin.dataset import dataset as datasets
from moyin.render.renderer import Renderer

RENDERER = Renderer.Config(size=96, fonts=("NotoSansSC-Bold",), characters=100, max_lines=1)


@pytest.mark.slow
def test_a_node_is_lost_and_the_rows_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setattr(datasets, "SHARD", 8)
    monkeypatch.setattr(files, "PARTITION", 4)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(80):
        content = corpus.encoded(corpus.photograph(number % 70), "PNG")
        (folder / f"{number:02d}.png").write_bytes(content[:90] if number % 17 == 0 else content)
    config = Preparation(
        inputs=(folder,),
        count=10,
        renderer=RENDERER,
        resize=ResizeFilter.Config(size=96),
        workers=1,
    )
    alone = prepare(config, tmp_path / "alone")
    cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost, _ = (cluster.add_node(num_cpus=1) for _ in range(2))
        removed: list[int] = []

        def lose_node(work: str, kept: int, decided: int) -> None:
            if decided > 30 and not removed:
                cluster.remove_node(lost, allow_graceful=False)
                removed.append(decided)

        spread = prepare(config, tmp_path / "spread", ray=cluster.address, on_progress=lose_node)
    finally:
        cluster.shutdown()
    assert removed
    assert spread.digest() == alone.digest()
    made = [list(Manifest(dataset).decisions()) for dataset in (alone, spread)]
    assert made[0] == made[1]


def test_a_recipe_that_only_renders_does_so_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "dataset"
    assert main(["prepare", "smoke/images", "--out", str(out), "--ray", "127.0.0.1:1"]) == 2
    assert "--ray is for recipes that filter" in capsys.readouterr().err
    assert not out.exists()
