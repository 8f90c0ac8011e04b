"""The loop that trains any stage: accumulate, clip, step, average, save, and go on again."""

from __future__ import annotations

import math
import signal
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from moyin.backend import Tensor, autograd, device, distributed, io, nn, ops, optim
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.lora import PREFIXES, TRAINED
from moyin.checkpoint.save import save_checkpoint
from moyin.checkpoint.save_lora import save_lora
from moyin.dataset.concat import ConcatDataset
from moyin.dataset.dataset import BUCKET
from moyin.dataset.loader import BatchSampler, WeightRule, prefetch
from moyin.dataset.order import shuffled
from moyin.dataset.tokens import digest
from moyin.inference.image_processor import SHORTEST
from moyin.models.lora import Adapter, adapt
from moyin.prompt.grid import Grid
from moyin.train import training_state, validation
from moyin.train.async_checkpointer import Keeper
from moyin.train.config import Training
from moyin.train.folder import dataset_of
from moyin.train.identity import difference, identity, plain
from moyin.train.loss_guard import Watch
from moyin.train.lr_schedule import learning_rate
from moyin.train.metric_aggregator import Means
from moyin.train.metrics import Report, Silence
from moyin.train.objectives.base import Array, Batch, SampleRng, Source
from moyin.train.samples import sheet
from moyin.train.sharding import fsdp_units

DATASET = "dataset.json"
NATIVE = 1024  # pixels a side of GLM-Image's images


class Interrupted(Exception):
    """The training was stopped by hand; its message says how to go on."""


def run(training: Training, until: int | None = None) -> Path:
    """Train the stage and write its weights; goes on from the newest state under `out`.

    until: stop after this step instead of the last. Returns the checkpoint folder OUT/weights.
    Raises ValueError for what the user must mend, OSError for a full disk, Interrupted for Ctrl-C.
    """
    if not training.out:
        raise ValueError("say where to write: out=DIR")
    return Trainer(training).run(until)


