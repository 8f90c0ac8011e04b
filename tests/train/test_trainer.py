"""The trainer, on every stage at a tiny size and on a linear model that NumPy can follow."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import networks
import numpy as np
import pytest
from filelock import FileLock
from stages import OBJECTIVES, STAGES

from moyin.backend import device, io, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.save import save_checkpoint
from moyin.cli.app import main
from moyin.dataset.dataset import Dataset
from moyin.nano.config import BoundaryWeightConfig
from moyin.train import (
    Interrupted,
    Optimizer,
    Trainer,
    Training,
    async_checkpointer,
    run,
    training_state,
)
from moyin.train import trainer as trainer_module
from moyin.train.loss_guard import Watch
from moyin.train.metrics import Report
from moyin.train.objectives.base import Objective, SampleRng

Make = Callable[..., Training]
INPUTS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
TARGETS = np.random.default_rng(1).normal(size=(12, 2)).astype(np.float32)


class Linear(Objective):
    """Least squares of y ≈ x Wᵀ."""

    stage: ClassVar[str] = "linear"

    @dataclass(frozen=True, kw_only=True)
    class Config(Objective.Config):
        scale: float = 1.0

        def build(self, source: Any, start: Any) -> Linear:
            return Linear(self)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.network = config, nn.Linear(3, 2, bias=False)
        nn.set_parameter(self.network.weight, ops.ones((2, 3)))

    @property
    def count(self) -> int:
        return len(INPUTS)

    def batch(self, indices: Any, sample_rng: SampleRng) -> dict[str, Any]:
        return {"x": INPUTS[indices], "y": self.config.scale * TARGETS[indices]}

    def loss(self, batch: dict[str, Any], dtype: Any) -> tuple[Any, dict[str, Any]]:
        return ops.mean(ops.square(self.network(batch["x"]) - batch["y"])), {}


def linear(out: Path, **changes: Any) -> Training:
    small = Training(
        objective=Linear.Config(),
        steps=50,
        batch=12,
        out=str(out),
        checkpoint="none",
        dtype="float32",
        log_every=1,
        optimizer=Optimizer(lr=0.1, warmup=2, ema=0.2, clip=0.5, weight_decay=0.3),
    )
    return replace(small, **changes)


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring the machine takes longer than these trainings."""
    monkeypatch.setattr(device, "peak_flops", lambda dtype: 1e11)


def content(out: Path) -> tuple[int, str, list[tuple[int, float, float]]]:
    """Step and checksum of the newest state, and the metrics that do not depend on the clock."""
    folder = sorted((out / "state").glob("step-*"))[-1]
    record = json.loads((folder / training_state.RECORD).read_text())
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return (
        record["step"],
        training_state.sha256(folder / training_state.WEIGHTS),
        [(row["step"], row["loss"], row["gradient_norm"]) for row in rows],
    )


def press_at(monkeypatch: pytest.MonkeyPatch, step: int, times: int = 1) -> None:
    """Ctrl-C as soon as `step` is done."""
    advance = Report.advance

    def pressed(self: Report, at: int, *rest: Any) -> None:
        advance(self, at, *rest)
        for _ in range(times if at == step else 0):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Report, "advance", pressed)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_learns_and_is_written_beside_the_others(stage: str, make: Make) -> None:
    trainer = Trainer(make(stage, steps=8))
    batch = trainer.objective.batch(np.arange(2), SampleRng(0, 1000))
    tensors = {name: ops.asarray(x) for name, x in batch.items()}
    before = float(ops.numpy(trainer.gradient(tensors)[0]))
    folder = trainer.run()
    after = float(ops.numpy(trainer.gradient(tensors)[0]))
    assert after < before
    written = Checkpoint.open(folder)
    assert all(written.has(name) for name in STAGES)
    assert written.notes["training"][stage]["steps"] == 8
    assert written.notes["training"][stage]["images"] == 16
    assert written.notes["settings"]["height"] == 64  # the first checkpoint's own
    network = nn.named_parameters(written.whole(stage, "float32"))
    for name, parameter in nn.named_parameters(trainer.objective.network).items():
        np.testing.assert_allclose(
            ops.numpy(network[name]), ops.numpy(parameter), rtol=0.01, atol=1e-6
        )


@pytest.mark.parametrize("stage", STAGES)
def test_two_halves_equal_the_whole_bit_for_bit(stage: str, make: Make) -> None:
    run(make(stage, "whole"), until=4)
    run(make(stage, "halves"), until=2)
    run(make(stage, "halves", save_every=1, log_every=1))
    whole = content(Path(make(stage, "whole").out))
    assert whole == content(Path(make(stage, "halves").out))
    assert [step for step, _, _ in whole[2]] == [1, 2, 3, 4]


