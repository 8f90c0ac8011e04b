"""Progress of ids and steps on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

from moyin.inference.pipeline import Progress


@contextmanager
def bars() -> Iterator[Progress]:
    """A callback that draws one bar a stage on stderr; a stage that starts anew reuses its bar.

    Nothing is drawn before the first report, so that an error stands alone.
    """
    columns = (
        TextColumn("{task.description:>5}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    shown = Bars(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int) -> None:
        shown.start()
        if stage not in tasks:
            tasks[stage] = shown.add_task(stage, total=total)
        shown.update(tasks[stage], completed=done, total=total)

    try:
        yield report
    finally:
        if tasks:
            shown.stop()
