"""Progress bars: the only place that draws them. Libraries report through a callback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

    from moyin.inference.observer import Progress


@contextmanager
def bars() -> Iterator[Progress]:
    """A callback that draws one bar a stage on stderr; a stage that starts again reuses its bar.

    It takes the stage, the units that are done and their number in all, 0 where that is unknown.
    Nothing is drawn before the first call, so that an error message stands alone.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:>5}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    display = Bars(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int) -> None:
        display.start()
        if stage not in tasks:
            tasks[stage] = display.add_task(stage, total=total or None)
        display.update(tasks[stage], completed=done, total=total or None)

    try:
        yield report
    finally:
        if tasks:
            display.stop()