def test_steps_against_numpy(tmp_path: Path) -> None:
    """Clipping, AdamW, warm-up and the average, followed by hand for six updates."""
    training = linear(tmp_path)
    o = training.optimizer
    trainer = Trainer(training)
    trainer.run(until=6)
    w = np.ones((2, 3))
    m, v, average = np.zeros_like(w), np.zeros_like(w), w
    norms = []
    for t in range(1, 7):
        g = 2 * (INPUTS @ w.T - TARGETS).T @ INPUTS / TARGETS.size
        norms.append(np.linalg.norm(g))
        g = g * min(1.0, o.clip / norms[-1])
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        rate = o.lr * min(1.0, t / 2)
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
        w = w * (1 - rate * 0.3) - rate * step
        decay = min(0.2, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * w
    assert max(norms) > o.clip
    np.testing.assert_allclose(ops.numpy(trainer.objective.network.weight), w, rtol=1e-4)
    np.testing.assert_allclose(ops.numpy(trainer.average["network.weight"]), average, rtol=1e-4)
    logged = [norm for _, _, norm in content(tmp_path)[2]]
    np.testing.assert_allclose(logged, norms, rtol=1e-4)


def test_accumulation_equals_a_larger_batch(tmp_path: Path) -> None:
    found = []
    for name, batch, accumulate in (("one", 6, 1), ("two", 3, 2), ("six", 1, 6)):
        training = linear(tmp_path / name, batch=batch, accumulate=accumulate)
        trainer = Trainer(training)
        trainer.run(until=4)
        found.append((ops.numpy(trainer.objective.network.weight), content(tmp_path / name)[2]))
    for weight, rows in found[1:]:
        np.testing.assert_allclose(weight, found[0][0], rtol=1e-5)
        np.testing.assert_allclose(rows, found[0][1], rtol=1e-5)


@pytest.mark.parametrize("stage", ["decoder", "generator", "autoencoder"])
def test_accumulation_equals_a_larger_batch_for_real_losses(stage: str, make: Make) -> None:
    """Captions, crops, noise and weights of a sample do not depend on how batches are cut."""
    config = OBJECTIVES[stage]
    if stage == "generator":  # samples count by the weights of their ids
        config = replace(config, auxiliary=(BoundaryWeightConfig(weight=3.0),))
    found = []
    for batch, accumulate in ((4, 1), (2, 2), (1, 4)):
        small = make(stage, f"{batch}", objective=config, batch=batch, accumulate=accumulate)
        trainer = Trainer(small)
        trainer.run(until=1)
        rows = [json.loads(x) for x in (trainer.out / "metrics.jsonl").read_text().splitlines()]
        kept = {k: v for k, v in rows[0].items() if "loss" in k or k == "gradient_norm"}
        found.append(kept)
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=2e-5)


def test_fine_tuning_begins_where_the_checkpoint_ends(make: Make, small_checkpoint: Path) -> None:
    trainer = Trainer(make("decoder", fine_tune=True))
    stored = nn.named_parameters(Checkpoint.open(small_checkpoint).network("decoder"))
    for name, parameter in nn.named_parameters(trainer.objective.network).items():
        assert (ops.numpy(parameter) == ops.numpy(stored[name])).all()


