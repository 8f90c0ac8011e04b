"""What a training says of itself: a line that moves, metrics.jsonl, and tensorboard's events."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

METRICS = "metrics.jsonl"


class Report:
    """Progress and metrics of one run; use as a context."""

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
        _keep_until(out / METRICS, start)
        self.events = _events(out / "tensorboard", start)
        self.since, self.pictures, self.work = time.perf_counter(), 0, 0.0

    def __enter__(self) -> Report:
        self.line.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.line.stop()
        if self.events is not None:
            self.events.close()

    def advance(self, step: int, pictures: int, flops: float) -> None:
        """One update done, of so many pictures and so much arithmetic."""
        self.pictures += pictures
        self.work += flops
        self.line.update(self.task, completed=step)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Show and keep the metrics, with pictures/s and the share of the peak since the last."""
        now = time.perf_counter()
        rate = self.pictures / (now - self.since)
        share = self.work / (now - self.since) / self.peak
        self.since, self.pictures, self.work = now, 0, 0.0
        row = {"step": step, **values, "pictures_per_s": rate}
        said = f"loss {values['loss']:.4f}  {rate:.1f} pictures/s"
        if math.isfinite(share):  # not every backend counts its arithmetic
            row["share_of_peak"] = share
            said += f"  {share:.0%} of peak"
        with (self.out / METRICS).open("a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")
        self.line.update(self.task, said=said)
        if self.events is not None:
            for name, value in row.items():
                self.events.scalar(name, float(value), step)


def _keep_until(path: Path, step: int) -> None:
    """Drop the metrics of steps that a training which was killed had made and lost again."""
    if not path.exists():
        return
    lines = path.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    if kept != lines:
        path.write_text("".join(kept), "utf-8")


class _Events:
    """Tensorboard's event files, by its own writer: no framework is asked."""

    def __init__(self, folder: Path, start: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.writer = EventFileWriter(str(folder))
        # Tells the reader to forget what a training that was killed had written of later steps.
        begun = SessionLog(status=SessionLog.START)
        self.writer.add_event(Event(wall_time=time.time(), step=start + 1, session_log=begun))

    def scalar(self, name: str, value: float, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
        self.writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        self.writer.close()


def _events(folder: Path, start: int) -> _Events | None:
    try:
        return _Events(folder, start)
    except ModuleNotFoundError:
        Console(stderr=True).print("no tensorboard events: pip install 'moyin[train]'")
        return None
