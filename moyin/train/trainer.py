"""The loop that trains any stage: accumulate, clip, step, average, save, and go on again."""

from __future__ import annotations

import math
import signal
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from moyin.backend import Tensor, autograd, device, nn, ops, optim
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.lora import PREFIXES
from moyin.checkpoint.save import save_checkpoint
from moyin.checkpoint.save_lora import save_lora
from moyin.data.order import shuffled
from moyin.data.store import BUCKET
from moyin.data.stores import Stores
from moyin.data.stream import Rule, Stream, ahead
from moyin.data.tokens import digest
from moyin.model.lora import Adapter, adapt
from moyin.pipeline.tokenize import SHORTEST
from moyin.prompt.grid import Grid
from moyin.train import state, validation
from moyin.train.config import Training
from moyin.train.folder import store_of
from moyin.train.identity import difference, identity, plain
from moyin.train.keep import Keeper
from moyin.train.means import Means
from moyin.train.objectives import Batch, Source
from moyin.train.objectives.base import Array, Draws
from moyin.train.report import Report
from moyin.train.samples import sheet
from moyin.train.schedule import learning_rate
from moyin.train.watch import Watch

STORE = "store.json"
NATIVE = 1024  # pixels a side of GLM-Image's pictures


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
        device.seed(training.seed)
        if training.threads:
            device.set_threads(training.threads)
        checkpoint = _checkpoint(training.checkpoint)
        self.source = Source(_store(training, checkpoint), checkpoint)
        self.dtype = _dtype(training.dtype)
        self.objective = training.objective.build(self.source, self._start())
        self.base = ""  # digest of what a LoRA belongs to
        self.adapters = self._adapt()
        every = nn.named_parameters(self.objective)
        self.parameters = {n: p for n, p in every.items() if self._trained(n)}
        o = training.optimizer
        self.optimizer = optim.AdamW(self.parameters, o.betas, weight_decay=o.weight_decay)
        self.average = {n: ops.stop_gradient(p) + 0 for n, p in self.parameters.items()}
        self.step = 0
        held = validation.held_out(self.objective.count, training.held_out)
        self.held, self.rows = np.flatnonzero(held), np.flatnonzero(~held)
        if training.held_out and not len(self.held):
            raise ValueError(f"held_out={training.held_out} of {len(held)} samples is none")
        self.stream = self._stream()
        self.watch, self.means = Watch(), Means()
        self.gradient = autograd.value_and_grad(
            lambda batch: self.objective.loss(batch, self.dtype),
            self.objective,
            list(self.parameters),
        )

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
        self._restore()
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
            Report(self.out, self.objective.stage, self.step, t.steps, peak) as report,
            closing(ahead(self._batch, self.step * t.accumulate, t.workers)) as batches,
            Keeper(self.out, t.keep, t.keep_every) as keeper,
        ):
            self.keeper = keeper
            while self.step < last:
                norm = self._update(batches)
                report.advance(self.step, t.batch * t.accumulate, flops * t.accumulate)
                stop = self.step == last or bool(interrupted)
                if self.step % t.log_every == 0 or self.step == last:
                    report.metrics(self.step, {**self.means.take(), "gradient_norm": norm})
                if self.step % t.validation.every == 0:
                    self._validate(report)
                if stop:
                    keeper.save_last(self.step, *self._state())
                    break
                if self.step % t.save_every == 0:
                    self._save(keeper)

    def _rows(self, micro: int) -> Array:
        """The samples of a micro-batch, by number."""
        if self.stream is not None:
            return self.stream.rows(micro)
        t = self.training
        places = np.arange(micro * t.batch, (micro + 1) * t.batch)
        return np.asarray(self.rows[shuffled(places, len(self.rows), t.seed)])

    def _stream(self) -> Stream | None:
        """The order of the rows of the stores, where the stage reads any."""
        t, stores = self.training, self.objective.store
        rules = [Rule.parse(text) for text in t.weights]
        if not isinstance(stores, Stores):
            if rules:
                raise ValueError(f"weights={','.join(t.weights)}: this stage reads no store")
            return None
        several = any(BUCKET in store.columns for store in stores.parts)
        if t.held_out and several:
            raise ValueError("held_out: pictures of several sizes cannot be validated on together")
        held = validation.held_out(len(stores), t.held_out) if t.held_out else None
        return Stream(stores, t.batch, t.seed, rules, t.accumulate, held)

    def _batch(self, micro: int) -> Batch:
        t = self.training
        draws = Draws(t.seed, micro * t.batch, micro // t.accumulate)
        return self.objective.batch(self._rows(micro), draws)

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        return {n: ops.asarray(x) for n, x in batch.items()}

    def _update(self, batches: Iterator[Batch]) -> float:
        """One update; the next batch is made meanwhile. Returns the gradient's norm."""
        t, o = self.training, self.training.optimizer
        first = self.step * t.accumulate
        total: dict[str, Tensor] = {}
        losses, weights = [], []
        for _ in range(t.accumulate):
            batch = next(batches)
            loss, shown, gradients = self.gradient(self._tensors(batch))
            weights.append(self.objective.weight(batch) if t.accumulate > 1 else 1.0)
            losses.append(loss)
            total = _add(total, gradients, weights[-1])
            self.means.add({"loss": loss, **shown}, weights[-1])
        if t.accumulate > 1:
            total = {n: g / sum(weights) for n, g in total.items()}
        gradients, norm = optim.clip_by_global_norm(total, o.clip)
        values = [float(ops.numpy(loss)) for loss in losses]
        self._check_finite(values, norm, first)
        rate = learning_rate(o, self.step, t.steps)
        self.optimizer.step(gradients, rate)
        self.step += 1
        # A young average forgets its random start sooner.
        decay = min(o.ema, (1 + self.step) / (10 + self.step))
        optim.ema_update(self.average, self.parameters, decay)
        self._check_course(float(np.dot(values, weights) / sum(weights)), rate)
        return norm

    def _check_finite(self, losses: list[float], norm: float, first: int) -> None:
        """Before an update is made: ValueError that names the samples which spoil it."""
        bad = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
        if not bad and math.isfinite(norm):
            return
        what = f"loss is {losses[bad[0]]}" if bad else f"gradient is {norm}"
        some = bad or range(len(losses))
        rows = [str(row) for i in some for row in self._rows(first + i)]
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
        kept = state.steps(self.out)
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
            some = (self.held if len(self.held) else self.rows)[: v.pictures]
            made = self.objective.pictures(some, _dtype_name(t.dtype)) if len(some) else []
        if made:
            report.picture(self.step, sheet(made))
        report.restart_clock()

    def _save(self, keeper: Keeper) -> None:
        if self.watch.rising:
            warnings.warn(
                f"step {self.step}: the loss is rising, so no state is saved until it falls",
                stacklevel=2,
            )
        else:
            keeper.save(self.step, *self._state())

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors: dict[str, Tensor] = {f"weights.{n}": p for n, p in self.parameters.items()}
        tensors |= {f"average.{n}": p for n, p in self.average.items()}
        tensors |= {f"optimizer.{n}": p for n, p in self.optimizer.state().items()}
        record = {
            "stage": self.objective.stage,
            "training": plain(self.training),
            "watch": self.watch.record(),
            "base": self.base,
        }
        return tensors, record

    def _restore(self) -> None:
        found = state.newest(self.out)
        if found is None:
            self.out.mkdir(parents=True, exist_ok=True)
            return
        record, tensors = found
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
        for n, p in self.parameters.items():
            nn.set_parameter(p, tensors[f"weights.{n}"])
            self.average[n] = tensors[f"average.{n}"]
        self.watch.restore(record.get("watch") or Watch().record())
        self.optimizer.load({n[10:]: x for n, x in tensors.items() if n.startswith("optimizer.")})
        self.step = int(record["step"])

    def _write(self) -> Path:
        """OUT/weights, the averaged network beside those of `checkpoint`; or OUT/lora."""
        for n, p in self.parameters.items():
            nn.set_parameter(p, self.average[n])
        if lora := self.training.lora:
            stage = self.objective.stage
            return save_lora(self.out / "lora", stage, self.adapters, lora.rank, lora.alpha)
        network = self.objective.finish()
        base = self.source.checkpoint
        trained = dict(base.notes.get("training", {})) if base is not None else {}
        trained[self.objective.stage] = {
            "steps": self.step,
            "pictures": self.step * self.training.batch * self.training.accumulate,
            "configuration": identity(plain(self.training)),
        }
        return save_checkpoint(
            self.out / "weights",
            {self.objective.stage: network},
            base=base,
            notes={"training": trained, "settings": self._settings()},
            **self.objective.extras,
        )

    def _settings(self) -> dict[str, Any]:
        """What the checkpoint prefers: the size of the pictures it learned from, unless it says."""
        base = self.source.checkpoint
        known = dict(base.notes.get("settings", {})) if base is not None else {}
        if self.source.store is not None and "height" not in known:
            height, width, _ = self.source.store.read(["picture"], [0])[0]["picture"].shape
            known |= {"height": int(height), "width": int(width)}
        return known


def _checkpoint(place: str) -> Checkpoint | None:
    return None if place == "none" else Checkpoint.open(place or None)


def _store(training: Training, checkpoint: Checkpoint | None) -> Stores | None:
    """The stores that `data` names, or one made of a folder's pictures under `out`."""
    if not training.data:
        return None
    place = Path(training.data)
    if (place / STORE).exists() or not place.is_dir():
        return Stores.open(training.data)
    known = checkpoint.notes.get("settings", {}) if checkpoint is not None else {}
    own = [max(SHORTEST, known.get(side, NATIVE)) for side in ("height", "width")]
    height, width = [training.size] * 2 if training.size else own
    Grid.of_pixels(height, width)  # ValueError where it is not a size for pictures
    return Stores([store_of(place, Path(training.out) / "store", (height, width))])


def _dtype(name: str) -> Any:
    return getattr(ops, _dtype_name(name))


def _dtype_name(name: str) -> str:
    if name == "auto":
        return "bfloat16" if device.supports_bfloat16() else "float32"
    return name


def _add(total: dict[str, Tensor], more: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    scaled = more if weight == 1 else {n: x * weight for n, x in more.items()}
    return {n: total[n] + x for n, x in scaled.items()} if total else scaled


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