@pytest.mark.parametrize(("stage", "blocks"), [("decoder", 2), ("glyph", 2), ("autoencoder", 0)])
def test_the_blocks_are_compiled_on_request(
    stage: str, blocks: int, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(nn, "compile_blocks", asked.extend)
    run(make(stage, "plain"), until=1)
    assert not asked
    run(make(stage, "compiled", compile=True), until=1)
    assert len(asked) == blocks


def test_a_damaged_state_costs_only_the_steps_since_the_one_before(tmp_path: Path) -> None:
    run(linear(tmp_path / "whole"), until=4)
    run(linear(tmp_path / "damaged", save_every=1), until=3)
    (tmp_path / "damaged/state/step-00000003" / training_state.WEIGHTS).write_bytes(b"")
    with pytest.warns(UserWarning, match="step-00000003 is damaged"):
        run(linear(tmp_path / "damaged"), until=4)
    assert content(tmp_path / "damaged") == content(tmp_path / "whole")


def test_interrupted_it_saves_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    run(linear(tmp_path / "whole"), until=4)
    with monkeypatch.context() as patch:
        press_at(patch, 2)
        with pytest.raises(Interrupted, match=r"step 2 of 50 and saved in .*: the same command"):
            run(linear(tmp_path / "stopped"), until=4)
    assert content(tmp_path / "stopped")[0] == 2
    assert signal.getsignal(signal.SIGINT) is before
    run(linear(tmp_path / "stopped"), until=4)
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_interrupted_twice_it_stops_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    press_at(monkeypatch, 2, times=2)
    with pytest.raises(KeyboardInterrupt):
        run(linear(tmp_path), until=4)
    assert not (tmp_path / "state").exists()


def test_interrupted_on_the_command_line(
    tmp_path: Path,
    small_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    overrides = ["objective.characters=10", "objective.side=8", "batch=2", "steps=3"]
    command = ["train", "smoke/glyph", f"out={tmp_path}", f"checkpoint={small_checkpoint}"]
    command += [*overrides, "dtype=float32", "threads=1"]
    with monkeypatch.context() as patch:
        press_at(patch, 2)
        assert main(command) == 130
    assert "the same command goes on from there" in capsys.readouterr().err.replace("\n", " ")
    assert main(command) == 0
    assert (tmp_path / "weights" / "text_encoder").is_dir()


def fills_up(monkeypatch: pytest.MonkeyPatch, *, failures: int = 10**9) -> None:
    """So many tensors' files find no room; nobody waits between the tries."""
    whole, left = io.save, [failures]

    def save(*arguments: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(*arguments)

    monkeypatch.setattr(io, "save", save)
    monkeypatch.setattr(async_checkpointer, "PAUSE", 0.0)


@pytest.mark.filterwarnings("ignore:no room on disk")
def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(linear(tmp_path / "whole"), until=4)
    run(linear(tmp_path / "full"), until=2)
    with monkeypatch.context() as patch:
        fills_up(patch)
        with (
            pytest.warns(UserWarning, match=r"no room on disk .* goes on and will try again"),
            pytest.warns(UserWarning, match=r"Trying again in 0 s, 9 more times"),
            pytest.raises(OSError, match=r"the same command goes on from step 2, whose state"),
        ):
            run(linear(tmp_path / "full", save_every=1), until=4)
    assert content(tmp_path / "full")[0] == 2
    run(linear(tmp_path / "full"), until=4)
    assert content(tmp_path / "full") == content(tmp_path / "whole")


@pytest.mark.filterwarnings("ignore:no room on disk")
def test_a_disk_that_is_full_at_the_end_is_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(make("glyph", "whole"))
    fills_up(monkeypatch, failures=9)
    written = run(make("glyph", "state"))
    assert content(written.parent) == content(Path(make("glyph", "whole").out))
    fills_up(monkeypatch, failures=10)
    with pytest.raises(OSError, match=r"/state: free some, and the same command begins anew"):
        run(make("glyph", "nothing"))


@pytest.mark.filterwarnings("ignore:no room on disk")
def test_weights_without_room_are_written_by_the_same_command(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(make("glyph"))
    digest = Checkpoint.open(whole).digest()
    shutil.rmtree(whole)
    with monkeypatch.context() as patch:
        fills_up(patch)
        with pytest.raises(OSError, match=r"/weights: .* goes on from step 4, whose state is kept"):
            run(make("glyph"))
    assert not whole.exists()
    assert Checkpoint.open(run(make("glyph"))).digest() == digest


def test_a_state_from_before_a_field_was_there(tmp_path: Path) -> None:
    run(linear(tmp_path), until=1)
    path = tmp_path / "state/step-00000001" / training_state.RECORD
    record = json.loads(path.read_text())
    for name in ("lora", "held_out", "validation"):
        del record["training"][name]
    del record["watch"], record["base"]
    path.write_text(json.dumps(record))
    run(linear(tmp_path), until=2)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"optimizer": Optimizer(lr=0.2)}, r"another .*optimizer.lr \(0.1, now 0.2\)"),
        ({"objective": Linear.Config(scale=2.0)}, r"objective.scale \(1.0, now 2.0\): give it an"),
        ({"batch": 3, "seed": 4}, r"another batch \(12, now 3\), seed \(0, now 4\):"),
        ({"held_out": 0.5}, r"another held_out \(0.0, now 0.5\)"),
    ],
)
def test_going_on_with_other_values_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    run(linear(tmp_path), until=1)
    with pytest.raises(ValueError, match=named):
        run(linear(tmp_path, **changes), until=2)


