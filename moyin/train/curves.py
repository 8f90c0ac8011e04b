"""The stages of a training side by side: their losses as an image, and a table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from moyin.checkpoint.layout import FOLDERS

Row = dict[str, float]

IMAGE = "curves.png"


def report(folder: str | Path) -> None:
    """Draw FOLDER/curves.png and print the table of the stages in FOLDER/<stage>/metrics.jsonl.

    ValueError where no stage has metrics, ModuleNotFoundError where matplotlib is absent.
    """
    stages = read(Path(folder))
    draw(stages, Path(folder) / IMAGE)
    Console().print(table(stages))


def read(folder: Path) -> dict[str, list[Row]]:
    """The rows of each stage's metrics by step, stages in the order of training.

    Where a stage was stopped and went on, what it did twice counts once.
    """
    stages = {}
    for stage in FOLDERS:
        path = folder / stage / "metrics.jsonl"
        if path.is_file():
            rows = map(json.loads, path.read_text("utf-8").splitlines())
            by_step = {row["step"]: row for row in rows}
            stages[stage] = [by_step[step] for step in sorted(by_step)]
    if not stages:
        raise ValueError(f"no <stage>/metrics.jsonl under {folder}: train a stage there first")
    return stages


def draw(stages: Mapping[str, list[Row]], path: Path) -> None:
    """One panel a stage, the loss over the steps on a logarithmic scale where it is positive."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(stages), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(stages), squeeze=False)[0]
    for panel, (stage, rows) in zip(panels, stages.items(), strict=True):
        losses = [row["loss"] for row in rows]
        panel.plot([row["step"] for row in rows], losses)
        panel.set(title=stage, xlabel="step", yscale="log" if min(losses) > 0 else "linear")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("loss")
    figure.savefig(path, dpi=120)


def table(stages: Mapping[str, list[Row]]) -> Table:
    """Stage, steps, the median of images/s, and the first and the last loss that was noted."""
    shown = Table("stage")
    for name in ("steps", "images/s", "first loss", "loss"):
        shown.add_column(name, justify="right")
    for stage, rows in stages.items():
        shown.add_row(
            stage,
            f"{rows[-1]['step']}",
            f"{statistics.median(row['images_per_s'] for row in rows):.1f}",
            f"{rows[0]['loss']:.4f}",
            f"{rows[-1]['loss']:.4f}",
        )
    return shown