class Trainer:
    """One stage being trained."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.out = Path(training.out)
        distributed.join()
        self.rank, self.ranks = distributed.rank(), distributed.world_size()
        if training.batch % self.ranks:
            raise ValueError(
                f"batch={training.batch}: {self.ranks} processes cannot share it out evenly"
            )
        device.seed(training.seed)
        if training.threads:
            device.set_threads(training.threads)
        self.dtype = _dtype(training.dtype)
        with distributed.main_process_first():  # the first one writes what the dataset lacks
            checkpoint = _checkpoint(training.checkpoint)
            self.source = Source(_dataset(training, checkpoint), checkpoint)
            self.objective = training.objective.build(self.source, self._start())
        self.base = ""  # digest of what a LoRA belongs to
        self.adapters = self._adapt()
        if training.recompute:
            nn.recompute_blocks(self.objective.blocks)
        units = fsdp_units(self.objective)
        distributed.shard(self.objective, units, "loss", training.shard, self.dtype)
        every = nn.named_parameters(self.objective)
        self.parameters = {n: p for n, p in every.items() if self._trained(n)}
        self.kept = {n: p for n, p in every.items() if self.objective.kept(n)}
        o = training.optimizer
        self.optimizer = optim.AdamW(self.parameters, o.betas, weight_decay=o.weight_decay)
        self.average = {n: ops.stop_gradient(p) + 0 for n, p in self.parameters.items()}
        self.step = 0
        held = validation.held_out(self.objective.count, training.held_out)
        self.held, self.rows = np.flatnonzero(held), np.flatnonzero(~held)
        if training.held_out and len(self.held) < self.ranks:
            few = len(self.held) or "none"
            raise ValueError(f"held_out={training.held_out} of {len(held)} samples is {few}")
        self.stream = self._stream()
        self.watch, self.means = Watch(), Means()
        self.keeper = Keeper(self.out, training.keep, training.keep_every)
        self.gradient = autograd.value_and_grad(
            self._weighted, self.objective, list(self.parameters)
        )

    def _weighted(
        self, batch: dict[str, Tensor], weight: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss as it counts, and as it is beside what else is shown."""
        loss, shown = self.objective.loss(batch, self.dtype)
        return loss * weight, {"loss": loss, **shown}

    def _start(self) -> Any:
        """The network to go on from, None for fresh weights.

        A frozen one needs no more digits than it is computed with.
        """
        t = self.training
        if t.lora is not None:
            return self.source.network(t.objective.stage, _dtype_name(t.dtype))
        return self.source.network(t.objective.stage) if t.fine_tune else None

    def _adapt(self) -> dict[str, Adapter]:
        lora = self.training.lora
        if lora is None:
            return {}
        if self.training.objective.stage not in PREFIXES:
            raise ValueError(f"a LoRA is for {' or '.join(PREFIXES)}: leave out lora")
        self.base = digest(self.objective.network)
        scale = lora.alpha / lora.rank
        return adapt(self.objective.network, lora.layers, lora.rank, scale)

    def _trained(self, name: str) -> bool:
        return self.objective.trained(name) and (not self.adapters or ".adapters." in name)

    def run(self, until: int | None = None) -> Path:
        """All steps that are left; see `run`."""
        with self._alone():
            return self._run(until)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder for this training: two that write to it would spoil each other's."""
        if self.rank:  # the first process does
            yield
            return
        self.out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.out / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"another training writes to {self.out}: wait for it, stop it or give another out="
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _run(self, until: int | None) -> Path:
        self._restore()
        seen = distributed.gather(self.step)
        if (seen != self.step).any():
            raise ValueError(
                f"the processes see states of the steps {', '.join(map(str, seen))} in {self.out}: "
                "it must be one folder that they share"
            )
        last = self.training.steps if until is None else min(until, self.training.steps)
        if self.step < last:
            with _polite_interrupt() as interrupted:
                self._steps(last, interrupted)
        if self.step < last:
            raise Interrupted(
                f"stopped at step {self.step} of {self.training.steps} and saved in {self.out}: "
                "the same command goes on from there"
            )
        return self._write() if self.step == self.training.steps else self.out

    def _steps(self, last: int, interrupted: list[bool]) -> None:
        t = self.training
        flops = device.count_flops(lambda: self.gradient(self._tensors(self._batch(0))))
        peak = device.peak_flops(self.dtype)
        if t.compile:  # only now, since what is compiled cannot be counted
            nn.compile_blocks(self.objective.blocks)
        with (
            self._report(peak) as report,
            closing(prefetch(self._batch, self.step * t.accumulate, t.workers)) as batches,
            self.keeper,
        ):
            while self.step < last:
                norm = self._update(batches)
                report.advance(self.step, t.batch * t.accumulate, flops * t.accumulate * self.ranks)
                stop = self.step == last or bool(distributed.gather(len(interrupted)).any())
                if self.step % t.log_every == 0 or self.step == last:
                    report.metrics(self.step, {**self.means.take(), "gradient_norm": norm})
                if self.step % t.validation.every == 0:
                    self._validate(report)
                if stop or self.step % t.save_every == 0:
                    self._save(stop)
                if stop:
                    break

    def _report(self, peak: float) -> Report:
        if self.rank:
            return Silence()
        stage, steps = self.objective.stage, self.training.steps
        return Report(self.out, stage, self.step, steps, peak * self.ranks)

    def _rows(self, micro: int, rank: int = 0) -> Array:
        """The samples of a process's part of a micro-batch, by number."""
        if self.stream is not None:
            return self.stream.rows(micro, rank, self.ranks)
        t = self.training
        places = np.arange(micro * t.batch, (micro + 1) * t.batch)[rank :: self.ranks]
        return np.asarray(self.rows[shuffled(places, len(self.rows), t.seed)])

    def _stream(self) -> BatchSampler | None:
        """The order of the rows of the datasets, where the stage reads any."""
        t, datasets = self.training, self.objective.dataset
        rules = [WeightRule.parse(text) for text in t.weights]
        if not isinstance(datasets, ConcatDataset):
            if rules:
                raise ValueError(f"weights={','.join(t.weights)}: this stage reads no dataset")
            return None
        several = any(BUCKET in dataset.columns for dataset in datasets.parts)
        if t.held_out and several:
            raise ValueError("held_out: images of several sizes cannot be validated on together")
        held = validation.held_out(len(datasets), t.held_out) if t.held_out else None
        return BatchSampler(datasets, t.batch, t.seed, rules, t.accumulate, held)

    def _batch(self, micro: int) -> Batch:
        t = self.training
        first = micro * t.batch + self.rank
        sample_rng = SampleRng(t.seed, first, micro // t.accumulate, self.ranks)
        return self.objective.batch(self._rows(micro, self.rank), sample_rng)

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        return {n: ops.asarray(x) for n, x in batch.items()}

    def _update(self, batches: Iterator[Batch]) -> float:
        """One update; the next batch is made meanwhile. Returns the gradient's norm."""
        t, o = self.training, self.training.optimizer
        first, parts = self.step * t.accumulate, t.accumulate * self.ranks
        total: dict[str, Tensor] = {}
        losses, weights = [], []
        for _ in range(t.accumulate):
            batch = next(batches)
            weights.append(self.objective.weight(batch) if parts > 1 else 1.0)
            _, shown, gradients = self.gradient(self._tensors(batch), weights[-1])
            losses.append(shown["loss"])
            for n in list(gradients):  # one by one, so that there are never three of all
                g = gradients.pop(n)
                total[n] = total[n] + g if n in total else g
            self.means.add(shown, weights[-1])
        # Of every process and micro-batch: its loss, and what it counts.
        values = [float(ops.numpy(loss)) for loss in losses]
        found, counted = distributed.gather([values, weights]).swapaxes(0, 1)
        if parts > 1:
            share = float(counted.sum() / self.ranks)
            for n in total:
                total[n] = total[n] / share
        gradients, norm = optim.clip_by_global_norm(total, o.clip)
        self._check_finite(found, norm, first)
        rate = learning_rate(o, self.step, t.steps)
        self.optimizer.step(gradients, rate)
        self.step += 1
        # A young average forgets its random start sooner.
        decay = min(o.ema, (1 + self.step) / (10 + self.step))
        optim.ema_update(self.average, self.parameters, decay)
        self._check_course(float((found * counted).sum() / counted.sum()), rate)
        return norm

    def _check_finite(self, losses: Array, norm: float, first: int) -> None:
        """Before an update is made: ValueError that names the samples which spoil it.

        losses: of every process and micro-batch, [ranks, accumulate].
        """
        bad = np.argwhere(~np.isfinite(losses))
        if not len(bad) and math.isfinite(norm):
            return
        what = f"loss is {losses[tuple(bad[0])]}" if len(bad) else f"gradient is {norm}"
        some = bad if len(bad) else np.argwhere(np.isfinite(losses))
        rows = [str(row) for rank, i in some for row in self._rows(first + int(i), int(rank))]
        raise ValueError(
            f"step {self.step + 1}: the {what} at the samples {', '.join(rows)}. Look at them, or "
            f"take a lower optimizer.lr and an out= of its own; {self._newest()}"
        )

    def _check_course(self, loss: float, rate: float) -> None:
        """After an update: ValueError where the training has gone astray."""
        self.watch.see(loss)
        if self.watch.diverged:
            raise ValueError(
                f"step {self.step}: the loss has risen to {self.watch.now:.4g}, from "
                f"{self.watch.best:.4g} at its best, at a learning rate of {rate:.3g}. Take a "
                f"lower optimizer.lr and an out= of its own; {self._newest()}"
            )

    def _newest(self) -> str:
        self.keeper.wait()
        kept = training_state.steps(self.out)
        if not kept:
            return "no state was saved yet"
        return f"the newest state in {self.out} is that of step {kept[-1]}, from before"

    def _validate(self, report: Report) -> None:
        v, t = self.training.validation, self.training
        with validation.averaged(self.parameters, self.average):
            if len(self.held):
                found = validation.losses(
                    self.objective, self.held, t.batch, v.batches, t.seed, self.dtype
                )
                report.validation(self.step, found)
            some = (self.held if len(self.held) else self.rows)[: v.images]
            with distributed.summon_full_params(self.objective):
                made = self.objective.images(some, _dtype_name(t.dtype)) if len(some) else []
        if made:
            report.image(self.step, sheet(made))
        report.restart_clock()

    def _save(self, last: bool) -> None:
        if self.watch.rising and not last:
            warnings.warn(
                f"step {self.step}: the loss is rising, so no state is saved until it falls",
                stacklevel=2,
            )
            return
        tensors, record = self._state()
        if self.rank == 0:
            (self.keeper.save_last if last else self.keeper.save)(self.step, tensors, record)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Copies of all that changes or is kept, whole on the first process; whose they are."""
        weights = self.parameters | self.kept
        held: dict[str, Tensor] = {f"weights.{n}": p for n, p in weights.items()}
        held |= {f"average.{n}": p for n, p in self.average.items()}
        held |= {f"optimizer.{n}": p for n, p in self.optimizer.state().items()}
        tensors = {n: distributed.full_tensor(x) for n, x in held.items()}
        record = {
            "stage": self.objective.stage,
            "training": plain(self.training),
            "watch": self.watch.record(),
            "base": self.base,
        }
        return tensors, record

    def _restore(self) -> None:
        found = training_state.newest(self.out)
        if found is None:
            self.out.mkdir(parents=True, exist_ok=True)
            return
        record, file = found
        if record["stage"] != self.objective.stage:
            raise ValueError(f"{self.out} holds a training of the {record['stage']}: name another")
        if changed := difference(self.training, record["training"]):
            raise ValueError(
                f"{self.out} holds a training with another {', '.join(changed)}: "
                "give it an out= of its own, or go on with the values it began with"
            )
        if record.get("base", "") != self.base:
            raise ValueError(
                f"{self.out} holds a LoRA of another checkpoint's network: go on with "
                "that one, or give this an out= of its own"
            )

        def held(name: str, like: Any) -> Tensor:
            return distributed.shard_like(io.load(file, [name])[name], like)

        for n, p in (self.parameters | self.kept).items():
            nn.set_parameter(p, held(f"weights.{n}", p))
        for n, p in self.parameters.items():
            self.average[n] = held(f"average.{n}", p)
        moments = self.optimizer.state()
        self.optimizer.load({n: held(f"optimizer.{n}", x) for n, x in moments.items()})
        self.watch.restore(record.get("watch") or Watch().record())
        self.step = int(record["step"])

    def _write(self) -> Path:
        """OUT/weights, the averaged network beside those of `checkpoint`; or OUT/lora."""
        for n, p in self.parameters.items():
            nn.set_parameter(p, self.average[n])
        with distributed.summon_full_params(self.objective), distributed.main_process_first():
            return self._written() if self.rank == 0 else self.out

    def _written(self) -> Path:
        if lora := self.training.lora:
            stage, folder = self.objective.stage, self.out / TRAINED
            return self.keeper.patiently(
                lambda: save_lora(folder, stage, self.adapters, lora.rank, lora.alpha), folder
            )
        network, folder = self.objective.finish(), self.out / "weights"
        used = replace(self.training, objective=self.objective.config)
        base = self.source.checkpoint
        trained = dict(base.notes.get("training", {})) if base is not None else {}
        trained[self.objective.stage] = {
            "steps": self.step,
            "images": self.step * self.training.batch * self.training.accumulate,
            "configuration": identity(plain(used)),
        }
        notes = {"training": trained, "settings": self._settings()}
        networks, extras = {self.objective.stage: network}, self.objective.extras
        return self.keeper.patiently(
            lambda: save_checkpoint(folder, networks, base=base, notes=notes, **extras), folder
        )

    def _settings(self) -> dict[str, Any]:
        """What the checkpoint prefers: the size of the images it learned from, unless it says."""
        base = self.source.checkpoint
        known = dict(base.notes.get("settings", {})) if base is not None else {}
        if self.source.dataset is not None and "height" not in known:
            height, width, _ = self.source.dataset.read(["image"], [0])[0]["image"].shape
            known |= {"height": int(height), "width": int(width)}
        return known


def _checkpoint(place: str) -> Checkpoint | None:
    return None if place == "none" else Checkpoint.open(place or None)


def _dataset(training: Training, checkpoint: Checkpoint | None) -> ConcatDataset | None:
    """The datasets that `data` names, or one made of a folder's images under `out`."""
    if not training.data:
        return None
    place = Path(training.data)
    if (place / DATASET).exists() or not place.is_dir():
        return ConcatDataset.open(training.data)
    known = checkpoint.notes.get("settings", {}) if checkpoint is not None else {}
    own = [max(SHORTEST, known.get(side, NATIVE)) for side in ("height", "width")]
    height, width = [training.size] * 2 if training.size else own
    Grid.of_pixels(height, width)  # ValueError where it is not a size for images
    return ConcatDataset([dataset_of(place, Path(training.out) / "dataset", (height, width))])


def _dtype(name: str) -> Any:
    return getattr(ops, _dtype_name(name))


def _dtype_name(name: str) -> str:
    if name == "auto":
        return "bfloat16" if device.supports_bfloat16() else "float32"
    return name


@contextmanager
def _polite_interrupt() -> Iterator[list[bool]]:
    """The first Ctrl-C (or SIGTERM) asks the loop to save and stop; the second is a plain one."""
    asked: list[bool] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)

    old = {}
    with suppress(ValueError):  # not in the main thread: there Ctrl-C is somebody else's
        old = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for s, handler in old.items():
            signal.signal(s, handler)
