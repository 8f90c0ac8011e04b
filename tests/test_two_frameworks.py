"""The same weights and seed give the same on PyTorch and on MindSpore, in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import both
import networks
import numpy as np
import pytest
import stages

from moyin.backend import NAME, nn, ops

pytestmark = pytest.mark.skipif(NAME != "torch", reason="asks MindSpore itself")

Answers = Callable[[str], tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, on_mindspore: Callable[..., str]) -> Path:
    """A folder with all that both backends begin with."""
    folder = tmp_path_factory.mktemp("both")
    networks.save_all(folder / "checkpoint")
    stages.dataset(folder / "dataset")
    for stage in stages.STAGES:  # this also adds the columns that stages need
        start = nn.named_parameters(networks.drawn(both.trainer(stage, folder).objective))
        np.savez(folder / f"{stage}.start.npz", **{n: ops.numpy(p) for n, p in start.items()})
    return folder


@pytest.fixture(scope="module")
def answers(begun: Path, on_mindspore: Callable[..., str]) -> Answers:
    """Both backends' answers to a question of `both`."""
    folder = begun
    both.answer(folder)
    on_mindspore("import sys, pathlib, both; both.answer(pathlib.Path(sys.argv[1]))", folder)

    def read(question: str) -> tuple[dict[str, Any], dict[str, Any]]:
        torch, mindspore = (
            dict(np.load(folder / f"{name}.{question}.npz")) for name in ("torch", "mindspore")
        )
        assert torch.keys() == mindspore.keys()
        return torch, mindspore

    return read


def test_the_same_ids_and_the_same_image(answers: Answers) -> None:
    torch, mindspore = answers("image")
    assert torch["pixels"].shape == (64, 96, 3)
    assert len(np.unique(torch["grid"])) > 1
    assert (torch["preview"] == mindspore["preview"]).all()
    assert (torch["grid"] == mindspore["grid"]).all()
    difference = torch["pixels"].astype(int) - mindspore["pixels"].astype(int)
    assert np.abs(difference).max() <= 2
    assert torch["pixels"].std() > 1


@pytest.mark.parametrize("stage", stages.STAGES)
def test_one_step_of_training(stage: str, answers: Answers) -> None:
    torch, mindspore = answers(stage)
    assert abs(float(torch.pop("loss")) - float(mindspore.pop("loss"))) < 1e-5
    assert any(np.abs(gradient).max() > 1e-2 for gradient in torch.values())
    for name, gradient in torch.items():
        difference = gradient - mindspore[name]
        assert np.abs(difference).max() < 1e-4, name
        # Relative to each parameter's own gradient too, since some are small.
        assert np.linalg.norm(difference) <= 1e-4 * np.linalg.norm(gradient), name


def test_training_goes_the_same_way(answers: Answers) -> None:
    """Clipping, AdamW, the average, stopping and going on, and the written bf16 weights."""
    torch, mindspore = answers("trained")
    assert torch["metrics"][:, 0].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(mindspore["metrics"], torch["metrics"], rtol=1e-4)
    one_bit = 2**-7
    np.testing.assert_allclose(mindspore["weight"], torch["weight"], rtol=one_bit, atol=1e-4)


@pytest.mark.slow
def test_fifty_steps_have_the_same_losses(begun: Path, on_mindspore: Callable[..., str]) -> None:
    """Of every stage; nothing in their losses is chosen by an argmin, which rounding might flip."""
    both.courses(begun)
    script = "import sys, pathlib, both; both.courses(pathlib.Path(sys.argv[1]))"
    on_mindspore(script, begun, timeout=3000)
    torch, mindspore = (np.load(begun / f"{name}.course.npz") for name in ("torch", "mindspore"))
    apart = {stage: np.abs(torch[stage] - mindspore[stage]).max() for stage in stages.STAGES}
    for stage in stages.STAGES:
        assert len(torch[stage]) == both.COURSE
        assert torch[stage][-8:].mean() < torch[stage][:8].mean()
        assert apart[stage] < 1e-4, stage
