"""The loop that trains any stage: accumulate, clip, step, average, save, and go on again."""

from __future__ import annotations

import dataclasses
import json
import math
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from moyin.backend import Tensor, autograd, device, nn, ops, optim
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.lora import PREFIXES
from moyin.checkpoint.save import save_checkpoint
from moyin.checkpoint.save_lora import save_lora
from moyin.data.store import Store
from moyin.model.lora import Adapter, adapt
from moyin.pipeline.tokenize import SHORTEST
from moyin.prompt.grid import Grid
from moyin.train import order, state
from moyin.train.config import Training
from moyin.train.folder import store_of
from moyin.train.objectives import Batch, Source
from moyin.train.objectives.base import Draws
from moyin.train.report import Report
from moyin.train.schedule import learning_rate

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
        self.adapters = self._adapt()
        every = nn.named_parameters(self.objective)
        self.parameters = {n: p for n, p in every.items() if self._trained(n)}
        o = training.optimizer
        self.optimizer = optim.AdamW(self.parameters, o.betas, weight_decay=o.weight_decay)
        self.average = {n: ops.stop_gradient(p) + 0 for n, p in self.parameters.items()}
        self.step = 0
        self.gradient = autograd.value_and_grad(
            lambda batch: self.objective.loss(batch, self.dtype),
            self.objective,
            list(self.parameters),
        )

    def _start(self) -> Any:
        """The network to go on from, None for fresh weights.

        A frozen one needs no more digits than it is computed with.
        """
        t, stage = self.training, self.training.objective.stage
        if t.lora is not None:
            return self.source.network(stage, _dtype_name(t.dtype))
        return self.source.network(stage) if t.fine_tune else None

    def _adapt(self) -> dict[str, Adapter]:
        lora = self.training.lora
        if lora is None:
            return {}
        if self.training.objective.stage not in PREFIXES:
            raise ValueError(f"a LoRA is for {' or '.join(PREFIXES)}: leave out lora")
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
            ThreadPoolExecutor(1) as pool,
        ):
            first = self.step * t.accumulate
            ahead = pool.submit(self._batch, first)
            for micro in range(first, last * t.accumulate, t.accumulate):
                total: dict[str, Tensor] = {}
                values: dict[str, Tensor] = {}
                for i in range(t.accumulate):
                    batch = ahead.result()
                    ahead = pool.submit(self._batch, micro + i + 1)
                    loss, aux, gradients = self.gradient(self._tensors(batch))
                    total = _add(total, gradients)
                    values = _add(values, {"loss": loss, **aux})
                norm = self._update({n: g / t.accumulate for n, g in total.items()})
                report.advance(self.step, t.batch * t.accumulate, flops * t.accumulate)
                if self.step % t.log_every == 0 or self.step == last:
                    shown = {n: float(ops.numpy(v)) / t.accumulate for n, v in values.items()}
                    report.metrics(self.step, {**shown, "gradient_norm": norm})
                if self.step % t.save_every == 0 or self.step == last or interrupted:
                    self._save()
                if interrupted:
                    break

    def _batch(self, micro: int) -> Batch:
        t = self.training
        chosen = order.indices(self.objective.count, t.seed, micro, t.batch)
        return self.objective.batch(chosen, Draws(t.seed, micro))

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        return {n: ops.asarray(x) for n, x in batch.items()}

    def _update(self, gradients: dict[str, Tensor]) -> float:
        o = self.training.optimizer
        gradients, norm = optim.clip_by_global_norm(gradients, o.clip)
        if not math.isfinite(norm):
            raise ValueError(
                f"step {self.step + 1}: the gradient is {norm}. Take a lower optimizer.lr and an "
                f"out= of its own; the states in {self.out} are those before it"
            )
        self.optimizer.step(gradients, learning_rate(o, self.step, self.training.steps))
        self.step += 1
        # A young average forgets its random start sooner.
        decay = min(o.ema, (1 + self.step) / (10 + self.step))
        optim.ema_update(self.average, self.parameters, decay)
        return norm

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {f"weights.{n}": p for n, p in self.parameters.items()}
        tensors |= {f"average.{n}": p for n, p in self.average.items()}
        tensors |= {f"optimizer.{n}": p for n, p in self.optimizer.state().items()}
        record = {"stage": self.objective.stage, "training": _plain(self.training)}
        state.save(self.out, self.step, tensors, record)

    def _restore(self) -> None:
        found = state.newest(self.out)
        if found is None:
            self.out.mkdir(parents=True, exist_ok=True)
            return
        record, tensors = found
        if record["stage"] != self.objective.stage:
            raise ValueError(f"{self.out} holds a training of the {record['stage']}: name another")
        ours, theirs = _identity(_plain(self.training)), _identity(record["training"])
        if ours != theirs:
            changed = sorted(k for k in ours | theirs if ours.get(k) != theirs.get(k))
            raise ValueError(
                f"{self.out} holds a training with another {', '.join(changed)}: "
                "give it an out= of its own, or go on with the values it began with"
            )
        for n, p in self.parameters.items():
            nn.set_parameter(p, tensors[f"weights.{n}"])
            self.average[n] = tensors[f"average.{n}"]
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
            "configuration": _identity(_plain(self.training)),
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


def _store(training: Training, checkpoint: Checkpoint | None) -> Store | None:
    """The store that `data` names, or one made of a folder's pictures under `out`."""
    if not training.data:
        return None
    place = Path(training.data)
    if (place / STORE).exists() or not place.is_dir():
        return Store.open(place)
    known = checkpoint.notes.get("settings", {}) if checkpoint is not None else {}
    own = [max(SHORTEST, known.get(side, NATIVE)) for side in ("height", "width")]
    height, width = [training.size] * 2 if training.size else own
    Grid.of_pixels(height, width)  # ValueError where it is not a size for pictures
    return store_of(place, Path(training.out) / "store", (height, width))


def _dtype(name: str) -> Any:
    return getattr(ops, _dtype_name(name))


def _dtype_name(name: str) -> str:
    if name == "auto":
        return "bfloat16" if device.supports_bfloat16() else "float32"
    return name


def _add(total: dict[str, Tensor], more: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n: total[n] + x for n, x in more.items()} if total else dict(more)


def _plain(training: Training) -> dict[str, Any]:
    """The configuration as JSON holds it."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(training)))
    return plain


def _identity(plain: dict[str, Any]) -> dict[str, Any]:
    """What must not change between a training and its continuation, by dotted names."""
    free = ("out", "data", "checkpoint", "save_every", "log_every", "threads", "compile")
    return dict(_flat({k: v for k, v in plain.items() if k not in free}))


def _flat(nested: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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
