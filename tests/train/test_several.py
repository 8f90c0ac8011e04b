"""Several processes that share the weights out train as one does."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from stages import OBJECTIVES, STAGES

from moyin.backend import NAME, device
from moyin.checkpoint.folder import Checkpoint
from moyin.nano.config import BoundaryWeightConfig
from moyin.train import Trainer, Training, Validation, run, training_state

pytestmark = pytest.mark.skipif(NAME != "torch" or not hasattr(os, "fork"), reason="forks")

Make = Callable[..., Training]
LIMIT = 600  # seconds after which what hangs is ended; on a busy machine all this may take minutes


def process(rank: int, ranks: int, port: int, log: Path, work: Callable[[], object]) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    device.peak_flops = lambda dtype: 1e11  # type: ignore[assignment]
    try:
        work()
    except Exception:
        log.write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def together(ranks: int, folder: Path, work: Callable[[], object]) -> list[str]:
    """Work done by so many processes; what went wrong in each, empty where nothing did.

    Forked, for to import what they need takes longer than all they do. The store in which they meet
    is kept here, as torchrun keeps it: else who leaves first may take it along.
    """
    import torch.distributed.fsdp  # noqa: F401
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # it is documented

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    logs = [folder / f"error-{rank}" for rank in range(ranks)]
    for log in logs:
        log.write_text("")
    fork = multiprocessing.get_context("fork")
    some = [
        fork.Process(target=process, args=(rank, ranks, store.port, log, work))
        for rank, log in enumerate(logs)
    ]
    for one in some:
        one.start()
    wait([one.sentinel for one in some], timeout=LIMIT)
    for one in some:  # who waits for one that failed does so in vain
        one.join(LIMIT if not any(log.read_text() for log in logs) else LIMIT / 20)
        one.kill()
    return [log.read_text() for log in logs]


@contextmanager
def launched(arguments: list[str], stderr: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process, none of whose workers stays behind."""
    with subprocess.Popen([sys.executable, *arguments], stderr=stderr) as launcher:
        try:
            yield launcher
        finally:
            if launcher.poll() is None:
                for one in [*psutil.Process(launcher.pid).children(recursive=True), launcher]:
                    one.kill()


def rows(out: Path) -> list[dict[str, float]]:
    """Metrics that depend neither on the clock nor on the process."""
    found = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    clock = ("images_per_s", "share_of_peak", "memory_gib")
    return [{k: v for k, v in row.items() if k not in clock} for row in found]


def same(out: Path, other: Path) -> None:
    """Equal metrics, moments and weights, but for the order of sums."""
    from safetensors.numpy import load_file

    for one, two in zip(rows(out), rows(other), strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    found = [load_file(training_state.newest(x)[1]) for x in (out, other)]  # type: ignore[index]
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        if name.startswith("optimizer."):
            one, two = (x[name] for x in found)
            np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6, err_msg=name)
    for kind in ("weights.", "average."):  # alone, one whose gradient is nil follows the rounding
        one, two = (np.concatenate([x[n].ravel() for n in x if n.startswith(kind)]) for x in found)
        assert np.linalg.norm(two - one) < 2e-5 * np.linalg.norm(one)


def objective(stage: str) -> Any:
    config = OBJECTIVES[stage]
    return (
        replace(config, auxiliary=(BoundaryWeightConfig(weight=3.0),), freeze_text=True)
        if stage == "generator"
        else config
    )


@pytest.mark.parametrize("stage", ["decoder", "generator"])
def test_two_are_as_one(stage: str, make: Make, tmp_path: Path) -> None:
    common: dict[str, Any] = {"objective": objective(stage), "batch": 4, "steps": 2}
    if stage == "decoder":
        common |= {"accumulate": 2, "batch": 2, "recompute": True}
        common |= {"held_out": 0.25, "validation": Validation(every=2, images=1)}
    run(make(stage, "one", **common))
    told = together(2, tmp_path, lambda: run(make(stage, "two", **common)))
    assert told == ["", ""], "\n".join(told)
    same(tmp_path / "one", tmp_path / "two")
    assert Checkpoint.open(tmp_path / "two" / "weights").has(stage)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_four_are_as_one(stage: str, make: Make, tmp_path: Path) -> None:
    """Two groups of two, each of which holds all the weights."""
    common: dict[str, Any] = {"objective": objective(stage), "batch": 4, "steps": 3}
    run(make(stage, "one", **common))
    told = together(4, tmp_path, lambda: run(make(stage, "four", shard=2, **common)))
    assert not any(told), "\n".join(told)
    same(tmp_path / "one", tmp_path / "four")