def test_another_training_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    training = linear(tmp_path / "out", steps=2)
    with (
        FileLock(tmp_path / "out" / "lock"),
        pytest.raises(ValueError, match="another training writes to"),
    ):
        run(training)
    assert run(training, until=1) == tmp_path / "out"


def test_another_stage_in_the_same_folder_is_refused(make: Make) -> None:
    training = make("glyph")
    run(linear(Path(training.out)), until=1)
    with pytest.raises(ValueError, match="holds a training of the linear"):
        run(training)


def test_a_loss_that_runs_away_stops_before_the_states_are_spoilt(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"step 1: the loss is inf at the samples (\d+, ){11}\d+\."
    ) as e:
        run(linear(tmp_path, objective=Linear.Config(scale=float("inf"))), until=4)
    assert "no state was saved yet" in str(e.value)
    assert training_state.newest(tmp_path) is None


def test_a_spoilt_sample_is_named_and_the_state_before_it_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The micro-batch with the sample alone; the training then goes on from the state before."""
    small = linear(tmp_path, batch=2, accumulate=3, save_every=1)
    run(small, until=2)
    spoilt = INPUTS.copy()
    trainer = Trainer(small)
    rows = trainer._rows(2 * 3 + 1)
    spoilt[rows[1]] = np.nan
    monkeypatch.setitem(Linear.batch.__globals__, "INPUTS", spoilt)
    told = rf"step 3: the loss is nan at the samples {rows[0]}, {rows[1]}\. .*that of step 2"
    with pytest.raises(ValueError, match=told):
        run(small, until=4)
    monkeypatch.undo()
    assert content(tmp_path)[0] == 2


@pytest.mark.filterwarnings("ignore:step .* the loss is rising")
def test_a_loss_that_comes_back_up_is_told_with_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Least squares learns for a hundred steps and is then walked uphill."""
    monkeypatch.setattr(trainer_module, "learning_rate", lambda o, i, n: 0.05 if i < 100 else -0.2)
    with pytest.raises(ValueError, match=r"the loss has risen to .* learning rate of -0\.2") as e:
        run(linear(tmp_path, steps=400, save_every=10), until=399)
    step = int(str(e.value).split()[1].rstrip(":"))
    assert 100 < step < 399
    assert 100 <= training_state.steps(tmp_path)[-1] < step
    assert f"that of step {training_state.steps(tmp_path)[-1]}, from before" in str(e.value)


def test_no_state_is_saved_while_the_loss_rises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "rising", property(lambda self: len(self.last) > 1))
    with pytest.warns(UserWarning, match="step 2: the loss is rising, so no state is saved"):
        run(linear(tmp_path, save_every=1), until=3)
    assert training_state.steps(tmp_path) == [1, 3]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"out": ""}, "say where to write: out=DIR"),
        ({"data": ""}, "name a dataset, data=DATASET"),
        ({"data": "nowhere"}, "no readable dataset at nowhere"),
        ({"checkpoint": "none"}, "needs a trained semantic"),
        ({"checkpoint": "./nowhere"}, "nowhere"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, str], told: str, make: Make) -> None:
    with pytest.raises(ValueError, match=told):
        run(make("generator", **changes))


def test_an_empty_dataset_is_named(make: Make, tmp_path: Path) -> None:
    Dataset.create(tmp_path / "empty", {}, seed=0, count=8, digest="maker")
    with pytest.raises(ValueError, match="empty has no images yet"):
        run(make("semantic", data=str(tmp_path / "empty")))


@pytest.mark.parametrize(
    ("stage", "crop", "told"), [("decoder", 17, "16x16 tokens"), ("autoencoder", 520, "512x512")]
)
def test_a_crop_larger_than_the_images(stage: str, crop: int, told: str, make: Make) -> None:
    objective = replace(OBJECTIVES[stage], crop=crop)
    with pytest.raises(ValueError, match=rf"crop={crop}: the images have {told}"):
        run(make(stage, objective=objective))


def test_a_checkpoint_without_a_network_that_is_used(make: Make, tmp_path: Path) -> None:
    some = {name: networks.tiny(name) for name in ("autoencoder", "semantic")}
    folder = save_checkpoint(tmp_path / "some", some, dtype="float32")
    with pytest.raises(ValueError, match="needs a trained glyph: name a checkpoint"):
        run(make("decoder", checkpoint=str(folder)))


@pytest.mark.parametrize("value", [{"steps": 0}, {"accumulate": 0}, {"dtype": "float8"}])
def test_impossible_values(value: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(value))):
        linear(tmp_path, **value)
