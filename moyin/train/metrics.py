"""What a training says of itself: a line that moves, metrics.jsonl, and tensorboard's events."""

from __future__ import annotations

import io
import json
import math
import socket
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from moyin.backend import device
from moyin.train import training_state
from moyin.train.append_log import Growing

Array = np.ndarray[Any, Any]

METRICS, VALIDATION, SAMPLES = "metrics.jsonl", "validation.jsonl", "samples"


class Report:
    """Progress and metrics of one run; use as a context. A full disk is warned of, no more."""

    def __init__(self, out: Path, stage: str, start: int, steps: int, peak: float) -> None:
        """peak: the machine's measured FLOP/s in the training's dtype."""
        self.out, self.stage, self.steps, self.peak = out, stage, steps, peak
        self.line = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
            console=Console(stderr=True),
        )
        self.task = self.line.add_task(stage, total=steps, completed=start, said="")
        for name in (METRICS, VALIDATION):
            _keep_until(out / name, start)
        self.rows = {name: Growing(out / name) for name in (METRICS, VALIDATION)}
        self.events = _events(out / "tensorboard", start)
        self.since, self.images, self.work = time.perf_counter(), 0, 0.0

    def __enter__(self) -> Report:
        self.line.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.line.stop()
        for file in (*self.rows.values(), *([self.events.file] if self.events else [])):
            if file.waiting:
                file.add()

    def advance(self, step: int, images: int, flops: float) -> None:
        """One update done, of so many images and so much arithmetic."""
        self.images += images
        self.work += flops
        self.line.update(self.task, completed=step)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Show and keep the metrics, with images/s and the share of the peak since the last, and
        the most memory that was in use so far."""
        now = time.perf_counter()
        rate = self.images / (now - self.since)
        share = self.work / (now - self.since) / self.peak
        self.restart_clock()
        row = {"step": step, **values, "images_per_s": rate}
        row["memory_gib"] = device.peak_memory() / 2**30
        said = f"loss {values['loss']:.4f}  {rate:.1f} images/s"
        if math.isfinite(share):  # not every backend counts its arithmetic
            row["share_of_peak"] = share
            said += f"  {share:.0%} of peak"
        self._keep(METRICS, row)
        self.line.update(self.task, said=said)

    def validation(self, step: int, values: dict[str, float]) -> None:
        """Keep what was found on held-out samples."""
        self._keep(VALIDATION, {"step": step, **values})

    def image(self, step: int, pixels: Array) -> None:
        """Keep an image, uint8 [H, W, 3], as OUT/samples/step-….png."""
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        path = self.out / SAMPLES / f"step-{step:08d}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.getvalue())
        except OSError as e:
            if not training_state.full(e):
                raise
            path.unlink(missing_ok=True)
            warnings.warn(f"no room on disk for {path}: it is left out", stacklevel=2)
        if self.events is not None:
            self.events.image(SAMPLES, content.getvalue(), pixels.shape[:2], step)

    def restart_clock(self) -> None:
        """What was done since the last metrics is not the training's own time."""
        self.since, self.images, self.work = time.perf_counter(), 0, 0.0

    def _keep(self, name: str, row: dict[str, float]) -> None:
        self.rows[name].add((json.dumps(row) + "\n").encode())
        if self.events is not None:
            for key, value in row.items():
                self.events.scalar(key, float(value), int(row["step"]))


class Silence(Report):
    """What the first of several processes says, the others need not."""

    def __init__(self) -> None:
        pass

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, step: int, images: int, flops: float) -> None:
        pass

    def metrics(self, step: int, values: dict[str, float]) -> None:
        pass

    def validation(self, step: int, values: dict[str, float]) -> None:
        pass

    def image(self, step: int, pixels: Array) -> None:
        pass

    def restart_clock(self) -> None:
        pass


def _keep_until(path: Path, step: int) -> None:
    """Drop the metrics of steps that a training which was killed had made and lost again."""
    if not path.exists():
        return
    lines = path.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    if kept != lines:
        path.write_text("".join(kept), "utf-8")


class _Events:
    """Tensorboard's event files, in its own words: no framework is asked."""

    def __init__(self, folder: Path, start: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog

        folder.mkdir(exist_ok=True)
        self.file = Growing(
            folder / f"events.out.tfevents.{time.time():.3f}.{socket.gethostname()}"
        )
        self._add(file_version="brain.Event:2")
        # Tells the reader to forget what a training that was killed had written of later steps.
        self._add(step=start + 1, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(step=step, summary=Summary(value=[Summary.Value(tag=name, simple_value=value)]))

    def image(self, name: str, png: bytes, size: tuple[int, ...], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        height, width = size
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self._add(step=step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))

    def _add(self, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        RecordWriter(record).write(Event(wall_time=time.time(), **event).SerializeToString())
        self.file.add(record.getvalue())


def _events(folder: Path, start: int) -> _Events | None:
    try:
        return _Events(folder, start)
    except ModuleNotFoundError:
        told = "no tensorboard events: pip install 'moyin[train]'"
        Console(stderr=True).print(told, markup=False)  # or the brackets would be taken for one
        return None