@pytest.mark.parametrize("counts", [(1, 2, 1), pytest.param((1, 2, 4, 1), marks=pytest.mark.slow)])
def test_gone_on_with_by_another_number(
    counts: tuple[int, ...], make: Make, tmp_path: Path
) -> None:
    """A step each by so many processes."""
    run(make("decoder", "whole", batch=4), until=len(counts))
    for step, ranks in enumerate(counts, 1):
        training = make("decoder", "parts", batch=4)
        told = together(ranks, tmp_path, lambda t=training, n=step: run(t, until=n))
        assert not any(told), "\n".join(told)
    same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_torchrun_begins_again_where_one_was_killed(
    make: Make, small_checkpoint: Path, tmp_path: Path
) -> None:
    """It names the process; all begin again from the newest state and end as if undisturbed."""
    settings = ["objective.characters=10", "objective.side=8", "objective.longest=3", "batch=4"]
    settings += ["steps=60", "save_every=5", "log_every=1", "dtype=float32", "threads=1"]
    command = ["-m", "moyin", "train", "smoke/glyph", f"checkpoint={small_checkpoint}"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run([sys.executable, *command, *settings, f"out={whole}"], check=True)
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1"]
    launch += [f"--master-port={free_port()}"]
    log = tmp_path / "told"
    with (
        log.open("w") as file,
        launched([*launch, *command, *settings, f"out={parts}"], stderr=file) as both,
    ):
        begun = time.monotonic()
        while not training_state.steps(parts) and both.poll() is None:
            assert time.monotonic() < begun + LIMIT, log.read_text()[-4000:]
            time.sleep(0.01)
        workers = psutil.Process(both.pid).children()
        next(one for one in workers if one.environ().get("LOCAL_RANK") == "1").kill()
        both.wait(LIMIT)
    told = log.read_text()
    assert both.returncode == 0, told[-4000:]
    assert "exitcode: -9" in told
    assert "local_rank: 1" in told
    same(whole, parts)


def test_who_is_killed_ends_the_other(make: Make, tmp_path: Path) -> None:
    """And not after long waiting: `together` waits half a minute for it."""

    def killed() -> None:
        trainer = Trainer(make("glyph"))
        if trainer.rank:
            os.kill(os.getpid(), signal.SIGKILL)
        trainer.run()

    told = together(2, tmp_path, killed)
    assert "Error" in told[0]  # in whose words depends on what it was waiting for
    assert not told[1]


def test_what_several_cannot_do_is_told(make: Make, tmp_path: Path) -> None:
    for changes, wanted in (
        ({"batch": 3}, "batch=3: 2 processes cannot share it out evenly"),
        ({"shard": 3}, "shard=3 does not divide the 2 processes"),
    ):
        told = together(2, tmp_path, lambda c=changes: run(make("glyph", **c)))
        assert all(f"ValueError: {wanted}" in one for one in told)


def test_the_sample_that_spoils_it_is_named_by_all(make: Make, tmp_path: Path) -> None:
    """It lies in the second process's part."""

    def spoilt() -> None:
        trainer = Trainer(make("autoencoder"))
        batch = trainer.objective.batch

        def made(indices: Any, sample_rng: Any) -> Any:
            arrays = batch(indices, sample_rng)
            arrays["pixels"][:] = np.nan if trainer.rank and sample_rng.first else arrays["pixels"]
            return arrays

        trainer.objective.batch = made
        trainer.run()

    told = together(2, tmp_path, spoilt)
    second = Trainer(make("autoencoder", "other"))._rows(0)[1]
    assert all(f"step 1: the loss is nan at the samples {second}. " in one for one in told)
