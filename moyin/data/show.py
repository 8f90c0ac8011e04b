"""How fast it goes, on the screen."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.text import Text


class Speed(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} images/s" if task.speed else "")
